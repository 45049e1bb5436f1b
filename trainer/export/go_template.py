"""A chat format as a Go template, which is what Ollama runs.

What Ollama fills in: https://github.com/ollama/ollama/blob/main/docs/template.md (System, Messages
with Role, Content and Thinking). The language: https://pkg.go.dev/text/template. All white space
counts; nothing is trimmed.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from trainer.export.turns import BOS, EOS, Turns


def go_template(turns: Turns, *, bos: str, eos: str, adds_bos: bool) -> str:
    """Write a chat format as a Go template.

    Args:
        turns: The format.
        bos: The tokenizer's first token.
        eos: The tokenizer's last token.
        adds_bos: Whether the program puts the first token before every text by itself.
    """
    def fill(text: str) -> str:
        return text.replace(BOS, bos).replace(EOS, eos)

    begins = "" if adds_bos else bos
    start = turns.start.replace(BOS, begins)
    parts = [fill(start), _variables(turns, begins),
             _system(turns, fill(turns.system[0]), fill(turns.system[1])),
             '{{ $last := "" }}{{ range $i, $message := .Messages }}{{ $last = .Role }}',
             '{{ if eq .Role "user" }}', _user(turns, fill),
             '{{ else if eq .Role "assistant" }}', fill(turns.header), fill(turns.lead),
             _thought(turns), "{{ .Content }}", _unless_last(fill(turns.end)),
             "{{ end }}{{ end }}", _header(fill(turns.header))]
    return "".join(parts)


def _header(header: str) -> str:
    return f'{{{{ if ne $last "assistant" }}}}{header}{{{{ end }}}}' if header else ""


def _unless_last(end: str) -> str:
    """Leave an answer open that is to be continued."""
    return f"{{{{ if ne (len (slice $.Messages $i)) 1 }}}}{end}{{{{ end }}}}" if end else ""


def _variables(turns: Turns, begins: str) -> str:
    """Declare what the first question has and later ones have not, or otherwise."""
    found = "{{ $system := .System }}" if turns.in_user else ""
    if turns.each_user:
        found += f"{{{{ $begin := {json.dumps(begins, ensure_ascii=False)} }}}}"
    return found


def _system(turns: Turns, before: str, after: str) -> str:
    if turns.in_user:
        return ""
    given = f"{before}{{{{ .System }}}}{after}"
    if not turns.default_system:
        return f"{{{{ if .System }}}}{given}{{{{ end }}}}"
    other = f"{before}{turns.default_system}{after}"
    return f"{{{{ if .System }}}}{given}{{{{ else }}}}{other}{{{{ end }}}}"


def _user(turns: Turns, fill: Callable[[str], str]) -> str:
    before, after = fill(turns.user[0]), fill(turns.user[1])
    begin = system = ""
    if turns.each_user:
        later = json.dumps(fill(turns.each_user), ensure_ascii=False)
        begin = f"{{{{ $begin }}}}{{{{ $begin = {later} }}}}"
    if turns.in_user:
        opening, closing = fill(turns.system[0]), fill(turns.system[1])
        system = (f"{{{{ if $system }}}}{opening}{{{{ $system }}}}{closing}"
                  '{{ $system = "" }}{{ end }}')
    return f"{begin}{before}{system}{{{{ .Content }}}}{after}"


def _thought(turns: Turns) -> str:
    if not turns.thinks:
        return ""
    return "<think>\n{{ .Thinking }}\n</think>\n\n"

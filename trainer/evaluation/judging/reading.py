"""What a judge's reply says. Its last line is read; what does not say it clearly says nothing.

Nothing is guessed: a reply that was cut, that gives points beyond 1 to 10, or whose last line is of
another form has no verdict, even where a person could tell what was meant.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Literal

from trainer.contract.conversation import text_of

Verdict = Literal["A", "B", "tie"]
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
# Around a verdict people and models like to put signs of Markdown.
_SIGNS = str.maketrans(dict.fromkeys("*_`#>[](){}|$\"'“”‘’「」", " "))
_BULLET = re.compile(r"[-•]\s+")
_WORD = re.compile(r"\w")
_LINE = re.compile(r"(?P<name>VERDICT|SCORE)\s*(?:IS\s*)?[:=]\s*(?P<said>.+)", re.IGNORECASE)
_SIDE = re.compile(r"(?:ANSWER\s+|ASSISTANT\s+)?(?P<side>A|B|TIE)\s*[.!]?", re.IGNORECASE)
_POINTS = re.compile(r"(?P<points>\d{1,2}(?:\.\d{1,2})?)"
                     r"(?:\s*(?:/|OUT\s+OF)\s*10(?:\.0)?)?\s*[.!]?", re.IGNORECASE)


def content_of(reply: Any) -> str:
    """Return the text of a chat completion, of all its parts; '' when it is of another form."""
    try:
        return text_of(reply["choices"][0]["message"]["content"])
    except (KeyError, IndexError, TypeError):
        return ""


def was_cut(reply: Any) -> bool:
    """Tell whether a chat completion ended at its longest length."""
    try:
        return bool(reply["choices"][0]["finish_reason"] == "length")
    except (KeyError, IndexError, TypeError):
        return False


def tokens_of(reply: Any) -> tuple[int, int] | None:
    """Return (tokens read, tokens written) as the server counted; None when it did not."""
    usage = reply.get("usage") if isinstance(reply, dict) else None
    if not isinstance(usage, dict):
        return None
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    whole = [one for one in counts if isinstance(one, int) and one >= 0]
    return (whole[0], whole[1]) if len(whole) == 2 else None


def without_thoughts(text: str) -> str:
    """Return a text without what was thought aloud in ``<think>``."""
    return _THOUGHT.sub("", text)


def read_verdict(text: str) -> Verdict | None:
    """Return what the last line 'VERDICT: A', 'B' or 'tie' says; None for anything else."""
    found = _SIDE.fullmatch(_last(text, "VERDICT"))
    if not found:
        return None
    side = found["side"].upper()
    return "A" if side == "A" else "B" if side == "B" else "tie"


def read_points(text: str) -> float | None:
    """Return what the last line 'SCORE: n' says, 1 to 10; None for anything else."""
    found = _POINTS.fullmatch(_last(text, "SCORE"))
    points = float(found["points"]) if found else 0.0
    return points if 1 <= points <= 10 else None


def _last(text: str, name: str) -> str:
    """Return what the last line that says anything has behind ``name`` and a colon, or ''."""
    # A template may have opened the thoughts already: then only their end is in the reply.
    said = without_thoughts(text).rpartition("</think>")[2]
    lines = said.splitlines()
    last = next((line for line in reversed(lines) if _WORD.search(line.replace("_", ""))), "")
    found = _LINE.fullmatch(_bare(last))
    return found["said"] if found and found["name"].upper() == name else ""


def _bare(line: str) -> str:
    """Return a line without Markdown, full-width letters as ASCII, spaces as one."""
    plain = unicodedata.normalize("NFKC", line).replace("。", ".").translate(_SIGNS)
    return _BULLET.sub("", " ".join(plain.split()), count=1) if plain.lstrip()[:1] in "-•" \
        else " ".join(plain.split())

"""Tool calls in an answer's text, in the forms in which models write them.

The forms are those that the chat templates of ``templates/chat`` teach, and their models' own:
``<tool_call>`` (Hermes, Qwen, the starter), ``[TOOL_CALLS]`` (Mistral), ``<|tool_call|>``
(Granite), bare JSON (Llama 3), ``Action:`` and ``Action Input:`` (text), and a tool's name with
JSON on the next line (GLM-4).
"""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Sequence
from typing import Any

from trainer.data.reading.rows import RowError
from trainer.data.shapes.toolcalls import parse_calls
from trainer.serving.speech import beginning

MARKERS = ("<tool_call>", "[TOOL_CALLS]", "<|tool_call|>", "<|python_tag|>", "Action:")
_LETTERS = string.ascii_letters + string.digits
_BLOCK = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|$)", re.DOTALL)
_ACTION = re.compile(r"Action:[ \t]*(\S+)[ \t]*\nAction Input:[ \t]*")
Call = dict[str, Any]


def names_of(tools: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return the names of tools in OpenAI's form."""
    return tuple(str(tool["function"]["name"]) for tool in tools)


def split(text: str, names: Sequence[str]) -> tuple[str, list[Call]]:
    """Return what an answer says besides its calls, and the calls in OpenAI's form.

    A call that cannot be read, or of a tool that there is not, leaves the whole answer text.

    Args:
        text: The answer, with the special tokens that begin calls.
        names: The tools that were offered.
    """
    start = call_start(text, names)
    found = _read(text[start:], names) if start < len(text) else []
    if not found or any(call["name"] not in names for call in found):
        return text, []
    return text[:start].rstrip(), [_document(call) for call in found]


def call_start(text: str, names: Sequence[str]) -> int:
    """Return from where on a text may be a call, also one that only begins; else its length."""
    bare = len(text) - len(text.lstrip())
    if text[bare:bare + 1] in ("{", "[") or _is_line_of(text[bare:], names):
        return bare
    found = [at for marker in MARKERS if (at := text.find(marker)) >= 0]
    return min(found, default=len(text) - beginning(text, MARKERS))


def _is_line_of(text: str, names: Sequence[str]) -> bool:
    """Tell whether a text is a tool's name and a line break, or the beginning of that."""
    return bool(text) and any(text.startswith(f"{name}\n") or f"{name}\n".startswith(text)
                              for name in names)


def _read(text: str, names: Sequence[str]) -> list[Call]:
    """Return the calls of a text that begins with one: {name, arguments} each; [] if none."""
    if text.startswith("<tool_call>"):
        return _all(_json_calls(block) for block in _BLOCK.findall(text))
    if text.startswith("Action:"):
        return _all(_action(match[1], text[match.end():]) for match in _ACTION.finditer(text))
    for marker in MARKERS:
        if text.startswith(marker):
            return _named(text[len(marker):].lstrip()) or _json_calls(text[len(marker):])
    return _named(text) if _is_line_of(text, names) else _json_calls(text)


def _all(parts: Any) -> list[Call]:
    """Return all calls of several parts; [] when one of them has none."""
    found: list[Call] = []
    for calls in parts:
        if not calls:
            return []
        found += calls
    return found


def _action(name: str, rest: str) -> list[Call]:
    value = _first_json(rest)
    return [{"name": name, "arguments": value}] if isinstance(value, dict) else []


def _named(text: str) -> list[Call]:
    """Read ``NAME{...}``, ``NAME[ARGS]{...}`` or a name with JSON on the next line."""
    match = re.match(r"([\w.-]+)(?:\[ARGS\])?\s*(?=\{)", text)
    return _action(match[1], text[match.end():]) if match else []


def _json_calls(text: str) -> list[Call]:
    """Read one call or a list of them: {name, arguments} or Llama's {name, parameters}."""
    value = _first_json(text)
    values = value if isinstance(value, list) else [value]
    renamed = [{"name": one.get("name"), "arguments": one.get("arguments", one.get("parameters"))}
               for one in values if isinstance(one, dict)]
    try:
        calls = parse_calls(renamed, "answer") if len(renamed) == len(values) else ()
    except RowError:
        return []
    return [call["function"] for call in calls]


def _first_json(text: str) -> Any:
    try:
        return json.JSONDecoder().raw_decode(text.lstrip())[0]
    except (ValueError, RecursionError):
        return None


def _document(call: Call) -> dict[str, Any]:
    """Return a call as OpenAI writes it; the id is as short as Mistral's template wants it."""
    number = "".join(secrets.choice(_LETTERS) for _ in range(9))
    arguments = json.dumps(call["arguments"], ensure_ascii=False)
    return {"id": number, "type": "function",
            "function": {"name": call["name"], "arguments": arguments}}


class CallFilter:
    """Lets the text of a growing answer through, but for what may be a call."""

    def __init__(self, names: Sequence[str]) -> None:
        """Begin an answer."""
        self._names, self._text, self._shown = tuple(names), "", 0

    def hear(self, more: str) -> str:
        """Take text; returns what is certainly no call."""
        self._text += more
        start = call_start(self._text, self._names)
        sure = self._text[self._shown:max(start, self._shown)].rstrip()
        self._shown += len(sure)
        return sure

    def finish(self) -> tuple[str, list[Call]]:
        """Return the text that was held back, and the calls."""
        said, calls = split(self._text, self._names)
        return said[self._shown:], calls

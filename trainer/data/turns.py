"""Lists of turns as datasets write them, and their role names."""

from __future__ import annotations

from typing import Any, Literal

from trainer.data.entry import Tags
from trainer.data.jsonstream import decode_json
from trainer.data.messages import Message, Role
from trainer.data.rows import RowError, shown
from trainer.data.toolcalls import parse_call_text, parse_calls

TurnRole = Literal["system", "user", "assistant", "tool", "call"]
_ROLE_KEYS = ("from", "role")
_CONTENT_KEYS = ("value", "content")
_ALIASES: dict[str, TurnRole] = {
    "system": "system", "developer": "system", "human": "user", "user": "user",
    "gpt": "assistant", "assistant": "assistant", "model": "assistant", "bot": "assistant",
    "chatgpt": "assistant", "tool": "tool", "observation": "tool", "function": "tool",
    "function_response": "tool", "tool_response": "tool", "function_call": "call",
    "tool_call": "call"}


def as_list(value: Any) -> Any:
    """Return a list that is written as JSON text (a cell of a CSV) as a list."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return decode_json(value)
        except (ValueError, RecursionError):
            return value
    return value


def turn_keys(value: Any) -> tuple[str, str] | None:
    """Return the keys of role and content when a value is a turn or a list of turns."""
    turns = as_list(value)
    first = turns[0] if isinstance(turns, list) and turns else turns
    if not isinstance(first, dict):
        return None
    role = next((key for key in _ROLE_KEYS if isinstance(first.get(key), str)), "")
    content = next((key for key in _CONTENT_KEYS if key in first), "")
    if role and not content and "tool_calls" in first:
        content = "content"
    return (role, content) if role and content else None


def looks_like_turns(value: Any) -> bool:
    """Tell whether a value is a list of turns with a role and a content; text never is."""
    return isinstance(value, list) and turn_keys(value) is not None


def reads_as_turns(value: Any) -> bool:
    """Tell whether a value is a list of turns, or JSON text of one (a cell of a CSV)."""
    return looks_like_turns(as_list(value))


def has_role(value: Any, tags: Tags, names: tuple[str, ...]) -> bool:
    """Tell whether a turn has one of the role names."""
    turns = as_list(value)
    return isinstance(turns, list) and any(
        isinstance(turn, dict) and turn.get(tags.role_tag or "") in names for turn in turns)


def parse_turns(value: Any, column: str, tags: Tags, aliases: bool) -> list[Message]:
    """Convert a list of turns, or a single one.

    Args:
        value: The cell.
        column: Its column, for messages.
        tags: Keys and role names.
        aliases: Understand well-known role names besides the tags.

    Raises:
        RowError: Not turns, an unknown role, a content that is not text, or a broken tool call.
    """
    turns = as_list(value)
    if isinstance(turns, dict):
        turns = [turns]
    if not isinstance(turns, list):
        raise RowError("wrong_type", column, f"has {shown(value)} in '{column}', not a list of "
                       "turns")
    if not turns:
        raise RowError("empty_text", column, f"has no turns in '{column}'")
    roles = _role_names(tags, aliases)
    return [_parse_turn(turn, f"{column}[{index}]", tags, roles)
            for index, turn in enumerate(turns)]


def _role_names(tags: Tags, aliases: bool) -> dict[str, TurnRole]:
    """Return what each role name means."""
    named: list[tuple[str | None, TurnRole]] = [
        (tags.user_tag, "user"), (tags.assistant_tag, "assistant"),
        (tags.observation_tag, "tool"), (tags.function_tag, "call"), (tags.system_tag, "system")]
    return (_ALIASES if aliases else {}) | {name: role for name, role in named if name}


def _parse_turn(turn: Any, column: str, tags: Tags, roles: dict[str, TurnRole]) -> Message:
    if not isinstance(turn, dict):
        raise RowError("wrong_type", column, f"has {shown(turn)} in '{column}', not a turn with "
                       f"'{tags.role_tag}' and '{tags.content_tag}'")
    name = turn.get(tags.role_tag or "")
    if not isinstance(name, str):
        raise RowError("missing_column", column, f"has no '{tags.role_tag}' in '{column}'")
    role = roles.get(name)
    if role is None:
        raise RowError("unknown_role", column, f"has the role '{shown(name)[1:-1]}' in "
                       f"'{column}'; known roles are {', '.join(roles)}")
    content = turn.get(tags.content_tag or "")
    if role == "call":
        return Message("assistant", "", parse_call_text(content, column))
    return _message(role, turn, content, column)


def _message(role: Role, turn: dict[str, Any], content: Any, column: str) -> Message:
    if role == "assistant":
        calls = parse_calls(turn.get("tool_calls"), f"{column}.tool_calls")
        text = "" if content is None and calls else parse_text(content, column)
        return Message(role, text, calls)
    if role == "tool":
        return Message(role, parse_text(content, column), name=str(turn.get("name") or ""),
                       tool_call_id=str(turn.get("tool_call_id") or ""))
    return Message(role, parse_text(content, column))


def parse_text(value: Any, column: str) -> str:
    """Return a cell's text; a list of OpenAI's text parts is joined.

    Raises:
        RowError: It is missing or not text.
    """
    if isinstance(value, str):
        return value
    if value is None:
        raise RowError("missing_column", column, f"has no '{column}'")
    if isinstance(value, list) and value and all(isinstance(p, dict) for p in value):
        return "".join(_part(part, column) for part in value)
    raise RowError("wrong_type", column, f"has {shown(value)} in '{column}', not text")


def _part(part: dict[str, Any], column: str) -> str:
    if part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    raise RowError("not_text", column, f"has a part of type {shown(part.get('type'))} in "
                   f"'{column}'; only text can be trained on")

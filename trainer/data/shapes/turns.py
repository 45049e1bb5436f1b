"""Lists of turns as datasets write them."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

from trainer.data.reading.jsonstream import decode_json
from trainer.data.reading.rows import RowError, shown
from trainer.data.shapes.mapping import ColumnMap
from trainer.data.shapes.messages import Message, Role
from trainer.data.shapes.roles import SIDES, TurnRole, role_of
from trainer.data.shapes.toolcalls import parse_call_text, parse_calls

_ROLE_KEYS = ("from", "role", "speaker", "author", "sender", "user_type", "who")
_CONTENT_KEYS = ("value", "content", "text", "message", "utterance", "parts", "body")
_THOUGHTS = ("reasoning_content", "thinking", "reasoning")
_TEXT_PARTS = ("text", "input_text", "output_text")
_NO_COMMA = re.compile(r"\}\s*\n\s*\{")
_PRINTED_LENGTH = 1_000_000
_HH_TURN = re.compile(r"\n\n(Human|Assistant):")
_NAMES = "(Human|User|USER|Assistant|ASSISTANT|System|SYSTEM):"
_HASHED, _BARE = re.compile(rf"\s*### ?{_NAMES}"), re.compile(rf"(?:^|\n\n+){_NAMES}")


def as_list(value: Any) -> Any:
    """Return a list or object that is written as text (a cell of a CSV) as such.

    The text is JSON, or what Python and NumPy print. An object of equally long lists (columns of
    turns, as some table formats keep them) becomes a list of objects.
    """
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            value = decode_json(value)
        except (ValueError, RecursionError):
            return _printed(value) if value.lstrip().startswith(("[{'", "{'")) else value
    if isinstance(value, dict) and value and all(isinstance(v, list) for v in value.values()) \
            and len({len(v) for v in value.values()}) == 1:
        return [dict(zip(value, turn, strict=True)) for turn in zip(*value.values(), strict=True)]
    return value


def _printed(text: str) -> Any:
    """Return what was printed as Python prints it; NumPy leaves out commas between items."""
    if len(text) > _PRINTED_LENGTH:
        return text
    try:
        return ast.literal_eval(_NO_COMMA.sub("}, {", text.strip()))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text


def turn_keys(value: Any) -> tuple[str, str] | None:
    """Return the keys of role and content when a value is a turn or a list of turns."""
    turns = as_list(value)
    first = turns[0] if isinstance(turns, list) and turns else turns
    if not isinstance(first, dict):
        return None
    role = next((key for key in _ROLE_KEYS if isinstance(first.get(key), str)), "")
    content = next((key for key in _CONTENT_KEYS if key in first), "")
    if role and not content and ("tool_calls" in first or "function_call" in first):
        content = "content"
    return (role, content) if role and content else None


def turn_sides(value: Any) -> tuple[str, str] | None:
    """Return the keys of user and assistant when a value's turns are objects with both."""
    turns = as_list(value)
    first = turns[0] if isinstance(turns, list) and turns else None
    if not isinstance(first, dict) or turn_keys(turns):
        return None
    return next((pair for pair in SIDES if isinstance(first.get(pair[0]), str)
                 and isinstance(first.get(pair[1]), str)), None)


def looks_like_turns(value: Any) -> bool:
    """Tell whether a value is a list of turns with a role and a content; text never is."""
    return isinstance(value, list) and turn_keys(value) is not None


def reads_as_turns(value: Any) -> bool:
    """Tell whether a value is a list of turns, or JSON text of one (a cell of a CSV)."""
    return looks_like_turns(as_list(value))


def role_names(value: Any, role_key: str) -> list[str]:
    """Return the role names of a value's turns, in order."""
    turns = as_list(value)
    names = [turn.get(role_key) for turn in turns if isinstance(turn, dict)] \
        if isinstance(turns, list) else []
    return [name for name in names if isinstance(name, str) and name.strip()]


def parse_turns(value: Any, column: str, mapping: ColumnMap) -> list[Message]:
    """Convert a list of turns, or a single one.

    Args:
        value: The cell.
        column: Its column, for messages.
        mapping: Keys and role names of turns.

    Raises:
        RowError: Not turns, an unknown role, a content that is not text, or a broken tool call.
    """
    turns = as_list(value)
    if isinstance(turns, dict):
        turns = [turns]
    if not isinstance(turns, list):
        if isinstance(turns, str) and (found := split_marked(turns)):
            return found
        raise RowError("wrong_type", column, f"has {shown(value)} in '{column}', not a list of "
                       "turns")
    if not turns:
        raise RowError("empty_text", column, f"has no turns in '{column}'")
    keys = _keys(turns, mapping)
    if keys is None or (isinstance(turns[0], str) and all(isinstance(t, str) for t in turns)):
        return _without_roles(turns, column, mapping)
    return [message for index, turn in enumerate(turns)
            if (message := _turn(turn, column, index, keys, mapping)) is not None]


def _keys(turns: list[Any], mapping: ColumnMap) -> tuple[str, str] | None:
    """Return the keys of role and content, None when turns have none."""
    tags = mapping.tags
    if tags.role_tag is not None:
        return tags.role_tag, tags.content_tag or ""
    if tags.user_tag and tags.assistant_tag:
        return None
    if not mapping.aliases:
        return "", ""
    found = turn_keys(turns)
    if found and tags.content_tag:
        return found[0], tags.content_tag
    return found


def _without_roles(turns: list[Any], column: str, mapping: ColumnMap) -> list[Message]:
    """Convert texts that take turns, or objects that hold both sides of an exchange."""
    if isinstance(turns[0], str) and all(isinstance(turn, str) for turn in turns):
        return [Message("assistant" if index % 2 else "user", turn)
                for index, turn in enumerate(turns)]
    tags = mapping.tags
    sides = (tags.user_tag, tags.assistant_tag) if tags.user_tag else turn_sides(turns)
    if not sides:
        raise RowError("wrong_type", f"{column}[0]", f"has {shown(turns[0])} in '{column}[0]', "
                       "not a turn with a role and a content")
    messages: list[Message] = []
    for index, turn in enumerate(turns):
        place = f"{column}[{index}]"
        if not isinstance(turn, dict):
            raise RowError("wrong_type", place, f"has {shown(turn)} in '{place}', not a turn "
                           f"with '{sides[0]}' and '{sides[1]}'")
        if (told := turn.get(tags.system_tag or "system")) and isinstance(told, str):
            messages.append(Message("system", told))
        messages += [Message("user", parse_text(turn.get(sides[0] or ""), f"{place}.{sides[0]}")),
                     Message("assistant",
                             parse_text(turn.get(sides[1] or ""), f"{place}.{sides[1]}"))]
    return messages


def _turn(turn: Any, column: str, index: int, keys: tuple[str, str],
          mapping: ColumnMap) -> Message | None:
    """Convert one turn; None for a system turn that says nothing."""
    role_key, content_key = keys
    if type(turn) is dict:
        name, content = turn.get(role_key), turn.get(content_key)
        if type(name) is str:
            role = mapping.roles.get(name)
            if len(turn) == 2 and type(content) is str and role in ("user", "assistant"):
                return Message(role, content)
            return _odd_turn(turn, f"{column}[{index}]", keys, _role(name, mapping, role,
                                                                     f"{column}[{index}]"))
    place = f"{column}[{index}]"
    if not isinstance(turn, dict):
        raise RowError("wrong_type", place, f"has {shown(turn)} in '{place}', not a turn with "
                       f"'{role_key}' and '{content_key}'")
    raise RowError("missing_column", place, f"has no '{role_key}' in '{place}'")


def _role(name: str, mapping: ColumnMap, role: TurnRole | None, place: str) -> TurnRole:
    found = role or (role_of(name) if mapping.aliases else None)
    if found is None:
        known = ", ".join(list(mapping.roles)[:12])
        raise RowError("unknown_role", place, f"has the role '{shown(name)[1:-1]}' in '{place}'; "
                       f"known roles are {known}")
    return found


def _odd_turn(turn: dict[str, Any], place: str, keys: tuple[str, str],
              role: TurnRole) -> Message | None:
    content = turn.get(keys[1])
    if role == "call":
        return Message("assistant", "", parse_call_text(content, place))
    if role == "system":
        text = "" if content is None else parse_text(content, place)
        return Message(role, text) if text.strip() else None
    if content is None and not _is_call(turn):
        raise RowError("empty_text" if keys[1] in turn else "missing_column", place,
                       f"has {'null in' if keys[1] in turn else 'no'} '{place}.{keys[1]}'")
    return _message(role, turn, content, place)


def _is_call(turn: dict[str, Any]) -> bool:
    return bool(turn.get("tool_calls") or turn.get("function_call"))


def _message(role: Role, turn: dict[str, Any], content: Any, place: str) -> Message:
    if role == "assistant":
        calls = (parse_calls(turn.get("tool_calls"), f"{place}.tool_calls")
                 or parse_calls(turn.get("function_call"), f"{place}.function_call"))
        text = "" if content is None and calls else parse_text(content, place)
        return Message(role, _thought(turn) + text, calls)
    if role == "tool":
        text = (json.dumps(content, ensure_ascii=False)
                if isinstance(content, dict) or _is_data(content) else parse_text(content, place))
        return Message(role, text, name=str(turn.get("name") or ""),
                       tool_call_id=str(turn.get("tool_call_id") or ""))
    return Message(role, parse_text(content, place))


def _is_data(content: Any) -> bool:
    """Tell whether a tool's answer is data rather than text or parts of text."""
    return (isinstance(content, int | float) or (isinstance(content, list)
            and not all(isinstance(p, dict) and "type" in p for p in content)))


def _thought(turn: dict[str, Any]) -> str:
    """Return what the assistant thought before it spoke, as Qwen3 and DeepSeek write it."""
    thought = next((text for key in _THOUGHTS if isinstance(text := turn.get(key), str)), "")
    return f"<think>\n{thought.strip()}\n</think>\n\n" if thought.strip() else ""


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
    if isinstance(value, dict) and isinstance(value.get("parts"), list):
        return parse_text(value["parts"], column)
    raise RowError("wrong_type", column, f"has {shown(value)} in '{column}', not text")


def _part(part: dict[str, Any], column: str) -> str:
    if part.get("type", "text") in _TEXT_PARTS and isinstance(part.get("text"), str):
        return str(part["text"])
    raise RowError("not_text", column, f"has a part of type {shown(part.get('type'))} in "
                   f"'{column}'; only text can be trained on")


def split_marked(text: str) -> list[Message]:
    """Split a conversation written as one text, e.g. ``### Human: Hi### Assistant: Yo``.

    Returns:
        The turns; [] when the text does not begin with a mark of the user or the system.
    """
    text = text.strip()
    head, *parts = (_HASHED if text.startswith("###") else _BARE).split(text)
    if head.strip() or len(parts) < 4 or role_of(parts[0]) == "assistant":
        return []
    found: list[Message] = []
    for name, content in zip(parts[::2], parts[1::2], strict=True):
        role = role_of(name)
        if role in ("user", "assistant", "system"):
            found.append(Message(role, content.strip()))
    return found


def split_hh(text: str, column: str) -> list[Message]:
    r"""Split ``\n\nHuman: ... \n\nAssistant: ...`` (the form of hh-rlhf) into turns.

    Raises:
        RowError: The text does not begin with a turn.
    """
    head, *parts = _HH_TURN.split("\n\n" + text.lstrip())
    if head.strip() or not parts:
        raise RowError("wrong_type", column, f"has {shown(text)} in '{column}', not turns that "
                       "begin with 'Human:' and 'Assistant:'")
    return [Message("user" if name == "Human" else "assistant", content.strip())
            for name, content in zip(parts[::2], parts[1::2], strict=True)]

"""A list of rows inside one JSON object, as in ``{"version": "1.1", "data": [{...}, ...]}``."""

from __future__ import annotations

from typing import Any

from trainer.data.reading.bytesource import opened
from trainer.data.reading.jsonstream import BrokenJson, JsonText
from trainer.data.reading.rows import DatasetError, listed
from trainer.data.reading.sources import Part

# What such lists are called; an object on one line that has another list is a row by itself.
_USUAL = frozenset(("data", "dataset", "rows", "row", "train", "training", "test", "valid", "dev",
                    "validation", "eval", "examples", "samples", "items", "records", "entries",
                    "instances", "questions", "results", "content", "list", "数据"))
_TURN_KEYS = (("role", "content"), ("from", "value"), ("role", "parts"), ("speaker", "text"))


def list_inside(part: Part, *, one_line: bool) -> str:
    """Return the key of the list that holds a file's rows, '' when it has none."""
    with opened(part) as stream:
        text = JsonText(stream)
        text.peek()
        try:
            key = enter(text)
            if not key or (one_line and key.strip().lower() not in _USUAL):
                return ""
            text.peek()
            first, _ = text.value()
        except BrokenJson:
            return ""
    return "" if is_turn(first) else key


def is_turn(value: Any) -> bool:
    """Tell whether a value is a turn of a conversation rather than a row."""
    return isinstance(value, dict) and any(all(key in value for key in keys)
                                           for keys in _TURN_KEYS)


def enter(text: JsonText) -> str:
    """Go from an object's brace to the first element of the first list of objects in it.

    Returns:
        The key of the list, '' when there is none.

    Raises:
        BrokenJson: What stands before it is not JSON.
    """
    text.position += 1
    while key := _key(text):
        if text.peek() == "[":
            text.position += 1
            if text.peek() == "{":
                return key
            if not _leave_list(text):
                return ""
        else:
            text.value()
        if text.peek() != ",":
            return ""
        text.position += 1
    return ""


def _key(text: JsonText) -> str:
    """Read a key and its colon; '' when there is none."""
    if text.peek() != '"':
        return ""
    key, _ = text.value()
    if text.peek() != ":":
        return ""
    text.position += 1
    return str(key) or " "


def _leave_list(text: JsonText) -> bool:
    """Go behind a list of plain values that has been entered; False when it does not end."""
    while (after := text.peek()) and after != "]":
        if after == ",":
            text.position += 1
        else:
            text.value()
    text.position += 1
    return bool(after)


def leave(text: JsonText, key: str, file_name: str) -> str:
    """Go from the end of the list to the end of the object; return what is left over, or ''.

    Raises:
        DatasetError: ``several_lists``: it holds another list of objects.
    """
    others: list[str] = []
    try:
        while text.peek() == ",":
            text.position += 1
            if not (name := _key(text)):
                break
            text.peek()
            value, _ = text.value()
            if isinstance(value, list) and value and isinstance(value[0], dict):
                others.append(name)
    except BrokenJson:
        return text.peek()
    if others:
        raise several_lists(file_name, [key, *others])
    if text.peek() == "}":
        text.position += 1
    return text.peek()


def several_lists(file_name: str, keys: list[str]) -> DatasetError:
    """Return the error for an object of which it is not clear which list holds the rows."""
    return DatasetError("several_lists", f"'{file_name}' is one object with several lists of "
                        f"objects: {listed(keys)}.", "Save each list as a file of its own.")


def no_list(part: Part) -> DatasetError:
    """Return the error for a file that is one object without a list of rows."""
    return DatasetError("not_a_list", f"'{part.name}' is one object over several lines, not a "
                        "list of rows.",
                        "Save it as a JSON list of objects: [{...}, {...}]; or as JSON Lines: one "
                        "object a line.")

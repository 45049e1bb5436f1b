"""A quick look at rows: the texts of one that is certainly fine, without building messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

from trainer.data.shapes.cells import HH_STARTS
from trainer.data.shapes.mapping import ColumnMap, Kind, Shape
from trainer.data.shapes.messages import Example

Texts = tuple[str, ...]
Look = Callable[[dict[str, Any]], Texts | None]
_NONCHARACTERS = b"\xef\xb7"
# What a turn may hold besides role and content that changes what is learned from it.
_TURN_EXTRAS = frozenset({"tool_calls", "function_call", "reasoning_content", "reasoning",
                          "thinking", "weight", "tool_call_id"})
_UNREAD = ("history", "tools", "images", "videos", "audios")
_SILENT: tuple[Any, ...] = (None, "")
_EMPTY: tuple[Any, ...] = (*_SILENT, [])


def texts_of(example: Example) -> Texts:
    """Return an example's texts in order: turns, both answers, plain text, reference.

    For a row of which ``fast_row`` returns texts, these are the same.
    """
    turns = (example.messages, example.chosen, example.rejected)
    found = [turn.content for group in turns for turn in group]
    return (*found, *(text for text in (example.text, example.reference) if text))


def fast_row(shape: Shape) -> Look:
    """Return a function that gives the texts of a row that is certainly fine, else None.

    None means: look closely, with ``convert``. A row of which texts are returned converts
    without an error and without a remark.
    """
    make = _LOOKS.get(shape.kind)
    if make is None or shape.mapping.paths:
        return lambda values: None
    return make(shape.mapping)


def _is_fine(text: Any) -> TypeGuard[str]:
    """Tell whether a value is text that says something, all of it characters."""
    if type(text) is not str or not text or text.isspace():
        return False
    if text.isascii():
        return True
    try:
        return _NONCHARACTERS not in text.encode()
    except UnicodeEncodeError:
        return False


def _unread(mapping: ColumnMap) -> tuple[str, ...]:
    """Return the named columns that a quick look does not read: they have to be empty."""
    named = [getattr(mapping.columns, key) for key in _UNREAD]
    return tuple(name for name in named if name)


def _plain(mapping: ColumnMap) -> Look:
    column = mapping.columns.prompt or ""

    def look(values: dict[str, Any]) -> Texts | None:
        text = values.get(column)
        return (text,) if _is_fine(text) else None
    return look


def _pair(mapping: ColumnMap) -> Look:
    columns = mapping.columns
    prompt, query, response = columns.prompt or "", columns.query, columns.response or ""
    system, unread = columns.system, _unread(mapping)

    def look(values: dict[str, Any]) -> Texts | None:
        get = values.get
        asked, answer = get(prompt), get(response)
        if not (_is_fine(asked) and _is_fine(answer)) or asked.startswith(HH_STARTS):
            return None
        if query and (more := get(query)) is not None and more != "":
            if not _is_fine(more):
                return None
            asked = f"{asked}\n{more}"
        for name in unread:
            if get(name) not in _EMPTY:
                return None
        if system and (told := get(system)) is not None and told != "":
            return (told, asked, answer) if _is_fine(told) else None
        return asked, answer
    return look


def _preference(mapping: ColumnMap) -> Look:
    """Look at pairs whose prompt and answers are texts."""
    columns = mapping.columns
    if columns.messages or not columns.prompt or columns.query or columns.system:
        return lambda values: None
    prompt, chosen, rejected = columns.prompt, columns.chosen or "", columns.rejected or ""
    unread = _unread(mapping)

    def look(values: dict[str, Any]) -> Texts | None:
        asked, better, worse = values.get(prompt), values.get(chosen), values.get(rejected)
        if not (_is_fine(asked) and _is_fine(better) and _is_fine(worse)) or better == worse \
                or asked.startswith(HH_STARTS):
            return None
        for name in unread:
            if values.get(name) not in _EMPTY:
                return None
        return asked, better, worse
    return look


def _turns(mapping: ColumnMap) -> Look:
    column, tags, roles = mapping.columns.messages or "", mapping.tags, mapping.roles
    role_key, content_key = tags.role_tag, tags.content_tag
    system, unread = mapping.columns.system, _unread(mapping)
    if not role_key or not content_key:
        return lambda values: None

    def look(values: dict[str, Any]) -> Texts | None:
        turns = values.get(column)
        if type(turns) is not list or (system and values.get(system) not in _SILENT):
            return None
        for name in unread:
            if values.get(name) not in _EMPTY:
                return None
        texts: list[str] = []
        wanted = "user"
        for turn in turns:
            if type(turn) is not dict or (len(turn) > 2 and not _TURN_EXTRAS.isdisjoint(turn)):
                return None
            who, text = turn.get(role_key), turn.get(content_key)
            if type(who) is not str or not _is_fine(text):
                return None
            if roles.get(who) == wanted:
                wanted = "assistant" if wanted == "user" else "user"
            elif texts or roles.get(who) != "system":
                return None
            texts.append(text)
        return tuple(texts) if wanted == "user" and len(texts) > 1 else None
    return look


_LOOKS: dict[Kind, Callable[[ColumnMap], Look]] = {
    "alpaca": _pair, "prompt_completion": _pair, "question_answer": _pair, "text": _plain,
    "preference": _preference, "openai": _turns, "sharegpt": _turns}

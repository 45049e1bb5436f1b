"""Columns inside columns: ``instances[0].output``, ``data.question``, ``answers.text[0]``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from trainer.data.reading.jsonstream import decode_json
from trainer.data.reading.rows import Row

Path = tuple[str | int, ...]
Values = dict[str, Any]
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d{1,9})\]")
_NOTHING = object()


def is_path(name: str) -> bool:
    """Tell whether a column's name may be a path into a column."""
    return "." in name or "[" in name


@lru_cache(maxsize=1024)
def parse_path(name: str) -> Path:
    """Return the steps of a path, e.g. ``("instances", 0, "output")``; () when it is none."""
    steps: list[str | int] = []
    end = 0
    for found in _STEP.finditer(name):
        if found.start() != end:
            return ()
        steps.append(found[1] if found[2] is None else int(found[2]))
        end = found.end()
    whole = end == len(name) and len(steps) > 1 and isinstance(steps[0], str)
    return tuple(steps) if whole else ()


def lift(values: Values, names: tuple[str, ...]) -> Values:
    """Return a row with the named paths as columns of their own.

    A column that has exactly the path's name wins; a path that leads nowhere adds no column.
    """
    found = {name: value for name in names if name not in values
             and (value := _follow(values, parse_path(name))) is not _NOTHING}
    return values | found if found else values


def has_column(rows: Iterable[Row], name: str) -> bool:
    """Tell whether a row has a column, or a path leads to a value in one."""
    return any(name in lift(row.values, (name,)) for row in rows)


def _follow(value: Any, path: Path) -> Any:
    if not path:
        return _NOTHING
    for step in path:
        if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
            value = _decoded(value)
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                return _NOTHING
            value = value[step]
        elif not isinstance(value, dict) or step not in value:
            return _NOTHING
        else:
            value = value[step]
    return value


def _decoded(text: str) -> Any:
    """Return what JSON text in a cell holds, or the text."""
    try:
        return decode_json(text)
    except (ValueError, RecursionError):
        return text


def spread(values: Values, depth: int = 4) -> Values:
    """Return a row with what its objects and lists hold as columns, named by their paths.

    Of a list only the first item is taken. The row's own columns come first, unchanged.
    """
    found: Values = dict(values)
    for name, value in values.items():
        if parse_path(f"{name}[0]"):
            _spread(value, name, depth, found)
    return found


def _spread(value: Any, name: str, depth: int, found: Values) -> None:
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        value = _decoded(value)
    if depth == 0:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            path = f"{name}.{key}"
            if parse_path(path)[-1:] == (key,):
                found[path] = inner
                _spread(inner, path, depth - 1, found)
    elif isinstance(value, list) and value:
        path = f"{name}[0]"
        found[path] = value[0]
        _spread(value[0], path, depth - 1, found)

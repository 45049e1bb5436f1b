"""Optional columns that only come late in a dataset: tools, a system prompt, earlier turns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from trainer.data.reading.rows import Row, RowProblem
from trainer.data.shapes.mapping import Kind, Shape
from trainer.data.shapes.recognise_chat import SYSTEM, TOOLS, extras
from trainer.data.shapes.recognise_pairs import history_of
from trainer.data.shapes.sample import Sample, plain

LATE_ROWS = 5_000
_KEPT = 200
_NONE: tuple[Kind, ...] = ("text", "hh_rlhf", "unknown")
_WITH_HISTORY: tuple[Kind, ...] = ("alpaca", "prompt_completion", "question_answer", "preference")
_NAMES = {"system": frozenset(map(plain, SYSTEM)), "tools": frozenset(map(plain, TOOLS)),
          "history": frozenset(("history",))}
_TYPES = {"system": ("text",), "tools": ("text", "list", "object"), "history": ("text", "list")}


def with_late(shape: Shape, sample: Sample, rows: Iterable[Row | RowProblem]) -> Shape:
    """Return a shape with the optional columns of further rows.

    Args:
        shape: What the first rows showed.
        sample: The first rows.
        rows: Those after them; LATE_ROWS of them are looked at.
    """
    if shape.kind in _NONE:
        return shape
    known = {name for row in sample.rows for name, value in row.items() if value is not None}
    found, first = list[dict[str, Any]](), dict[str, int]()
    for row in islice(rows, LATE_ROWS):
        if isinstance(row, Row) and (new := row.values.keys() - known) and len(found) < _KEPT:
            _note(row, new, found, first)
    late = Sample(found)
    more = extras(late)
    if shape.kind in _WITH_HISTORY and (history := history_of(late)):
        more["history"] = history
    columns = shape.mapping.columns
    more = {role: name for role, name in more.items() if getattr(columns, role) is None}
    if not more:
        return shape
    said = "".join(f"; '{name}' comes from row {first[name]} on" for name in more.values())
    return replace(shape, reason=shape.reason + said, mapping=replace(
        shape.mapping, columns=columns.model_copy(update=more)))


def _note(row: Row, new: Collection[str], found: list[dict[str, Any]],
          first: dict[str, int]) -> None:
    """Keep what a row has in new columns."""
    values = {name: row.values[name] for name in new if row.values[name] is not None}
    for name in values:
        first.setdefault(name, row.number)
    if values:
        found.append(values)


def unused_options(shape: Shape, types: Mapping[str, Collection[str]]) -> Iterator[tuple[str, str]]:
    """Yield (role, column) of what could be read and is not, since it came too late to be seen.

    Args:
        shape: What the columns were taken for.
        types: The types of each column's values, as ``ColumnFacts`` names them.
    """
    columns = shape.mapping.columns
    for name, kinds in types.items():
        for role, names in _NAMES.items():
            fits = shape.kind not in _NONE and (role != "history" or shape.kind in _WITH_HISTORY)
            if fits and plain(name) in names and getattr(columns, role) is None \
                    and not set(_TYPES[role]).isdisjoint(kinds):
                yield role, name


def advice(shape: Shape, role: str, column: str) -> str:
    """Say how a column that came late is named: ``--map messages=messages --map tools=tools``."""
    named = shape.mapping.columns.model_dump(exclude_none=True) | {role: column}
    return " ".join(f"--map {key}={name}" for key, name in named.items())

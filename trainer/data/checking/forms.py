"""Columns of a dataset, counted by the forms of its rows: which names, with which types."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from trainer.data.checking.report import ColumnFacts

Form = tuple[tuple[str, ...], tuple[type, ...]]
MAX_COLUMNS = 1_000
# Names in all forms that are kept; rows of further forms are counted column by column.
_MAX_CELLS = 200_000
_TYPES: dict[type, str] = {str: "text", int: "number", float: "number", bool: "boolean",
                           list: "list", dict: "object", type(None): "null"}


class Forms:
    """Counts rows by form; ``counts`` is open to the loop that looks at every row."""

    def __init__(self) -> None:
        """Begin without rows."""
        self.counts: dict[Form, int] = {}
        self._first: dict[tuple[str, str], int] = {}
        self._others: dict[str, ColumnFacts] = {}
        self._cells = 0

    def begin(self, form: Form, row: int) -> None:
        """Count the first row of a form, or one of a form that there is no room for."""
        for name, kind in zip(*form, strict=True):
            if len(self._first) < _MAX_CELLS:
                self._first.setdefault((name, _name(kind)), row)
        if self._cells + len(form[0]) <= _MAX_CELLS:
            self._cells += len(form[0])
            self.counts[form] = 1
            return
        _count(self._others, form, 1)

    def columns(self) -> dict[str, ColumnFacts]:
        """Return what each column holds, in the order in which they came."""
        found: dict[str, ColumnFacts] = {}
        for form, rows in self.counts.items():
            _count(found, form, rows)
        for name, facts in self._others.items():
            _add(found.setdefault(name, ColumnFacts()), facts)
        return found

    def first_row(self, name: str) -> int:
        """Return the number of the first row that has a value in a column."""
        return min((row for (column, kind), row in self._first.items()
                    if column == name and kind != "null"), default=1)

    def mixed(self, known: Collection[str]) -> Iterator[tuple[int, str, str]]:
        """Yield (row, column, words) of each column that mixes types.

        Args:
            known: Columns that are read: their values are checked row by row.
        """
        for name, facts in self.columns().items():
            types = {kind: rows for kind, rows in facts.types.items() if kind != "null"}
            if len(types) < 2 or name in known:
                continue
            usual = max(types, key=lambda kind: types[kind])
            rare = {kind: rows for kind, rows in types.items() if kind != usual}
            row = min(self._first.get((name, kind), 1) for kind in rare)
            others = ", ".join(f"{kind} in {rows:,}" for kind, rows in rare.items())
            yield row, name, f"holds {usual} in {types[usual]:,} rows, {others}"


def _name(kind: type) -> str:
    return _TYPES.get(kind, kind.__name__)


def _count(found: dict[str, ColumnFacts], form: Form, rows: int) -> None:
    for name, kind in zip(*form, strict=True):
        if (facts := found.get(name)) is None:
            if len(found) >= _MAX_CELLS:
                continue
            facts = found[name] = ColumnFacts()
        _add(facts, ColumnFacts(rows, {_name(kind): rows}))


def _add(facts: ColumnFacts, more: ColumnFacts) -> None:
    facts.rows += more.rows
    for kind, rows in more.types.items():
        facts.types[kind] = facts.types.get(kind, 0) + rows

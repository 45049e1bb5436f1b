"""The first rows of a dataset, asked about their columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from trainer.data.shapes.paths import parse_path, spread

Test = Callable[[Any], bool]
Names = tuple[str, ...]
_HOLDERS = ("text", "value", "content")
_SPREAD_COLUMNS = 200


def _present(value: Any) -> bool:
    return value is not None


class Sample:
    """Rows to recognise a dataset by.

    A column counts as found when most of the rows that have it pass the test, and at least half
    of all rows have it (unless it may be rare): a few rows of another shape do not change what
    the dataset is.
    """

    def __init__(self, rows: list[dict[str, Any]], *, nested: bool = False,
                 lenient: bool = False) -> None:
        """Look at rows.

        Args:
            rows: The first ones of a dataset.
            nested: Columns are named by the last step of their paths.
            lenient: Few values have to pass a test, not most: many rows are broken.
        """
        self.rows, self.nested = rows, nested
        self._needed = 5 if lenient else 2
        counts: dict[str, int] = {}
        for row in rows:
            for name in row:
                counts[name] = counts.get(name, 0) + 1
        self.names = [name for name, count in counts.items() if count * 2 >= len(rows)]
        self._common = set(self.names)
        self._by_plain_name: dict[str, list[str]] = {}
        for name in counts:
            for known in _last_names(name) if nested else (name,):
                self._by_plain_name.setdefault(plain(known), []).append(name)

    def opened(self) -> Sample:
        """Return the same rows with what their objects and lists hold as columns."""
        rows = self.rows if len(self.names) <= _SPREAD_COLUMNS else self.rows[:5]
        return Sample([spread(row) for row in rows], nested=True)

    def find(self, names: Names, test: Test = _present, *, rare: bool = False) -> str:
        """Return the first column with one of the names whose values pass the test, or ''.

        Args:
            names: Capitals, spaces, hyphens and underscores in them do not matter.
            test: What most of a column's values have to pass.
            rare: The column may be absent from most rows, as what is optional often is.
        """
        for wanted in names:
            for name in self._by_plain_name.get(plain(wanted), ()):
                if (rare or name in self._common) and self.most(name, test):
                    return name
        return ""

    def most(self, name: str, test: Test) -> bool:
        """Tell whether a column has values, and most of them pass a test."""
        values = list(self.values(name))
        return bool(values) and sum(map(test, values)) * self._needed > len(values)

    def values(self, name: str) -> Iterator[Any]:
        """Yield a column's values that are not null."""
        return (row[name] for row in self.rows if row.get(name) is not None)

    def share(self, *names: str) -> float:
        """Return the share of rows that have all these columns."""
        count = sum(all(row.get(name) is not None for name in names) for row in self.rows)
        return round(count / len(self.rows), 3)

    def extent(self, *names: str) -> str:
        """Say in how many rows these columns are: ``in all 200 rows looked at``."""
        share, total = self.share(*names), len(self.rows)
        return f"in {'all' if share == 1 else f'{share:.0%} of'} {total} rows looked at"


def plain(name: str) -> str:
    """Return a column's name as it is compared: small letters, no blanks, hyphens, underscores."""
    return name.strip().lower().replace("-", "").replace(" ", "").replace("_", "")


def _last_names(name: str) -> list[str]:
    """Return what a path may be called: its last name, and what holds a mere 'text'."""
    steps = [step for step in parse_path(name) if isinstance(step, str)] or [name]
    return steps[:-3:-1] if steps[-1] in _HOLDERS else steps[-1:]

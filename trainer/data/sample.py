"""The first rows of a dataset, asked about their columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Test = Callable[[Any], bool]


def _present(value: Any) -> bool:
    return value is not None


class Sample:
    """Rows to recognise a dataset by.

    A column counts as found when most of the rows that have it pass the test, and at least half
    of all rows have it: a few rows of another shape do not change what the dataset is.
    """

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        counts: dict[str, int] = {}
        for row in rows:
            for name in row:
                counts[name] = counts.get(name, 0) + 1
        self.names = [name for name, count in counts.items() if count * 2 >= len(rows)]
        self._by_plain_name: dict[str, str] = {}
        for name in self.names:
            self._by_plain_name.setdefault(plain(name), name)

    def find(self, names: tuple[str, ...], test: Test = _present) -> str:
        """Return the first column with one of the names whose values pass the test, or ''.

        Capitals, spaces and hyphens in names do not matter.
        """
        for wanted in names:
            name = self._by_plain_name.get(plain(wanted), "")
            values = list(self.values(name)) if name else []
            if values and sum(map(test, values)) * 2 > len(values):
                return name
        return ""

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
    """Return a column's name as it is compared: small letters, no blanks or hyphens."""
    return name.strip().lower().replace("-", "_").replace(" ", "_")

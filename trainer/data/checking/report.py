"""What a check found: counts, problems by row, and where the rest of them stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from trainer.data.reading.rows import DatasetError, RowProblem
from trainer.data.shapes.recognise import Shape

MAX_PROBLEMS = 10_000
# So many of each kind are kept in any case: what a page or a terminal shows.
SHOWN_OF_A_KIND = 20
BadRows = Literal["refuse", "skip"]


@dataclass
class ColumnFacts:
    """What a column holds: in how many rows it is, and values by their type."""

    rows: int = 0
    types: dict[str, int] = field(default_factory=dict)


@dataclass
class DataReport:
    """What a dataset is and which rows cannot be used.

    ``problems`` is complete up to the limit, ``problem_counts`` always; the rest is in
    ``problems_file``, JSON lines, when the caller named one ('' when none was needed).
    ``shown`` has the first problems of each kind. ``complete`` is False for a first look.

    ``turns`` counts the rows by their number of turns, system messages not counted; ``roles`` the
    turns by role; ``labels`` KTO's. ``notes`` are sentences about the dataset as a whole.
    ``duplicates`` are rows that repeat an earlier one; ``near_duplicates`` is None unless asked.
    """

    name: str
    shape: Shape
    rows: int = 0
    usable: int = 0
    problems: list[RowProblem] = field(default_factory=list)
    problem_counts: dict[str, int] = field(default_factory=dict)
    problems_file: str = ""
    shown: dict[str, list[RowProblem]] = field(default_factory=dict)
    warnings: int = 0
    complete: bool = True
    size_bytes: int = 0
    encodings: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    duplicates: int = 0
    near_duplicates: int | None = None
    characters: int = 0
    longest: int = 0
    turns: dict[int, int] = field(default_factory=dict)
    roles: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    columns: dict[str, ColumnFacts] = field(default_factory=dict)
    more_columns: int = 0
    leaks: dict[str, Any] | None = None

    @property
    def bad_rows(self) -> int:
        """Number of rows that cannot be used."""
        return self.rows - self.usable

    def document(self) -> dict[str, Any]:
        """Return the report as scripts see it; tokens are counted apart, for a model."""
        document = {
            "rows": self.rows, "usable": self.usable, "shape": self.shape.kind,
            "mapping": self.shape.mapping.document(), "reason": self.shape.reason,
            "confidence": self.shape.confidence,
            "problems": [problem.document() for problem in self.problems],
            "problem_counts": dict(self.problem_counts), "problems_file": self.problems_file,
            "tokens": {}, "complete": self.complete, "encodings": dict(self.encodings),
            "notes": list(self.notes), "duplicates": self.duplicates,
            "characters": self.characters, "longest": self.longest,
            "turns": {str(turns): self.turns[turns] for turns in sorted(self.turns)},
            "roles": dict(self.roles),
            "columns": {name: {"rows": facts.rows, "types": dict(facts.types)}
                        for name, facts in self.columns.items()}}
        extras = {"labels": self.labels, "more_columns": self.more_columns,
                  "near_duplicates": self.near_duplicates, "leaks": self.leaks}
        return document | {name: value for name, value in extras.items()
                           if value not in ({}, 0, None)
                           or (name == "near_duplicates" and value == 0)}

    def require(self, bad_rows: BadRows = "refuse") -> None:
        """Refuse a dataset whose rows cannot be used.

        Raises:
            DatasetError: ``bad_rows`` when there is one and they are not to be skipped;
                ``no_usable_rows`` when none is left.
        """
        first = self.first_error()
        reason = f"{first.message} " if first else ""
        if not self.usable:
            raise DatasetError("no_usable_rows", f"{reason}None of the {self.rows:,} rows of "
                               f"'{self.name}' can be used.", "Fix them.")
        if self.bad_rows and bad_rows == "refuse":
            raise DatasetError("bad_rows", f"{reason}{self.bad_rows:,} of {self.rows:,} rows "
                               f"{'is' if self.bad_rows == 1 else 'are'} affected.",
                               "Fix them, or choose to skip bad rows.")

    def first_error(self) -> RowProblem | None:
        """Return the first row that cannot be used, also when warnings fill the list."""
        errors = [p for kept in self.shown.values() for p in kept if p.severity == "error"]
        return min(errors, key=lambda problem: problem.row, default=None)


class ProblemKeeper:
    """Keeps problems: counts all, holds the first ones, writes the others to a file."""

    def __init__(self, report: DataReport, limit: int, path: Path | None) -> None:
        """Fill a report.

        Args:
            report: Whose problems they are.
            limit: How many it holds.
            path: Where the others go; None only counts them.
        """
        self._report, self._limit, self._path = report, limit, path
        self._file: IO[str] | None = None

    def keep(self, problem: RowProblem) -> None:
        """Count a problem and put it where there is room."""
        report, code = self._report, problem.code
        report.problem_counts[code] = report.problem_counts.get(code, 0) + 1
        report.warnings += problem.severity == "warning"
        shown = report.shown.setdefault(code, [])
        if len(shown) < SHOWN_OF_A_KIND:
            shown.append(problem)
        if len(report.problems) < self._limit:
            report.problems.append(problem)
        elif self._path is not None:
            self._write(self._path, problem)

    def _write(self, path: Path, problem: RowProblem) -> None:
        if self._file is None:
            self._file = path.open("w", encoding="utf-8", errors="replace")
            self._report.problems_file = str(path)
        self._file.write(json.dumps(problem.document(), ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Close the file; the report's problems stand in the order of rows."""
        if self._file is not None:
            self._file.close()
        self._report.problems.sort(key=lambda problem: problem.row)


def problems_of(report: DataReport) -> Iterator[RowProblem]:
    """Yield every problem: those that the report holds, then those of its file."""
    yield from report.problems
    if not report.problems_file:
        return
    with open(report.problems_file, encoding="utf-8") as file:
        for line in file:
            yield RowProblem(**json.loads(line))

"""Checking a dataset before a run: every row, with its number and what is wrong with it."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from trainer.data.convert import convert
from trainer.data.messages import Example
from trainer.data.objectives import require_fit
from trainer.data.order import has_noncharacters
from trainer.data.readers import read
from trainer.data.rows import DatasetError, Row, RowError, RowProblem, listed
from trainer.data.shapes import SAMPLED_ROWS, Shape, from_entry, needed_names, recognise
from trainer.data.sources import DatasetSpec

MAX_PROBLEMS = 10_000
BadRows = Literal["refuse", "skip"]


@dataclass
class DataReport:
    """What a dataset is and which rows cannot be used.

    ``problems`` is complete up to the limit, ``problem_counts`` always; the rest is in
    ``problems_file``, JSON lines, when the caller named one ('' when none was needed).
    """

    name: str
    shape: Shape
    rows: int = 0
    usable: int = 0
    problems: list[RowProblem] = field(default_factory=list)
    problem_counts: dict[str, int] = field(default_factory=dict)
    problems_file: str = ""

    @property
    def bad_rows(self) -> int:
        """Number of rows that cannot be used."""
        return self.rows - self.usable

    def document(self) -> dict[str, Any]:
        """Return the report as scripts see it."""
        return {"rows": self.rows, "usable": self.usable, "shape": self.shape.kind,
                "mapping": self.shape.mapping.document(), "reason": self.shape.reason,
                "confidence": self.shape.confidence,
                "problems": [problem.document() for problem in self.problems],
                "problem_counts": dict(self.problem_counts),
                "problems_file": self.problems_file}

    def require(self, bad_rows: BadRows = "refuse") -> None:
        """Refuse a dataset whose rows cannot be used.

        Raises:
            DatasetError: ``bad_rows`` when there is one and they are not to be skipped;
                ``no_usable_rows`` when none is left.
        """
        first = next((p for p in self.problems if p.severity == "error"), None)
        reason = f"{first.message} " if first else ""
        if not self.usable:
            raise DatasetError("no_usable_rows", f"{reason}None of the {self.rows:,} rows of "
                               f"'{self.name}' can be used.", "Fix them.")
        if self.bad_rows and bad_rows == "refuse":
            raise DatasetError("bad_rows", f"{reason}{self.bad_rows:,} of {self.rows:,} rows "
                               f"{'is' if self.bad_rows == 1 else 'are'} affected.",
                               "Fix them, or choose to skip bad rows.")


def shape_of(spec: DatasetSpec) -> Shape:
    """Return a dataset's shape from its registry entry, else from its first rows.

    An entry that only names a file says nothing about the columns: its rows are looked at.

    Raises:
        DatasetError: No row can be read, or the entry names columns that no row has.
    """
    entry = spec.entry
    if entry is None or not entry.model_fields_set & {"columns", "tags", "formatting", "ranking"}:
        return recognise(read(spec, max_samples=SAMPLED_ROWS))
    shape = from_entry(entry)
    _require_columns(spec, shape)
    return shape


def _require_columns(spec: DatasetSpec, shape: Shape) -> None:
    """Refuse an entry that leaves out what its rows need, or names columns that none has."""
    rows = [row for row in read(spec, max_samples=SAMPLED_ROWS) if isinstance(row, Row)]
    found = list(dict.fromkeys(name for row in rows for name in row.values))
    needed = needed_names(shape)
    unnamed = [key for key, name in needed.items() if not name]
    absent = [name for key, name in needed.items()
              if name and not key.startswith("tags.") and name not in found]
    if rows and (unnamed or absent):
        what = (f"does not name {listed(unnamed)}" if unnamed
                else f"names {listed(absent)}, which no row has")
        raise DatasetError("mapping", f"The registry's entry '{spec.name}' {what}. The columns "
                           f"of {spec.file_name} are {listed(found)}.",
                           "Correct 'columns' and 'tags' in dataset_info.json.")


def _full_message(spec: DatasetSpec, row: int, text: str) -> str:
    return f"Row {row} of {spec.file_name} {text}."


def convert_rows(spec: DatasetSpec, shape: Shape, *,
                 max_samples: int | None = None) -> Iterator[Example | RowProblem]:
    """Yield each row as an example, or the problem that makes it useless.

    Raises:
        DatasetError: The file cannot be read.
    """
    for row in read(spec, max_samples=max_samples):
        if isinstance(row, RowProblem):
            yield row
            continue
        try:
            yield convert(row, shape)
        except RowError as error:
            yield RowProblem(row.number, error.column, error.code,
                             _full_message(spec, row.number, error.message))


def check(spec: DatasetSpec, *, objective: str | None = None, max_samples: int | None = None,
          limit: int | None = None, problems_file: Path | None = None) -> DataReport:
    """Read a whole dataset and report every row that cannot be used, in the memory of one row.

    Args:
        spec: What ``Registry.resolve`` found.
        objective: 'sft' or 'dpo'; None only asks whether the rows are sound.
        max_samples: Check the first rows only.
        limit: Keep so many problems (default MAX_PROBLEMS); counts stay complete.
        problems_file: Where the problems beyond the limit go, as JSON lines.

    Raises:
        DatasetError: The file cannot be read, its shape is unknown, or does not fit the objective.
    """
    shape = shape_of(spec)
    require_fit(shape, objective, spec.name)
    report = DataReport(spec.name, shape)
    with ExitStack() as stack:
        keeper = _Keeper(report, MAX_PROBLEMS if limit is None else limit, problems_file, stack)
        for item in convert_rows(spec, shape, max_samples=max_samples):
            report.rows += 1
            if isinstance(item, RowProblem):
                keeper.keep(item)
                continue
            report.usable += 1
            if has_noncharacters(item):
                keeper.keep(_noncharacters(spec, item))
    return report


def _noncharacters(spec: DatasetSpec, example: Example) -> RowProblem:
    text = "has U+FDD0..U+FDEF, which are no characters; they become U+FFFD"
    return RowProblem(example.row, "", "noncharacter", _full_message(spec, example.row, text),
                      "warning")


class _Keeper:
    """Keeps problems: counts all, holds the first ones, writes the others to a file."""

    def __init__(self, report: DataReport, limit: int, path: Path | None,
                 stack: ExitStack) -> None:
        self._report, self._limit, self._path, self._stack = report, limit, path, stack
        self._file: IO[str] | None = None

    def keep(self, problem: RowProblem) -> None:
        """Count a problem and put it where there is room."""
        counts = self._report.problem_counts
        counts[problem.code] = counts.get(problem.code, 0) + 1
        if len(self._report.problems) < self._limit:
            self._report.problems.append(problem)
        elif self._path is not None:
            if self._file is None:
                self._file = self._path.open("w", encoding="utf-8")
                self._stack.callback(self._file.close)
                self._report.problems_file = str(self._path)
            line = json.dumps(problem.document(), ensure_ascii=False)
            self._file.write(line.encode("utf-8", "replace").decode("utf-8") + "\n")


def examples(spec: DatasetSpec, source: DataReport | Shape, *, objective: str,
             bad_rows: BadRows = "refuse", max_samples: int | None = None) -> Iterator[Example]:
    """Yield the examples of a dataset in the file's order.

    Args:
        spec: The dataset.
        source: Its report or its shape.
        objective: What the examples are for.
        bad_rows: ``refuse`` stops at the first row that cannot be used, ``skip`` leaves it out.
        max_samples: Only the first so many rows, bad ones counted.

    Raises:
        DatasetError: The shape does not fit, a row is bad and not to be skipped, or the file
            cannot be read.
    """
    shape = source.shape if isinstance(source, DataReport) else source
    require_fit(shape, objective, spec.name)
    if isinstance(source, DataReport):
        source.require(bad_rows)
    for item in convert_rows(spec, shape, max_samples=max_samples):
        if isinstance(item, Example):
            yield item
        elif bad_rows == "refuse":
            raise DatasetError("bad_rows", item.message, "Fix it, or choose to skip bad rows.")


class ReportCache:
    """Reports of files that have not changed; thread-safe, owned by whoever asks often."""

    def __init__(self, size: int = 32) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[object, ...], DataReport | DatasetError] = OrderedDict()

    def check(self, spec: DatasetSpec, *, objective: str | None = None,
              max_samples: int | None = None) -> DataReport:
        """Return what ``check`` returns, or raise what it raises, without reading a file twice.

        The key is the file's path, size and mtime, the objective, the mapping and max_samples.
        """
        key = (*spec.stamp(), spec.entry, objective, max_samples)
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
        if found is None:
            found = self._checked(spec, objective, max_samples)
            with self._lock:
                self._kept[key] = found
                while len(self._kept) > self._size:
                    self._kept.popitem(last=False)
        if isinstance(found, DatasetError):
            raise found.with_traceback(None)
        return found

    @staticmethod
    def _checked(spec: DatasetSpec, objective: str | None,
                 max_samples: int | None) -> DataReport | DatasetError:
        try:
            return check(spec, objective=objective, max_samples=max_samples)
        except DatasetError as error:
            return error

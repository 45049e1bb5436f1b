"""Checking a dataset before a run: every row, with its number and what is wrong with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

from trainer.data.checking.quick import Scan, scan_of
from trainer.data.checking.report import (
    MAX_PROBLEMS,
    BadRows,
    ColumnFacts,
    DataReport,
    ProblemKeeper,
    problems_of,
)
from trainer.data.reading.readers import read, read_batches
from trainer.data.reading.rowindex import Watch
from trainer.data.reading.rows import DatasetError, Row, RowError, RowProblem, listed
from trainer.data.reading.sources import DatasetSpec
from trainer.data.shapes.convert import convert
from trainer.data.shapes.messages import Example
from trainer.data.shapes.objectives import require_fit
from trainer.data.shapes.paths import has_column
from trainer.data.shapes.recognise import SAMPLED_ROWS, Shape, from_entry, needed_names, recognise

__all__ = ["MAX_PROBLEMS", "BadRows", "CheckOptions", "ColumnFacts", "DataReport", "check",
           "check_steps", "convert_rows", "examples", "first_look", "problems_of", "shape_of"]
Progress = Callable[[int, int, int], None]
STEP_S = 0.25
FIRST_ROWS, FIRST_S = 1_000, 0.5


class CheckOptions(TypedDict, total=False):
    """What ``check`` can be told besides the dataset.

    ``objective``: one of objectives.KINDS; None only asks whether the rows are sound.
    ``shape``: what the columns mean, in place of the registry's word and of a look at the rows.
    ``max_samples``: check the first rows only.
    ``limit``: keep so many problems (default MAX_PROBLEMS); counts stay complete.
    ``problems_file``: where the problems beyond the limit go, as JSON lines.
    ``progress``: called with (rows, bytes done, bytes in all) a few times a second.
    ``partial``: called with the report as it grows, as often; it must not be changed or kept.
    ``special_tokens``: a tokenizer's, looked for besides the well-known ones.
    ``index_to``: where the row index goes that a whole reading makes.
    ``near_threshold``: look for near duplicates from this likeness on.
    ``against``: datasets of which no row should stand in this one.
    """

    objective: str | None
    shape: Shape | None
    max_samples: int | None
    limit: int | None
    problems_file: Path | None
    progress: Progress | None
    partial: Callable[[DataReport], None] | None
    special_tokens: Iterable[str]
    index_to: Path | None
    near_threshold: float | None
    against: Sequence[DatasetSpec]


def shape_of(spec: DatasetSpec) -> Shape:
    """Return a dataset's shape from its registry entry, else from its first rows.

    An entry that only names a file says nothing about the columns: its rows are looked at.

    Raises:
        DatasetError: No row can be read, or the entry names columns that no row has.
    """
    entry = spec.entry
    if entry is None or not entry.model_fields_set & {"columns", "tags", "formatting", "ranking"}:
        return recognise(read(spec))
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
              if name and not key.startswith("tags.") and not has_column(rows, name)]
    if rows and (unnamed or absent):
        what = (f"does not name {listed(unnamed)}" if unnamed
                else f"names {listed(absent)}, which no row has")
        raise DatasetError("mapping", f"The registry's entry '{spec.name}' {what}. The columns "
                           f"of {spec.file_name} are {listed(found)}.",
                           "Correct 'columns' and 'tags' in dataset_info.json.")


def convert_rows(spec: DatasetSpec, shape: Shape, *, max_samples: int | None = None,
                 watch: Watch | None = None) -> Iterator[Example | RowProblem]:
    """Yield each row as an example, or the problem that makes it useless.

    Args:
        spec: The dataset.
        shape: What its columns mean.
        max_samples: Only the first so many rows, bad ones counted.
        watch: Filled while reading.

    Raises:
        DatasetError: The file cannot be read.
    """
    watch = watch if watch is not None else Watch()
    for row in read(spec, max_samples=max_samples, watch=watch):
        if isinstance(row, RowProblem):
            yield row
            continue
        try:
            yield convert(row, shape)
        except RowError as error:
            yield RowProblem(row.number, error.column, error.code,
                             f"{watch.where(spec, row.number)} {error.message}.")


def check(spec: DatasetSpec, **options: Unpack[CheckOptions]) -> DataReport:
    """Read a whole dataset once and report every row that cannot be used, or is odd.

    The memory is that of a few rows, of the problems that are kept and of 8 bytes a row.

    Raises:
        DatasetError: The file cannot be read, its shape is unknown, or does not fit the objective.
    """
    progress, partial = options.get("progress"), options.get("partial")
    watch = Watch()
    report: DataReport | None = None
    for report in check_steps(spec, watch, **options):
        if progress is not None:
            progress(report.rows, watch.bytes_done, watch.bytes_total)
        if partial is not None and not report.complete:
            partial(report)
    assert report is not None
    return report


def check_steps(spec: DatasetSpec, watch: Watch | None = None,
                **options: Unpack[CheckOptions]) -> Iterator[DataReport]:
    """Check as ``check`` does, and yield the report as it grows, a few times a second.

    It is one and the same report; the last time it is complete. Whoever stops asking cancels.

    Raises:
        DatasetError: Like ``check``.
    """
    watch = watch if watch is not None else Watch()
    shape = options.get("shape") or shape_of(spec)
    require_fit(shape, options.get("objective"), spec.name)
    report = DataReport(spec.name, shape, complete=False, size_bytes=spec.size())
    limit = options.get("limit")
    keeper = ProblemKeeper(report, MAX_PROBLEMS if limit is None else limit,
                           options.get("problems_file"))
    try:
        scan = scan_of(report, keeper, lambda row: watch.where(spec, row),
                       special_tokens=options.get("special_tokens") or (),
                       near_threshold=options.get("near_threshold"))
        for _ in _scanned(spec, scan, watch, options.get("max_samples")):
            scan.summarise()
            report.encodings = dict(watch.encodings)
            yield report
        report.encodings, report.notes = dict(watch.encodings), list(watch.notes)
        scan.finish(lines=spec.suffix in (".txt", ".md"))
    finally:
        keeper.close()
    if (index_to := options.get("index_to")) is not None and watch.index.complete:
        watch.index.save(index_to)
    if against := options.get("against"):
        from trainer.data.checking.leakage import find

        report.leaks = find(against, spec, shape=shape,
                            near_threshold=options.get("near_threshold")).document()
    report.complete = True
    yield report


def _scanned(spec: DatasetSpec, scan: Scan, watch: Watch,
             max_samples: int | None) -> Iterator[None]:
    """Let a scan look at the rows; yields a few times a second."""
    limits = [n for n in (max_samples, spec.entry and spec.entry.num_samples) if n]
    left = min(limits, default=-1)
    told = time.monotonic()
    for items in read_batches(spec, watch=watch):
        if 0 <= left <= len(items):
            scan.look_at(items[:left])
            return
        scan.look_at(items)
        left -= len(items) if left > 0 else 0
        if time.monotonic() - told >= STEP_S:
            yield
            told = time.monotonic()


def first_look(spec: DatasetSpec, *, shape: Shape | None = None, rows: int = FIRST_ROWS,
               seconds: float = FIRST_S) -> DataReport:
    """Report on the first rows only, at once; ``complete`` tells whether that was all.

    Args:
        spec: The dataset.
        shape: What its columns mean; None finds out.
        rows: How many are looked at.
        seconds: How long at most, for rows that are very long.

    Raises:
        DatasetError: Like ``check``.
    """
    report = DataReport(spec.name, shape or shape_of(spec), size_bytes=spec.size())
    require_fit(report.shape, None, spec.name)
    watch, end = Watch(), time.monotonic() + seconds
    keeper = ProblemKeeper(report, MAX_PROBLEMS, None)
    scan = scan_of(report, keeper, lambda row: watch.where(spec, row), special_tokens=(),
                   near_threshold=None)
    for items in read_batches(spec, watch=watch):
        scan.look_at(items[:rows - report.rows])
        if report.rows >= rows or time.monotonic() > end:
            break
    report.encodings, report.notes = dict(watch.encodings), list(watch.notes)
    scan.finish(lines=spec.suffix in (".txt", ".md"))
    keeper.close()
    report.complete = watch.index.complete and report.rows < rows
    return report


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

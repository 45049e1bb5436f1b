"""Taking rows out of a dataset for evaluation, by a seed; equal rows stay on one side."""

from __future__ import annotations

import secrets
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.data.catalog.fixups import Watching, entry_for, keep_rows
from trainer.data.catalog.jsonlines import json_line
from trainer.data.catalog.registry import Registry
from trainer.data.checking.check import shape_of
from trainer.data.reading.rows import DatasetError, Row, RowError
from trainer.data.reading.sources import DatasetSpec
from trainer.data.shapes.convert import convert
from trainer.data.shapes.recognise import Shape


@dataclass
class SplitReport:
    """Both parts: their files, rows and, once registered, names.

    ``unreadable`` rows are in neither: they have no values to keep.
    """

    train_path: Path
    eval_path: Path
    train_rows: int = 0
    eval_rows: int = 0
    unreadable: int = 0
    train: str = ""
    eval: str = ""

    def document(self) -> dict[str, Any]:
        """Return the report as scripts see it."""
        return {"train": self.train, "eval": self.eval, "train_rows": self.train_rows,
                "eval_rows": self.eval_rows, "unreadable": self.unreadable,
                "train_path": str(self.train_path), "eval_path": str(self.eval_path)}


def split_rows(spec: DatasetSpec, size: float, seed: int, *, folder: Path,
               watching: Watching | None = None) -> SplitReport:
    """Write a dataset as two new files of JSON Lines, each in the dataset's order.

    Args:
        spec: The dataset; it is read twice.
        size: Rows for the evaluation part, or their share when below 1.
        seed: The same seed takes the same rows.
        folder: Where the files go.
        watching: Who watches, and who may end it.

    Raises:
        DatasetError: The size leaves one part empty (``split_size``), the dataset cannot be read,
            or the work was cancelled; no file stays behind then.
    """
    watching = watching or Watching()
    shape = shape_of(spec)
    hashes = array("Q", _hashes(spec, shape, watching))
    chosen = _choose(hashes, _count(size, len(hashes), spec.name), seed)
    with _files(folder) as (report, train, evaluation):
        number = 0
        for item in watching.rows(spec):
            if not isinstance(item, Row):
                report.unreadable += 1
                continue
            here = bool(chosen[number])
            (evaluation if here else train).write(json_line(item.values))
            report.eval_rows += here
            report.train_rows += not here
            number += 1
        if not report.eval_rows or not report.train_rows:
            raise _bad_size(size, spec.name, report.train_rows + report.eval_rows)
    return report


def split(registry: Registry, name: str, size: float, seed: int, *,
          watching: Watching | None = None) -> SplitReport:
    """Split a dataset and register both parts.

    A dataset of the user's keeps the larger part as a new version; ``NAME-eval`` gets the other.

    Raises:
        DatasetError: As ``split_rows``; nothing is registered then.
    """
    spec = registry.resolve(name)
    registry.user_dir.mkdir(parents=True, exist_ok=True)
    report = split_rows(spec, size, seed, folder=registry.user_dir, watching=watching)
    wanted = f"{spec.name if spec.origin != 'path' else spec.path.stem}"
    from trainer.data.catalog.adding import plain_name

    report.eval = registry.add(f"{plain_name(wanted)[:59]}-eval",
                               entry_for(spec, report.eval_path), rename=True)
    report.train = keep_rows(registry, spec, report.train_path,
                             f"without the {report.eval_rows:,} rows of {report.eval}")
    return report


def _hashes(spec: DatasetSpec, shape: Shape, watching: Watching) -> Iterator[int]:
    """Yield a hash of each row that can be read; equal conversations have equal ones."""
    from trainer.data.checking.duplicates import hash_example

    for item in watching.rows(spec):
        if isinstance(item, Row):
            try:
                yield hash_example(convert(item, shape))
            except RowError:
                yield item.number


def _count(size: float, rows: int, name: str) -> int:
    if not 0 < size < rows or rows < 2:
        raise _bad_size(size, name, rows)
    return max(round(size * rows) if size < 1 else int(size), 1)


def _bad_size(size: float, name: str, rows: int) -> DatasetError:
    return DatasetError("split_size", f"{size:g} cannot be taken from the {rows:,} rows of "
                        f"'{name}'.", "Name a share between 0 and 1, or fewer rows than there "
                        "are different ones.")


def _choose(hashes: array[int], count: int, seed: int) -> Any:
    """Return a mask of about ``count`` rows, drawn by the seed; equal rows share their fate."""
    import numpy as np

    _, group, sizes = np.unique(np.frombuffer(hashes, dtype=np.uint64), return_inverse=True,
                                return_counts=True)
    order = np.random.default_rng(seed).permutation(len(sizes))
    before = np.concatenate(([0], np.cumsum(sizes[order])[:-1]))
    taken = np.zeros(len(sizes), dtype=bool)
    taken[order[before + sizes[order] <= count]] = True
    return taken[group]


@contextmanager
def _files(folder: Path) -> Iterator[tuple[SplitReport, Any, Any]]:
    """Open both files; neither stays when the work inside ends badly."""
    name = secrets.token_hex(8)
    report = SplitReport(folder / f"{name}-train.jsonl", folder / f"{name}-eval.jsonl")
    try:
        with ExitStack() as stack:
            yield (report, stack.enter_context(report.train_path.open("wb")),
                   stack.enter_context(report.eval_path.open("wb")))
    except BaseException:
        report.train_path.unlink(missing_ok=True)
        report.eval_path.unlink(missing_ok=True)
        raise

"""Fix-ups: a dataset without its bad rows, duplicates or filtered rows, as a new version.

The file that was there before is never changed. What is kept keeps its original columns, so that
the dataset's mapping stays true.
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trainer.contract.config.data import FilterConfig
from trainer.data.catalog import adding, versions
from trainer.data.catalog.jsonlines import json_line
from trainer.data.catalog.registry import Registry
from trainer.data.checking.check import shape_of
from trainer.data.reading.entry import DatasetEntry
from trainer.data.reading.readers import read
from trainer.data.reading.rowindex import Watch
from trainer.data.reading.rows import DatasetError, Row, RowError, RowProblem
from trainer.data.reading.sources import DatasetSpec
from trainer.data.shapes.convert import convert
from trainer.data.shapes.messages import Example
from trainer.data.shapes.recognise import Shape

Progress = Callable[[int, int, int], None]
Item = Row | RowProblem
_EVERY = 1000


@dataclass(frozen=True)
class Fixes:
    """What is left out. ``near_threshold`` counts for near duplicates only."""

    drop_bad: bool = True
    deduplicate: Literal["none", "exact", "near"] = "none"
    near_threshold: float = 0.85
    filters: FilterConfig = field(default_factory=FilterConfig)


@dataclass
class FixReport:
    """What a fix-up did. ``dropped`` counts rows by why; ``path`` is the new file.

    ``name`` and ``version`` say where it is registered; '' and 0 when it is not.
    """

    path: Path
    rows_in: int = 0
    rows_out: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    name: str = ""
    version: int = 0

    def document(self) -> dict[str, Any]:
        """Return the report as scripts see it."""
        return {"name": self.name, "version": self.version, "rows_in": self.rows_in,
                "rows_out": self.rows_out, "dropped": dict(self.dropped),
                "path": str(self.path)}

    def note(self) -> str:
        """Say what was left out, for the list of versions."""
        words = ", ".join(f"{count:,} {reason.replace('_', ' ')}"
                          for reason, count in self.dropped.most_common())
        return f"left out: {words}" if words else "nothing had to be left out"


@dataclass(frozen=True)
class Watching:
    """Who watches a pass over a dataset, and who may end it.

    ``progress`` is told (rows, bytes done, bytes in all).
    """

    progress: Progress | None = None
    cancel: threading.Event | None = None

    def rows(self, spec: DatasetSpec) -> Iterator[Item]:
        """Read a dataset and say how far it is; DatasetError ``cancelled`` when asked to end."""
        watch, count = Watch(), 0
        for count, item in enumerate(read(spec, watch=watch), start=1):
            if count % _EVERY == 0:
                self._look(count, watch)
            yield item
        self._look(count, watch)

    def _look(self, count: int, watch: Watch) -> None:
        if self.cancel is not None and self.cancel.is_set():
            raise DatasetError("cancelled", "The work on the data was cancelled.",
                               "Nothing was changed.")
        if self.progress is not None:
            self.progress(count, watch.bytes_done, watch.bytes_total)


def apply(spec: DatasetSpec, shape: Shape, fixes: Fixes, *, folder: Path,
          watching: Watching | None = None) -> FixReport:
    """Write what is left of a dataset to a new file in a folder, as JSON Lines.

    A row that cannot be read at all has no values to keep: it is always left out, and counted.

    Raises:
        DatasetError: Nothing is left (``nothing_left``), the dataset cannot be read, an extra is
            not installed, or the work was cancelled; no file stays behind then.
    """
    report = FixReport(folder / f"{secrets.token_hex(8)}.jsonl")
    reason = _Reasons(shape, fixes)
    try:
        with report.path.open("wb") as file:
            for item in (watching or Watching()).rows(spec):
                report.rows_in += 1
                if why := reason(item):
                    report.dropped[why] += 1
                elif isinstance(item, Row):
                    file.write(json_line(item.values))
                    report.rows_out += 1
        if not report.rows_out:
            raise DatasetError("nothing_left", f"No row of '{spec.name}' would be left "
                               f"({report.note()}).", "Choose less to leave out.")
    except BaseException:
        report.path.unlink(missing_ok=True)
        raise
    return report


class _Reasons:
    """Says of each row in turn why it is left out, or ''."""

    def __init__(self, shape: Shape, fixes: Fixes) -> None:
        self._shape, self._fixes = shape, fixes
        self._seen: set[int] = set()
        self._near: Any = None
        self._filter: Any = None
        if fixes.deduplicate == "near":
            from trainer.data.checking.near import NearFinder

            self._near = NearFinder(fixes.near_threshold)
        if fixes.filters.active:
            from trainer.data.checking.filters import Filter

            self._filter = Filter(fixes.filters)

    def __call__(self, item: Item) -> str:
        """Return the reason; what is returned '' for counts as kept."""
        if isinstance(item, RowProblem):
            return item.code
        try:
            example = convert(item, self._shape)
        except RowError as error:
            return error.code if self._fixes.drop_bad else ""
        return (self._filter.reason(example) if self._filter else "") or self._double(example)

    def _double(self, example: Example) -> str:
        if self._fixes.deduplicate == "none":
            return ""
        from trainer.data.checking.duplicates import hash_example

        number = hash_example(example)
        if number in self._seen:
            return "duplicate"
        self._seen.add(number)
        if self._near is not None and self._near.seen(example) is not None:
            return "near_duplicate"
        return ""


def fix(registry: Registry, name: str, fixes: Fixes, *,
        watching: Watching | None = None) -> FixReport:
    """Leave rows out of a dataset: a new version of one of the user's, else a new dataset.

    Raises:
        DatasetError: As ``apply``; the dataset stays as it was then.
    """
    spec = registry.resolve(name)
    report = apply(spec, shape_of(spec), fixes, folder=_folder(registry), watching=watching)
    if not report.dropped:
        report.path.unlink()
        report.path, report.name = spec.path, name
        return report
    _register(registry, spec, report)
    return report


def _folder(registry: Registry) -> Path:
    registry.user_dir.mkdir(parents=True, exist_ok=True)
    return registry.user_dir


def _register(registry: Registry, spec: DatasetSpec, report: FixReport) -> None:
    try:
        report.name = keep_rows(registry, spec, report.path, report.note())
    except BaseException:
        report.path.unlink(missing_ok=True)
        raise
    report.version = len(versions.versions(registry, report.name))


def keep_rows(registry: Registry, spec: DatasetSpec, path: Path, note: str) -> str:
    """Register new rows of a dataset: as its newest version, or beside it when it is not ours.

    Returns:
        The name under which they are registered.
    """
    if spec.origin == "user":
        versions.new_version(registry, spec.name, path, note)
        return spec.name
    return registry.add(adding.plain_name(spec.name), entry_for(spec, path), rename=True)


def entry_for(spec: DatasetSpec, path: Path) -> DatasetEntry:
    """Return an entry for new rows of a dataset, with the mapping that it has."""
    mapping = spec.entry.mapping_fields() if spec.entry else {}
    return DatasetEntry.model_validate({**mapping, "file_name": path.name})

"""Reports that outlive the process: a file is read once, as long as it does not change."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from trainer.contract.files import fsync_folder
from trainer.data.checking.check import Progress, check
from trainer.data.checking.report import DataReport, problems_of
from trainer.data.reading.rowindex import RowIndex
from trainer.data.reading.rows import DatasetError, RowProblem
from trainer.data.reading.sources import DatasetSpec
from trainer.data.shapes.objectives import require_fit
from trainer.data.shapes.recognise import Shape

# Counted up whenever a check says something else of the same file.
CHECKER_VERSION = 2
_REPORT, _INDEX, _PROBLEMS = "report.json", "rows.idx", "problems.jsonl"
_UNFINISHED, _ABANDONED_S = ".new-", 24 * 3600
_RECENT = 32
_ADAPTER = TypeAdapter(DataReport)


@dataclass(frozen=True)
class Asked:
    """What a report is about, besides the dataset's files.

    ``shape`` is None when the registry or the rows say what the columns mean.
    """

    shape: Shape | None = None
    max_samples: int | None = None
    special_tokens: tuple[str, ...] = ()

    def key(self, spec: DatasetSpec) -> str:
        """Return the name of the report: a hash of the files' stamps and of all that counts.

        Raises:
            DatasetError: A file is gone.
        """
        entry = spec.entry.model_dump(exclude_unset=True) if spec.entry else None
        shape = TypeAdapter(Shape).dump_python(self.shape, mode="json") if self.shape else None
        parts = [CHECKER_VERSION, spec.name, spec.stamp(), entry, shape, self.max_samples,
                 sorted(set(self.special_tokens))]
        text = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


class ReportStore:
    """Reports, row indexes and problems of datasets, in a folder.

    Safe with several threads and processes: an entry is made elsewhere and renamed into place.
    The entries that were used longest ago go when there are too many or they are too large.
    """

    def __init__(self, folder: Path, *, entries: int = 200, max_bytes: int = 2 * 2**30,
                 partial: Callable[[DataReport], None] | None = None) -> None:
        """Keep reports in ``folder``, which is made when it is first needed.

        Args:
            folder: Where they are kept.
            entries: How many at most.
            max_bytes: How large together.
            partial: Hears of every report while it grows; see ``check``.
        """
        self.folder, self._entries, self._max_bytes = folder, entries, max_bytes
        self._partial = partial
        self._lock = threading.Lock()
        self._recent: OrderedDict[str, DataReport | DatasetError] = OrderedDict()

    def check(self, spec: DatasetSpec, *, objective: str | None = None,
              max_samples: int | None = None, shape: Shape | None = None,
              special_tokens: Iterable[str] = (), progress: Progress | None = None) -> DataReport:
        """Return what ``check`` returns, or raise what it raises, without reading a file twice.

        Args:
            spec: The dataset.
            objective: What the data are for; a report serves every objective.
            max_samples: Look at the first rows only.
            shape: What the columns mean, in place of the registry's word.
            special_tokens: A tokenizer's, looked for besides the well-known ones.
            progress: See ``check``; not called when the report is there.

        Raises:
            DatasetError: The file cannot be read, or does not fit the objective.
        """
        asked = Asked(shape, max_samples, tuple(special_tokens))
        report = self.find(spec, asked)
        if report is None:
            try:
                report = self._made(spec, asked, progress)
            except DatasetError as error:
                self._remember(asked.key(spec), error)
                raise
        require_fit(report.shape, objective, spec.name)
        return report

    def find(self, spec: DatasetSpec, asked: Asked | None = None) -> DataReport | None:
        """Return the report when it is there; nothing is read but it.

        Raises:
            DatasetError: A file of the dataset is gone, or this process has seen that it cannot
                be read and it has not changed since.
        """
        key = (asked or Asked()).key(spec)
        with self._lock:
            known = self._recent.get(key)
        if isinstance(known, DatasetError):
            raise known.with_traceback(None)
        if known is not None and (not known.problems_file or Path(known.problems_file).exists()):
            self._touch(key)
            return known
        report = self._loaded(key)
        if report is not None:
            self._remember(key, report)
            self._touch(key)
        return report

    def index_of(self, spec: DatasetSpec, asked: Asked | None = None) -> RowIndex | None:
        """Return where the rows are, when the dataset was checked as a whole; else None."""
        try:
            path = self.folder / (asked or Asked()).key(spec) / _INDEX
            return RowIndex.load(path, spec) if path.exists() else None
        except DatasetError:
            return None

    def problems(self, report: DataReport, *, code: str | None = None, offset: int = 0,
                 limit: int = 100) -> list[RowProblem]:
        """Return a page of a report's problems, of one kind when ``code`` is given."""
        wanted = (p for p in problems_of(report) if code is None or p.code == code)
        return list(islice(wanted, offset, offset + limit))

    def forget(self, spec: DatasetSpec, asked: Asked | None = None) -> None:
        """Remove a report, so that the next check reads the file."""
        key = (asked or Asked()).key(spec)
        with self._lock:
            self._recent.pop(key, None)
        shutil.rmtree(self.folder / key, ignore_errors=True)

    def _made(self, spec: DatasetSpec, asked: Asked, progress: Progress | None) -> DataReport:
        """Check, and keep what was found."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = asked.key(spec)
        unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.folder))
        try:
            report = check(spec, max_samples=asked.max_samples, shape=asked.shape,
                           special_tokens=asked.special_tokens, progress=progress,
                           partial=self._partial,
                           problems_file=unfinished / _PROBLEMS, index_to=unfinished / _INDEX)
            if asked.key(spec) != key:
                report.problems_file = ""
                return report
            kept = replace(report, problems_file=_PROBLEMS if report.problems_file else "")
            text = json.dumps(_ADAPTER.dump_python(kept, mode="json"))
            (unfinished / _REPORT).write_text(text, encoding="utf-8")
            self._place(unfinished, key)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        if report.problems_file:
            report.problems_file = str(self.folder / key / _PROBLEMS)
        self._remember(key, report)
        self._tidy(key)
        return report

    def _place(self, unfinished: Path, key: str) -> None:
        """Rename a finished entry into place; one that another process placed is as good."""
        target = self.folder / key
        for _ in range(3):
            try:
                os.rename(unfinished, target)
                break
            except OSError:
                if self._loaded(key) is not None:
                    return
                shutil.rmtree(target, ignore_errors=True)
        fsync_folder(self.folder)

    def _loaded(self, key: str) -> DataReport | None:
        """Read a report; one that is missing or broken is none."""
        folder = self.folder / key
        try:
            report = _ADAPTER.validate_json((folder / _REPORT).read_bytes())
        except (OSError, ValidationError):
            return None
        if report.problems_file:
            report.problems_file = str(folder / _PROBLEMS)
            if not (folder / _PROBLEMS).exists():
                return None
        return report

    def _remember(self, key: str, report: DataReport | DatasetError) -> None:
        with self._lock:
            self._recent[key] = report
            self._recent.move_to_end(key)
            while len(self._recent) > _RECENT:
                self._recent.popitem(last=False)

    def _touch(self, key: str) -> None:
        with suppress(OSError):
            os.utime(self.folder / key)

    def _tidy(self, key: str) -> None:
        """Remove what was used longest ago, never the entry that was just made."""
        found: list[tuple[int, int, Path]] = []
        for folder in self.folder.iterdir():
            with suppress(OSError):
                if folder.name.startswith(_UNFINISHED):
                    if time.time() - folder.stat().st_mtime > _ABANDONED_S:
                        shutil.rmtree(folder, ignore_errors=True)
                elif folder.name != key:
                    size = sum(file.stat().st_size for file in folder.iterdir())
                    found.append((folder.stat().st_mtime_ns, size, folder))
        kept, total = 1, 0
        for _, size, folder in sorted(found, reverse=True):
            kept, total = kept + 1, total + size
            if kept > self._entries or total > self._max_bytes:
                shutil.rmtree(folder, ignore_errors=True)

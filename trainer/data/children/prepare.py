"""Tokenising a dataset once: looked up in the cache, else done in worker processes and kept.

The work is in ``plan``, ``survey``, ``shard`` and ``finish``, which run in data workers; here is
who does what. No template is rendered in this process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from trainer.data.children.workers import Cancelled, DataWorker, Limits
from trainer.data.reading.rows import DatasetError
from trainer.data.shapes.mapping import Kind
from trainer.data.templates.sandbox import TemplateError
from trainer.data.tokens.cache import ROWS, Kept, TokenCache
from trainer.data.tokens.plan import Plan
from trainer.data.tokens.request import PrepareRequest
from trainer.data.tokens.tokenize import Counts

# From so many bytes on, more than one process is worth its start.
LARGE_BYTES = 16 * 2**20
LEAST_BYTES = 2**20
SILENCE_S = 600.0
MEMORY_MIB = 8192
Progress = Callable[[int, int], None]
Document = dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """A dataset as tokens, in an Arrow file that nobody removes while this object lives.

    ``counts`` says what became of the rows, ``reused`` whether the cache had it; ``sha256`` is that
    of the data, ``kind`` what its rows looked like. See ``arrows`` for the columns of ``file``.
    """

    folder: Path
    counts: Counts
    reused: bool
    sha256: str
    key: str
    name: str
    kind: Kind
    _kept: Kept = field(repr=False, compare=False)

    @property
    def file(self) -> Path:
        """The Arrow file (IPC stream)."""
        return self.folder / ROWS

    @property
    def rows(self) -> int:
        """Number of sequences in the file."""
        return self.counts.blocks


def prepare(request: PrepareRequest, *, progress: Progress | None = None,
            cancel: threading.Event | None = None, worker: DataWorker | None = None) -> Prepared:
    """Make one dataset into tokens, or take what is kept of an earlier time.

    Args:
        request: What and how.
        progress: Called with (rows done, rows in all or the estimate of them) from any thread,
            never two at once; not called when nothing has to be done.
        cancel: When set, the work ends soon and leaves nothing behind.
        worker: A worker to use besides those started here; it stays alive.

    Raises:
        DatasetError: The data is missing, does not fit the objective, has bad rows that are not to
            be skipped, or changed while it was read; ``worker_io`` for a full disk.
        TemplateError: The chat template cannot be used, refuses a row, or hangs.
        Cancelled: ``cancel`` was set.
    """
    root = request.data.home / "cache" / "tokens" if request.data.home else request.folder
    if root is None:
        raise ValueError("a request needs a home or a folder")
    cancel = cancel or threading.Event()
    cache = TokenCache(root)
    with ExitStack() as stack:
        main = worker or stack.enter_context(DataWorker(Limits(memory_mib=MEMORY_MIB)))
        plan = Plan(**main.call("plan", request.document(), timeout_s=SILENCE_S, cancel=cancel))
        found = cache.find(plan.key)
        if found is not None:
            return _prepared(plan, found, reused=True)
        try:
            with cache.making(plan.key) as folder:
                job = _Job(request, plan, folder, cancel, _Told(progress))
                counts = job.run(main)
                kept = cache.keep(plan.key, folder, _meta(plan, counts, folder))
        except OSError as error:
            raise DatasetError("worker_io", f"The tokens cannot be written: {error}.",
                               "Look at the disk's free space and at the permissions.") from None
    return _prepared(plan, kept, reused=False)


def _meta(plan: Plan, counts: Counts, folder: Path) -> Document:
    return {"name": plan.name, "sha256": plan.sha256, "origin": plan.origin,
            "counts": counts.document(), "size_bytes": (folder / ROWS).stat().st_size}


def _prepared(plan: Plan, kept: Kept, *, reused: bool) -> Prepared:
    return Prepared(kept.folder, Counts(**kept.meta["counts"]), reused, plan.sha256, plan.key,
                    plan.name, plan.origin["shape"][0], kept)


@dataclass
class _Job:
    """One dataset that is being tokenised into a folder."""

    request: PrepareRequest
    plan: Plan
    folder: Path
    cancel: threading.Event
    told: _Told

    def run(self, main: DataWorker) -> Counts:
        """Do it; returns the counts."""
        params = {**self.request.document(), "work_folder": str(self.folder),
                  "stamp": self.plan.stamp}
        count = processes(self.request.workers, self.plan.size_bytes)
        ranges: list[Document] = [{}]
        if count > 1 or self.request.deduplicate != "none":
            found = main.call("survey", params, timeout_s=SILENCE_S, cancel=self.cancel,
                              progress=self.told.survey)
            self.told.total = found["rows"]
            ranges = split_rows(found["last"], count)
        parts = [{**params, **part, "out": f"rows-{number:05d}.arrow"}
                 for number, part in enumerate(ranges)]
        counts = self._shards(main, parts)
        done = main.call("finish", {**params, "parts": [part["out"] for part in parts],
                                    "out": ROWS, "counts": counts.document()},
                         timeout_s=SILENCE_S, cancel=self.cancel)
        self.told.all(done["rows"])
        return Counts(**done)

    def _shards(self, main: DataWorker, parts: list[Document]) -> Counts:
        """Tokenise all parts at once; of several errors the first row's is raised."""
        stops = [_Stop(self.cancel) for _ in parts]
        limits = Limits(memory_mib=MEMORY_MIB, threads=max(1, cores() // len(parts)))
        with ExitStack() as stack, ThreadPoolExecutor(len(parts)) as pool:
            workers = [main] if len(parts) == 1 else [
                stack.enter_context(DataWorker(limits)) for _ in parts]

            def one(number: int, worker: DataWorker) -> Counts:
                try:
                    return Counts(**worker.call(
                        "shard", parts[number], timeout_s=SILENCE_S, cancel=stops[number],
                        progress=lambda found: self.told.shard(number, found)))
                except BaseException:
                    for stop in stops[number + 1:]:
                        stop.set()
                    raise

            waiting = [pool.submit(one, number, worker)
                       for number, worker in enumerate(workers)]
            total = Counts()
            for future in waiting:
                total.merge(future.result())
            return total


class _Stop(threading.Event):
    """An event that is also set when another one is."""

    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set()


class _Told:
    """Sums up the progress of all processes."""

    def __init__(self, progress: Progress | None) -> None:
        self.total = 0
        self._progress = progress
        self._rows: dict[int, int] = {}
        self._lock = threading.Lock()

    def survey(self, found: Document) -> None:
        """Say that nothing is done yet, of about so many rows."""
        self._say(0, _estimate(found["surveyed"], found))

    def shard(self, number: int, found: Document) -> None:
        """Take note of one shard."""
        self._rows[number] = found["rows"]
        done = sum(self._rows.values())
        self._say(done, self.total or _estimate(done, found))

    def all(self, rows: int) -> None:
        """Say that everything is done."""
        self._say(rows, rows)

    def _say(self, done: int, total: int) -> None:
        if self._progress is not None:
            with self._lock:
                self._progress(done, max(done, total))


def _estimate(rows: int, found: Document) -> int:
    """Return how many rows there will be, by the bytes that were read so far."""
    read, whole = found.get("bytes_done") or 0, found.get("bytes_total") or 0
    return round(rows * whole / read) if read else rows


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processes(wanted: int | None, size_bytes: int) -> int:
    """Return how many processes a dataset is worth.

    As many as were asked for, but none that would have less than LEAST_BYTES to do, and not more
    than there are cores. When nothing was asked for: one per core for large data, else one.
    """
    if wanted is None:
        return cores() if size_bytes >= LARGE_BYTES else 1
    return max(1, min(wanted, cores(), size_bytes // LEAST_BYTES))


def split_rows(last: int, count: int) -> list[Document]:
    """Return ranges {start, last} of about equal size that together are rows 1 to ``last``."""
    edges = [last * number // count for number in range(count + 1)]
    found = [{"start": a + 1, "last": b} for a, b in pairwise(edges) if b > a]
    return found or [{"start": 1, "last": last}]


__all__ = ["Cancelled", "PrepareRequest", "Prepared", "TemplateError", "prepare", "processes",
           "split_rows"]

"""Long work on datasets: checking, measuring, fetching, fixing; in children that can be ended.

A job is found by what it does, so that asking for the same work twice finds the one at work, and a
page that is opened again goes on showing it. Jobs end with the process that keeps them: what they
leave behind is files, which are either whole or not there.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from trainer.data.reading.rows import DatasetError

State = Literal["waiting", "working", "done", "failed", "cancelled"]
ACTIVE: tuple[State, ...] = ("waiting", "working")
KEPT = 40
Then = Callable[[dict[str, Any]], dict[str, Any] | None]
LIMIT_S = 24 * 3600.0


class Worker(Protocol):
    """What a job needs of ``trainer.data.children.workers.DataWorker``."""

    def call(self, op: str, params: dict[str, Any], *, timeout_s: float = ...,
             progress: Callable[[dict[str, Any]], None] | None = ...,
             cancel: threading.Event | None = ...) -> dict[str, Any]:
        """Do one operation; what goes wrong is a DatasetError or a TemplateError."""

    def close(self) -> None:
        """End the child."""


@dataclass(frozen=True)
class Job:
    """One piece of work as it stands; ``done`` and ``total`` are bytes or rows, whatever counts."""

    id: str
    op: str
    name: str
    state: State = "waiting"
    done: float = 0
    total: float = 0
    rows: int = 0
    asked_at: float = 0.0
    started_at: float = 0.0
    ended_at: float = 0.0
    key: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    error: tuple[str, str, str] | None = None

    @property
    def active(self) -> bool:
        """Whether it waits or works."""
        return self.state in ACTIVE

    @property
    def fraction(self) -> float:
        """Return how far it is, 0 to 1; 0 while that is not known."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    def eta_s(self, now: float | None = None) -> float | None:
        """Return the seconds that are left at the pace so far; None while that says little."""
        passed = (time.time() if now is None else now) - self.started_at
        if self.state != "working" or passed < 1 or not 0 < self.done <= self.total:
            return None
        return passed * (self.total - self.done) / self.done

    def document(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        code, message, advice = self.error or ("", "", "")
        eta_s = self.eta_s()
        return {"id": self.id, "op": self.op, "dataset": self.name, "state": self.state,
                "done": self.done, "total": self.total, "rows": self.rows,
                "eta_s": None if eta_s is None else round(eta_s, 1), "result": self.result,
                "error": {"code": code, "message": message, "advice": advice} if code else None}


def job_id(op: str, name: str, params: Mapping[str, Any]) -> str:
    """Return the id of a piece of work: the same work has the same id."""
    text = json.dumps([op, name, params], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


class DataJobs:
    """Keeps the jobs of one process; thread-safe."""

    def __init__(self, make_worker: Callable[[str], Worker], *, at_once: int = 2) -> None:
        """Nothing is started yet.

        Args:
            make_worker: Makes a child's keeper for an operation; it does one job at a time.
            at_once: How many jobs may work at the same time.
        """
        self._make, self._slots = make_worker, threading.Semaphore(at_once)
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._cancels: dict[str, threading.Event] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._closed = False

    def start(self, op: str, name: str, params: Mapping[str, Any], *,
              then: Then | None = None, key: str = "") -> Job:
        """Begin a piece of work, or return the same one where it waits or works already.

        Args:
            op: One of the worker's operations.
            name: The dataset that it belongs to.
            params: What the operation is told.
            then: Called in the job's thread with the result; what it returns, if anything,
                replaces it.
            key: What whoever asks knows the work by.
        """
        identity = job_id(op, name, params)
        with self._lock:
            known = self._jobs.get(identity)
            if (known and known.active) or self._closed:
                return known or Job(identity, op, name, "cancelled")
            job = Job(identity, op, name, asked_at=time.time(), key=key)
            self._jobs.pop(identity, None)
            self._jobs[identity] = job
            self._forget()
            cancel = self._cancels[identity] = threading.Event()
            thread = threading.Thread(target=self._work, name=f"data-{op}",
                                      args=(job, dict(params), cancel, then))
            self._threads[identity] = thread
        thread.start()
        return job

    def _forget(self) -> None:
        """Drop the oldest ended jobs beyond those that are kept."""
        ended = [key for key, job in self._jobs.items() if not job.active]
        for key in ended[:max(0, len(self._jobs) - KEPT)]:
            for table in (self._jobs, self._cancels, self._threads):
                table.pop(key, None)

    def get(self, identity: str) -> Job:
        """Return a job; DatasetError ``unknown_job`` when there is none of that id."""
        with self._lock:
            if (job := self._jobs.get(identity)) is not None:
                return job
        raise DatasetError("unknown_job", "There is no such work: it ended long ago, or the "
                           "server was started again since.", "Ask for it again.")

    def of(self, name: str | None = None) -> list[Job]:
        """Return a dataset's jobs (of all when None), oldest first."""
        with self._lock:
            return [job for job in self._jobs.values() if name is None or job.name == name]

    def cancel(self, identity: str) -> Job:
        """End a job: at once when it waits, else with its child."""
        job = self.get(identity)
        with self._lock:
            if job.active and (event := self._cancels.get(identity)) is not None:
                event.set()
        return job

    def forget(self, name: str) -> None:
        """Drop what has ended of a dataset, which is gone: another may take its name."""
        with self._lock:
            for key in [k for k, job in self._jobs.items() if job.name == name and not job.active]:
                for table in (self._jobs, self._cancels, self._threads):
                    table.pop(key, None)

    def wait(self, identity: str, limit_s: float) -> Job:
        """Wait for a job's end, at most so long; return it as it stands then."""
        with self._lock:
            thread = self._threads.get(identity)
        if thread is not None:
            thread.join(limit_s)
        return self.get(identity)

    def close(self) -> None:
        """End every job and every child; nothing can be started afterwards."""
        with self._lock:
            self._closed = True
            threads = [*self._threads.values()]
            for event in self._cancels.values():
                event.set()
        for thread in threads:
            thread.join()

    def _change(self, identity: str, **changes: Any) -> None:
        with self._lock:
            self._jobs[identity] = replace(self._jobs[identity], **changes)

    def _work(self, job: Job, params: dict[str, Any], cancel: threading.Event,
              then: Then | None) -> None:
        """Wait for a free slot, work, and keep what became of it."""
        ended: dict[str, Any] = {"state": "failed", "error": (
            "internal", "Something went wrong inside the studio.", "Look at the server's log.")}
        try:
            while not self._slots.acquire(timeout=0.1):
                if cancel.is_set():
                    ended = {"state": "cancelled"}
                    return
            try:
                ended = self._call(job, params, cancel, then)
            finally:
                self._slots.release()
        finally:
            self._change(job.id, **ended, ended_at=time.time())

    def _call(self, job: Job, params: dict[str, Any], cancel: threading.Event,
              then: Then | None) -> dict[str, Any]:
        if cancel.is_set():
            return {"state": "cancelled"}
        self._change(job.id, state="working", started_at=time.time())
        worker = self._make(job.op)
        def heard(word: Mapping[str, Any]) -> None:
            self._change(job.id, **_progress(word))

        try:
            result = worker.call(job.op, params, timeout_s=LIMIT_S, progress=heard, cancel=cancel)
            result = (then(result) if then else None) or result
        except (ValueError, OSError) as error:
            if cancel.is_set():
                return {"state": "cancelled"}
            code = str(getattr(error, "code", "internal"))
            message = str(getattr(error, "message", error))
            return {"state": "failed", "error": (code, message, str(getattr(error, "advice", "")))}
        finally:
            worker.close()
        return {"state": "done", "result": result}


def _progress(word: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a worker's word says of how far it is; bytes count where both are told.

    A report that grows is the result so far.
    """
    found: dict[str, Any] = {}
    if word.get("report") is not None:
        found["result"] = {"report": word["report"]}
    if word.get("rows") is not None:
        found["rows"] = int(word["rows"])
    done = word.get("done", word.get("bytes_done"))
    total = word.get("total", word.get("bytes_total"))
    if done is not None and total:
        found["done"], found["total"] = done, total
    return found

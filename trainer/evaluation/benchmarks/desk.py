"""Requests of a benchmark: many at once, each answer kept as soon as it is there.

lm-evaluation-harness is synchronous and runs in a thread of its own; the engine is asked on the
event loop of whoever called. A desk stands between them.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from trainer.evaluation.benchmarks import Say, Stopped
from trainer.evaluation.seam import Asker, Unanswerable
from trainer.evaluation.store import line_of
from trainer.failures import Failure

# What is kept of an answer: its text, or a log-likelihood and whether greedy decoding says it.
Value = str | list[float]


@dataclass(frozen=True)
class Job:
    """One request.

    Attributes:
        path: Such as '/completions'.
        body: Without the model's name.
        read: Makes of a reply what is kept.
        number: Tells requests apart whose bodies are equal, of a task that draws several answers.
    """

    path: str
    body: dict[str, Any]
    read: Callable[[dict[str, Any]], Value]
    number: int = 0

    @property
    def key(self) -> str:
        """What an answer is found again by."""
        text = json.dumps([self.path, self.number, self.body], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


class Journal:
    """Answers that are known, a line each: a new attempt asks only what is missing."""

    def __init__(self, path: Path) -> None:
        """Read what is there; a torn last line is passed by."""
        self.known: dict[str, Value] = {}
        whole = b""
        if path.is_file():
            whole = path.read_bytes()
            for line in whole.split(b"\n"):
                self._take(line)
        self._file: IO[bytes] = path.open("ab")
        if whole and not whole.endswith(b"\n"):
            self._file.write(b"\n")

    def _take(self, line: bytes) -> None:
        try:
            found = json.loads(line)
            self.known[found["key"]] = found["value"]
        except (ValueError, KeyError, TypeError):
            return

    def add(self, key: str, value: Value) -> None:
        """Keep an answer; one write a line."""
        self.known[key] = value
        self._file.write(line_of({"key": key, "value": value}))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Desk:
    """Takes requests from the harness's thread and asks the engine on the caller's loop."""

    def __init__(self, asker: Asker, journal: Journal, at_once: int, say: Say,
                 stopped: Stopped) -> None:
        """Stand on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._asker, self._journal, self._at_once = asker, journal, max(1, at_once)
        self._say, self._stopped = say, stopped
        self._pending: concurrent.futures.Future[None] | None = None
        self._closed = False
        self.task = ""
        self.requests = self.kept = 0

    def ask(self, jobs: Sequence[Job]) -> list[Value]:
        """Return the answers of requests, in their order; called from the harness's thread.

        Raises:
            Failure: What the asker raises, 'stopped', or 'benchmark_task' where the engine refuses
                a request.
        """
        keys = [job.key for job in jobs]
        wanted = {key: job for key, job in zip(keys, jobs, strict=True)
                  if key not in self._journal.known}
        self.requests += len(set(keys))
        self.kept += len(set(keys)) - len(wanted)
        if wanted:
            if self._closed:
                raise _stopped()
            self._pending = asyncio.run_coroutine_threadsafe(
                self._answer(wanted, len(set(keys))), self._loop)
            try:
                self._pending.result()
            except concurrent.futures.CancelledError:
                raise _stopped() from None
        return [self._journal.known[key] for key in keys]

    def close(self) -> None:
        """End what is under way; nothing can be asked any more."""
        self._closed = True
        if self._pending is not None:
            self._pending.cancel()

    async def _answer(self, wanted: dict[str, Job], total: int) -> None:
        """Ask with so many workers; the first failure ends all of them."""
        waiting = iter(wanted.items())
        done = total - len(wanted)

        def told() -> None:
            nonlocal done
            done += 1
            self._say(done, total, self.task)

        self._say(done, total, self.task)
        workers = [asyncio.ensure_future(self._work(waiting, told))
                   for _ in range(min(self._at_once, len(wanted)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, waiting: Iterator[tuple[str, Job]], told: Callable[[], None]) -> None:
        for key, job in waiting:
            if self._stopped():
                raise _stopped()
            try:
                reply = await self._asker.post(job.path, job.body)
            except Unanswerable as error:
                raise Failure("benchmark_task", f"The engine refuses a question of '{self.task}': "
                              f"{error}", "Ask the task with fewer examples, or a model with a "
                              "longer context.") from None
            try:
                value = job.read(reply)
            except (KeyError, IndexError, TypeError) as error:
                raise Failure("benchmark_task", f"The engine's answer to a question of "
                              f"'{self.task}' has another form than was agreed on ({error!r}).",
                              "Ask another engine.") from None
            self._journal.add(key, value)
            told()


def _stopped() -> Failure:
    return Failure("stopped", "The benchmarks were stopped as asked.",
                   "What is answered is kept: a new attempt goes on from there.")

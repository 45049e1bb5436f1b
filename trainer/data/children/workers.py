"""Data work in a process of its own: a template that hangs or eats memory costs nothing else.

``DataWorker`` keeps one warm child, ``python -P -m trainer.data.children.worker``, which it kills
when a request takes too long or is cancelled; the next call starts another. See ``operations``
for what can be asked.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any

from trainer.contract.redact import SECRET_VARIABLES, known_secrets, redact
from trainer.data.reading.rows import DatasetError
from trainer.data.templates.sandbox import TemplateError

ARGV = (sys.executable, "-P", "-m", "trainer.data.children.worker")
RENDERS = frozenset({"describe", "encode_prompt", "encode_prompts", "preview", "lengths",
                     "plan", "shard"})
_LOOK_S = 0.1
_GRACE_S = 2.0
Document = dict[str, Any]
Progress = Callable[[Document], None]


@dataclass(frozen=True)
class Limits:
    """What a worker may use.

    ``memory_mib`` is a ceiling for the process, ``render_s`` for one rendering. ``threads`` is for
    ``tokenizers``; None leaves it to the library. ``keep_secrets`` hands on tokens such as
    HF_TOKEN, for fetching from a hub.
    """

    memory_mib: int = 4096
    files: int = 512
    render_s: float = 5.0
    threads: int | None = None
    keep_secrets: bool = False


class Cancelled(DatasetError):
    """Somebody asked for the work to end."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("cancelled", "The work on the data was cancelled.")


class DataWorker:
    """One warm child that does data work; calls from several threads wait for each other."""

    def __init__(self, limits: Limits | None = None) -> None:
        """Start nothing yet; see ``start``."""
        self._limits = limits or Limits()
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def start(self) -> None:
        """Start the child now, so that the first call finds it ready."""
        with self._lock:
            self._ready()

    @property
    def pid(self) -> int | None:
        """Process id of the child; None when there is none."""
        return self._child.pid if self._child is not None and self._child.alive else None

    def call(self, op: str, params: Mapping[str, Any], *, timeout_s: float = 30.0,
             progress: Progress | None = None, cancel: threading.Event | None = None) -> Document:
        """Do one operation and return what it returns.

        Args:
            op: A name of ``operations.OPERATIONS``.
            params: JSON values.
            timeout_s: The longest silence; the child is killed after it.
            progress: Called with each progress document.
            cancel: When set, the child is asked to end the work, and killed if it does not.

        Raises:
            DatasetError: What the operation refuses; ``worker_died``, ``worker_time``.
            TemplateError: What the template refuses; ``template_time``, ``template_memory``.
            Cancelled: ``cancel`` was set.
        """
        with self._lock:
            child = self._ready()
            try:
                child.send({"op": op, "params": dict(params)})
                answer = self._wait(child, op, timeout_s, progress, cancel)
            except BaseException:
                self._drop()
                raise
            if "error" in answer:
                raise self._refused(answer["error"])
            return dict(answer["result"])

    def _wait(self, child: _Child, op: str, timeout_s: float, progress: Progress | None,
              cancel: threading.Event | None) -> Document:
        """Return the last line of an answer."""
        until = time.monotonic() + timeout_s
        asked = False
        while True:
            if cancel is not None and cancel.is_set() and not asked:
                child.send({"cancel": True})
                asked, until = True, time.monotonic() + _GRACE_S
            left = until - time.monotonic()
            if left <= 0:
                raise Cancelled if asked else _silent(op, timeout_s)
            for line in child.lines(min(left, _LOOK_S) if cancel else left):
                answer: Document = json.loads(line)
                if "progress" not in answer:
                    return answer
                if asked:
                    continue
                until = time.monotonic() + timeout_s
                if progress is not None:
                    progress(answer["progress"])

    def _refused(self, error: Mapping[str, str]) -> DatasetError | TemplateError:
        """Make the error that the child tells of; one that was out of bounds is started anew."""
        if error["code"] in ("template_time", "template_memory", "worker_memory"):
            self._drop()
        if error["code"] == "cancelled":
            return Cancelled()
        kind = TemplateError if error["kind"] == "template" else DatasetError
        return kind(error["code"], error["message"], error["advice"])

    def _ready(self) -> _Child:
        if self._child is not None and not self._child.alive:
            self._drop()
        if self._child is None:
            self._child = _Child(self._limits)
        return self._child

    def _drop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def close(self) -> None:
        """End the child; a later call starts another."""
        with self._lock:
            self._drop()

    def __enter__(self) -> DataWorker:
        """Return the worker; leaving the block ends its child."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End the child."""
        self.close()


def _silent(op: str, seconds: float) -> DatasetError | TemplateError:
    if op in RENDERS:
        return TemplateError("template_time", f"Rendering did not finish within {seconds:g} s and "
                             "was stopped.", "Use another template, or another model.")
    return DatasetError("worker_time", f"Reading the data did not finish within {seconds:g} s and "
                        "was stopped.", "Try again, or look whether its disk answers.")


class _Child:
    """A running worker process and its pipes."""

    def __init__(self, limits: Limits) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  lives as the child does
        try:
            self._process = subprocess.Popen(
                list(ARGV), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                env=_environment(limits), start_new_session=True)
        except OSError as error:
            self._errors.close()
            raise DatasetError("worker_died", "The data worker cannot be started: "
                               f"{error.strerror}.", "Run 'finestra doctor'.") from None
        self._left = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._output.fileno(), selectors.EVENT_READ)
        self.send({"memory_mib": limits.memory_mib, "files": limits.files,
                   "render_s": limits.render_s})

    @property
    def _output(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def send(self, document: Document) -> None:
        """Write one line; DatasetError when the child is gone."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(document).encode("ascii") + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self._died() from None

    def lines(self, wait_s: float) -> list[bytes]:
        """Return the lines that are there, waiting so long for the first bytes."""
        if not self._selector.select(wait_s):
            return []
        found = os.read(self._output.fileno(), 1 << 20)
        if not found:
            raise self._died()
        *whole, self._left = (self._left + found).split(b"\n") if b"\n" in found \
            else [self._left + found]
        return whole

    def _died(self) -> DatasetError:
        """Describe how the process ended, with its last line."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(2.0)
        status = self._process.returncode
        how = f"was ended by {_signal_name(-status)}" if status is not None and status < 0 \
            else f"ended with status {status}"
        self._errors.seek(0)
        last = self._errors.read()[-2000:].decode("utf-8", "replace").strip().rpartition("\n")[2]
        reason = f": {redact(last, known_secrets())}" if last else ""
        return DatasetError("worker_died", f"The process that reads the data {how}{reason}.",
                            "Try again; if it happens again, look at this row and template.")

    def kill(self) -> None:
        """End the process at once: it holds nothing that is worth saving."""
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self._selector.close()
        for stream in (self._process.stdin, self._output, self._errors):
            with suppress(OSError):
                if stream is not None:
                    stream.close()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _environment(limits: Limits) -> dict[str, str]:
    """Return this process's environment, without secrets unless they are needed."""
    hidden = () if limits.keep_secrets else SECRET_VARIABLES
    kept = {k: v for k, v in os.environ.items() if k not in hidden}
    threads = {"RAYON_NUM_THREADS": str(limits.threads)} if limits.threads else {}
    return {**kept, "TOKENIZERS_PARALLELISM": "true", **threads}

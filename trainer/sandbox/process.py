"""A child process for code that is not ours, and the line to it: one JSON document a line.

It has an environment without secrets, an empty folder as its home, its own session, and limits of
time and memory. What else it may not do is up to what runs in it (see ``inside.locks``).
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from trainer.contract.redact import known_secrets, redact

# All that it sees of the environment; HOME is an empty folder of its own.
KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONPATH", "VIRTUAL_ENV")
LARGEST_REPLY = 16 * 2**20
_LAST = 4000
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Bounds:
    """Limits: seconds to start and for each answer, memory of the process."""

    start_s: float = 60.0
    batch_s: float = 60.0
    memory_mib: int = 2048


class Broken(Exception):
    """The child gave no answer; it is ended.

    Attributes:
        kind: ``time`` (too long), ``died`` (it ended by itself), ``refused`` (what it said is no
            answer).
        why: A clause for people, without secrets: 'it did not finish within 60 s'.
    """

    def __init__(self, kind: Literal["time", "died", "refused"], why: str) -> None:
        """Keep kind and reason."""
        super().__init__(why)
        self.kind, self.why = kind, redact(why, known_secrets())


class Child:
    """A running child; any trouble ends it."""

    def __init__(self, module: str) -> None:
        """Start ``python -P -m module``."""
        self.home = tempfile.mkdtemp(prefix="finestra-sandbox-")
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, cwd=self.home, start_new_session=True,
            env={**kept, "HOME": self.home, "TMPDIR": self.home, "CUDA_VISIBLE_DEVICES": "",
                 "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
                 "PYTHONDONTWRITEBYTECODE": "1"})
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self._in, self._out, self._errors = (stream.fileno() for stream in (
            self.process.stdin, self.process.stdout, self.process.stderr))
        self._tail = b""
        for place in (self._in, self._errors):
            os.set_blocking(place, False)

    def ask(self, document: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send one line and return the child's.

        Raises:
            Broken: It took too long, ended, or said something that is no answer.
        """
        try:
            line = self._exchange(json.dumps(document).encode("ascii") + b"\n", seconds)
            try:
                answer = json.loads(line)
            except (ValueError, RecursionError):
                answer = None
            if not isinstance(answer, dict):
                raise Broken("refused", "what it said cannot be read")
            if "ended" in answer:
                raise Broken("died", str(answer["ended"]))
            if "refused" in answer:
                raise Broken("refused", str(answer["refused"]))
        except Broken:
            self.close()
            raise
        return answer

    def _exchange(self, line: bytes, seconds: float) -> bytes:
        """Write a line while reading what comes: a child that does not listen blocks nobody."""
        until, unsent, text = time.monotonic() + seconds, memoryview(line), bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._in, selectors.EVENT_WRITE)
            selector.register(self._out, selectors.EVENT_READ)
            selector.register(self._errors, selectors.EVENT_READ)
            while b"\n" not in text[-_CHUNK:]:
                ready = selector.select(max(0.0, until - time.monotonic()))
                if time.monotonic() >= until:
                    raise Broken("time", f"it did not finish within {seconds:g} s")
                for key, _ in ready:
                    if key.fd == self._in:
                        unsent = self._send(unsent)
                    elif not (found := os.read(key.fd, _CHUNK)):
                        if key.fd == self._out:
                            raise self._died()
                        selector.unregister(key.fd)
                    elif key.fd == self._out:
                        text += found
                    else:
                        self._tail = (self._tail + found)[-_LAST:]
                if not unsent and self._in in selector.get_map():
                    selector.unregister(self._in)
                if len(text) > LARGEST_REPLY:
                    raise Broken("refused", "it returned far too much")
        return bytes(text.partition(b"\n")[0])

    def _send(self, unsent: memoryview) -> memoryview:
        """Write what fits; a child that is gone is found out when its answer is read."""
        try:
            return unsent[os.write(self._in, unsent[:_CHUNK]):]
        except OSError:
            return unsent[:0]

    def _died(self) -> Broken:
        """Describe how the child ended, with the last line that it wrote."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5.0)
        with suppress(OSError):
            while found := os.read(self._errors, _CHUNK):
                self._tail = (self._tail + found)[-_LAST:]
        status = self.process.returncode
        if status in (-signal.SIGXCPU, -signal.SIGKILL):
            return Broken("time", "it was ended for the processor time or memory that it took")
        last = self._tail.decode("utf-8", "replace").strip().rpartition("\n")[2]
        how = f"signal {signal.Signals(-status).name}" if status is not None and status < 0 \
            else last or f"it ended with status {status}"
        return Broken("died", how)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def close(self) -> None:
        """End the child at once, and what it started: it holds nothing that is worth saving."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            with suppress(OSError):
                if stream is not None:
                    stream.close()
        shutil.rmtree(self.home, ignore_errors=True)

"""A child process that runs a user's reward function, within limits of time and memory.

It keeps accidents away from the training and secrets out of the function's environment. It is no
prison: the function may read what its user may read, which is why the file needs consent.
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
from pathlib import Path
from typing import IO, Any

from trainer.contract.redact import known_secrets, redact
from trainer.failures import Failure

ARGV = (sys.executable, "-P", "-m", "trainer.rewards.child")
# All that the function sees of the environment; HOME is an empty folder of its own.
KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONPATH", "VIRTUAL_ENV")
LARGEST_REPLY = 16 * 2**20


@dataclass(frozen=True)
class Bounds:
    """Limits: seconds to start and for each batch of answers, memory of the process."""

    start_s: float = 60.0
    batch_s: float = 60.0
    memory_mib: int = 2048


class Sandbox:
    """One warm child; it is started by the first batch and ended by ``close`` or any trouble."""

    def __init__(self, path: Path, source: bytes, bounds: Bounds) -> None:
        """Keep the text that may run; ``path`` is only its name."""
        self._path, self._source, self._bounds = path, source, bounds
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._home = ""

    def score(self, prompts: list[str], completions: list[str],
              references: list[str]) -> list[float | None]:
        """Return what the function returns for a batch.

        Raises:
            Failure: It took too long, died, or returned something else than numbers.
        """
        if self._process is None:
            self._start()
        answer = self._ask({"prompts": prompts, "completions": completions,
                            "references": references}, self._bounds.batch_s)
        if "refused" in answer:
            raise self._failure("reward_function", str(answer["refused"]))
        return list(answer["scores"])

    def _start(self) -> None:
        self._home = tempfile.mkdtemp(prefix="finestra-reward-")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  lives as the child does
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        self._process = subprocess.Popen(
            list(ARGV), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            cwd=self._home, start_new_session=True,
            env={**kept, "HOME": self._home, "TMPDIR": self._home, "CUDA_VISIBLE_DEVICES": "",
                 "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
                 "PYTHONDONTWRITEBYTECODE": "1"})
        answer = self._ask({"name": str(self._path), "source": self._source.decode("utf-8"),
                            "memory_mib": self._bounds.memory_mib}, self._bounds.start_s)
        if "refused" in answer:
            raise self._failure("reward_function", str(answer["refused"]))

    def _ask(self, document: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send one line and return the child's, or end it."""
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(document).encode("ascii") + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self._died() from None
        answer: dict[str, Any] = json.loads(self._line(seconds))
        return answer

    def _line(self, seconds: float) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        until, text = time.monotonic() + seconds, b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not text.endswith(b"\n"):
                left = until - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise self._failure("reward_time", f"it did not finish within {seconds:g} s")
                found = os.read(self._process.stdout.fileno(), 1 << 20)
                if not found:
                    raise self._died()
                text += found
                if len(text) > LARGEST_REPLY:
                    raise self._failure("reward_function", "it returned far too much")
        return text

    def _died(self) -> Failure:
        """Describe how the child ended, with the last line that it wrote."""
        assert self._process is not None and self._errors is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5.0)
        status = self._process.returncode
        self._errors.seek(0)
        last = self._errors.read()[-4000:].decode("utf-8", "replace").strip().rpartition("\n")[2]
        how = f"signal {signal.Signals(-status).name}" if status is not None and status < 0 \
            else last or f"it ended with status {status}"
        return self._failure("reward_function", redact(how, known_secrets()))

    def _failure(self, code: str, why: str) -> Failure:
        self.close()
        return Failure(code, f"The reward function of '{self._path}' failed: {why}.",
                       "Mend the file and consent to it again; the run can be resumed.")

    def close(self) -> None:
        """End the child at once: it holds nothing that is worth saving."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout, self._errors):
            with suppress(OSError):
                if stream is not None:
                    stream.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def __del__(self) -> None:
        """Leave no child behind."""
        self.close()

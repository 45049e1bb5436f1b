"""One chat engine as a child process that speaks JSON lines on its standard input and output.

The child ends when its standard input closes, so it cannot outlive this server, however it dies.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from app.logfile import clean, read_tail
from trainer.contract.redact import SECRET_VARIABLES, known_secrets, redact

ARGV = (sys.executable, "-P", "-m", "trainer.chat")
GRACE_S = 5.0
LAST_LINES = 20
_MAX_LINE_BYTES = 4 << 20
Answer = dict[str, Any]


class ChatError(ValueError):
    """A chat cannot go on; ``code`` is stable, ``log`` holds the engine's last lines."""

    def __init__(self, code: str, message: str, advice: str = "", log: str = "") -> None:
        """Keep code, advice and log beside the message."""
        super().__init__(message)
        self.code, self.advice, self.log = code, advice, log


def last_lines(path: Path, count: int = LAST_LINES) -> str:
    """Return the last lines of a log as plain text without secrets, or ''."""
    lines = clean(read_tail(path, 32_768)).splitlines()
    return redact("\n".join([line for line in lines if line.strip()][-count:]), known_secrets())


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without secrets and with ``extra``."""
    kept = {k: v for k, v in os.environ.items() if k not in SECRET_VARIABLES}
    return {**kept, "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false", **extra}


def _refused(answer: Answer) -> ChatError:
    message = redact(str(answer.get("message") or "The chat engine gave no reason."))
    return ChatError(str(answer.get("code") or "engine"), message,
                     str(answer.get("advice") or ""))


class ChatChild:
    """A running engine; requests carry an id, answers are sorted to whoever waits for it.

    Args:
        log: Where its standard error goes; started anew.
        environ: Variables besides this process's own, for example CUDA_VISIBLE_DEVICES.
        argv: The command; constant but for tests.
    """

    def __init__(self, log: Path, *, environ: Mapping[str, str],
                 argv: Sequence[str] = ARGV) -> None:
        """Start the process.

        Raises:
            ChatError: It cannot be started.
        """
        self.log = log
        self._waiting: dict[int, queue.SimpleQueue[Answer | None]] = {}
        self._lock = threading.Lock()
        self._number = 0
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            self._process = subprocess.Popen(
                list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=handle,
                env=child_environment(environ), cwd=log.parent, start_new_session=True)
        except OSError as error:
            raise ChatError("engine", f"The chat engine cannot be started: {error.strerror}.",
                            "Run 'finestra doctor'.") from None
        finally:
            os.close(handle)
        self._reader = threading.Thread(target=self._read, name="chat-reader", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id of the engine."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def _read(self) -> None:
        """Hand answers to those who wait; None when the engine has ended."""
        stream: IO[bytes] | None = self._process.stdout
        assert stream is not None
        while line := stream.readline(_MAX_LINE_BYTES):
            try:
                answer = json.loads(line)
            except ValueError:
                continue
            if isinstance(answer, dict) and isinstance(answer.get("id"), int):
                with self._lock:
                    box = self._waiting.get(answer["id"])
                if box is not None:
                    box.put(answer)
        stream.close()
        with self._lock:
            boxes = list(self._waiting.values())
        for box in boxes:
            box.put(None)

    def _send(self, request: Mapping[str, Any]) -> None:
        line = json.dumps(request, ensure_ascii=False, allow_nan=False) + "\n"
        stream = self._process.stdin
        assert stream is not None
        try:
            with self._lock:
                stream.write(line.encode("utf-8"))
                stream.flush()
        except (OSError, ValueError):
            raise self.died() from None

    def request(self, op: str, *, timeout_s: float, is_last: Callable[[Answer], bool],
                **values: Any) -> Iterator[Answer]:
        """Send a request and yield its answers; leaving early cancels it.

        Args:
            op: 'load' or 'ask'.
            timeout_s: Longest silence that is put up with, in seconds.
            is_last: Tells whether nothing follows an answer.
            **values: What else the request says.

        Raises:
            ChatError: The engine died ('engine_died'), refuses (its own code), or is silent.
        """
        box: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        with self._lock:
            self._number += 1
            number = self._number
            self._waiting[number] = box
        finished = False
        try:
            self._send({"id": number, "op": op, **values})
            while not finished:
                answer = self._next(box, timeout_s)
                finished = answer.get("event") == "error" or is_last(answer)
                if answer.get("event") == "error":
                    raise _refused(answer)
                yield answer
        finally:
            with self._lock:
                known = self._waiting.pop(number, None) is not None
            if known and not finished:
                self._cancel(number)

    def cancel(self, *, forget: bool = False) -> None:
        """Ask the engine to end every answer that it is writing.

        Args:
            forget: Nobody waits for them any more. Else they end as usual, with what there is.
        """
        with self._lock:
            numbers = list(self._waiting)
            if forget:
                self._waiting.clear()
        for number in numbers:
            self._cancel(number)

    def _cancel(self, number: int) -> None:
        if self.alive:
            with suppress(ChatError):
                self._send({"id": number, "op": "cancel"})

    def _next(self, box: queue.SimpleQueue[Answer | None], timeout_s: float) -> Answer:
        try:
            answer = box.get(timeout=timeout_s)
        except queue.Empty:
            raise ChatError("engine_silent", f"The chat engine said nothing for {timeout_s:.0f} s.",
                            "Unload the model and ask again.", last_lines(self.log)) from None
        if answer is None:
            raise self.died()
        return answer

    def died(self) -> ChatError:
        """Describe how the engine ended, with its last lines."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_S)
        status = self._process.returncode
        how = f"was ended by signal {-status}" if status is not None and status < 0 \
            else f"ended with status {status}"
        if status == -signal.SIGKILL:
            how += " (often out of memory)"
        return ChatError("engine_died", f"The chat engine {how}.", "Ask again to restart it.",
                         last_lines(self.log))

    def close(self, grace_s: float = GRACE_S) -> None:
        """End the engine: close its input, wait a little, then kill its whole group."""
        with suppress(OSError, ValueError), self._lock:
            assert self._process.stdin is not None
            self._process.stdin.close()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._reader.join(grace_s)

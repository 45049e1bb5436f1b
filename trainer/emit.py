"""EventWriter: the one place that writes ``events.jsonl``."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from trainer.contract.events import ChoiceEvent, Event, StageEvent, WarningEvent, to_line


class EventWriter:
    """Append typed events to an attempt's file, one ``write()`` a line.

    Training is worth more than its log: when the disk is full the event is lost, standard error
    says so once, and the run goes on. A line that was only half written is closed before the
    next one, so that a reader loses one event and not two.
    """

    def __init__(self, path: Path, attempt: int) -> None:
        """Open the file; ``seq`` goes on where an earlier writer of the same file stopped."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.attempt = attempt
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        old = path.read_bytes()
        self._seq = old.count(b"\n")
        self._torn = bool(old) and not old.endswith(b"\n")
        self._lost = 0

    def __call__(self, event: Event) -> None:
        """Number the event and write it."""
        self._seq += 1
        numbered = event.model_copy(update={"attempt": self.attempt, "seq": self._seq})
        line = to_line(numbered).encode("utf-8")
        try:
            self._write(b"\n" + line if self._torn else line)
        except OSError as error:
            self._lost += 1
            if self._lost == 1:
                print(f"warning: events cannot be written ({error}); training goes on",
                      file=sys.stderr, flush=True)

    def _write(self, line: bytes) -> None:
        written = os.write(self._file, line)
        self._torn = written < len(line)
        if self._torn:
            self._torn = os.write(self._file, line[written:]) < len(line) - written

    def stage(self, stage: str, message: str = "") -> None:
        """Say which stage begins; also one readable line for log.txt."""
        print(f"[{stage}] {message}".rstrip(), flush=True)
        self(StageEvent.model_validate({"stage": stage, "message": message}))

    def choose(self, field: str, value: object, reason: str) -> None:
        """Say what was chosen automatically, and why."""
        print(f"{field} = {value}: {reason}", flush=True)
        self(ChoiceEvent(field=field, value=str(value), reason=reason))

    def warn(self, code: str, message: str, *, step: int | None = None) -> None:
        """Say something a person should know; the run goes on."""
        print(f"warning: {message}", file=sys.stderr, flush=True)
        self(WarningEvent(code=code, message=message, step=step))

    def close(self) -> None:
        """Make what was written durable and close the file."""
        with contextlib.suppress(OSError):
            os.fsync(self._file)
        os.close(self._file)

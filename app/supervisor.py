"""One small process per run: starts the trainer, watches it, stops it, writes the result.

``python -P -m app.supervisor RUN_DIR``. It runs in its own session, so it outlives whoever started
it, and the trainer in yet another, so the trainer outlives it. A supervisor that finds a living
trainer adopts it instead of starting a second one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.home import Home
from app.ingest import last_event
from app.outcome import Exit, Result, decide
from app.runs import ACTIVE, RunError, RunState
from app.scheduler import Scheduler
from app.store import Record, Store
from trainer.contract.events import WarningEvent
from trainer.contract.files import read_json, write_json
from trainer.contract.identity import Identity, find_by_environ, read_stat, sweep
from trainer.contract.logfile import LogCap, last_lines
from trainer.contract.memory import oom_kills
from trainer.contract.redact import known_secrets, redact
from trainer.contract.rundir import Attempt, RunDir

TRAINER = (sys.executable, "-P", "-m", "trainer")
LOOK_EVERY_S = 5.0
ROOM_BYTES = 4096
RESULT_WAIT_S = 600.0
NOTICES = {
    "log_truncated": "The log grew too long; its middle was dropped. Training goes on.",
    "disk_full": "The disk is full; lines of the log are missing. Free some space before the next "
                 "checkpoint.",
}


@dataclass(frozen=True)
class Timing:
    """How long things may take, in seconds."""

    grace_s: float = 120.0
    exit_grace_s: float = 60.0
    poll_s: float = 0.25


class Supervisor:
    """Owns one attempt of one run from the trainer's start to the result."""

    def __init__(self, home: Home, store: Store, run: RunDir, *,
                 trainer: Sequence[str] = TRAINER, timing: Timing | None = None) -> None:
        """Prepare; nothing is started yet."""
        self.home, self.store, self.run = home, store, run
        self.trainer_argv, self.timing = tuple(trainer), timing or Timing()
        self.stop_wanted = False
        self._stop_sent: float | None = None
        self._killed = False
        self._notices: dict[str, str] = {}
        self._child: subprocess.Popen[bytes] | None = None
        self._oom_before = oom_kills()
        self._secrets = [*known_secrets(), *home.read_secrets().values()]

    def work(self) -> Result | None:
        """Take the run on and see it through; None when another supervisor has it."""
        record = self._register()
        if record is None:
            return None
        attempt = self.run.attempt(record.run.attempt)
        attempt.path.mkdir(parents=True, exist_ok=True)
        trainer = self._find_trainer(attempt)
        begun = attempt.settings.exists()
        if trainer is None and not begun and not self.stop_wanted:
            trainer = self._start(attempt, record)
        if trainer is not None:
            self._watch(trainer, attempt)
        result = self._conclude(attempt, trainer)
        self._keep(attempt, result)
        return result

    @property
    def marks(self) -> dict[str, str]:
        """The environment variables by which every process of the run is known."""
        return {"FINESTRA_RUN_ID": self.run.id, "FINESTRA_HOME": str(self.home.root)}

    def _register(self) -> Record | None:
        """Become the run's supervisor, unless it has a living one or needs none."""
        with self.store.write() as writer:
            try:
                record = writer.record(self.run.id)
            except RunError:
                return None
            other = record.supervisor
            taken = other is not None and other != Identity.mine() and other.alive()
            if record.run.state not in ACTIVE or taken:
                return None
            writer.update(self.run.id, supervisor=Identity.mine(), claimer=None)
        self.stop_wanted = self.stop_wanted or record.run.stop_requested
        return record

    def _find_trainer(self, attempt: Attempt) -> Identity | None:
        """Return the living trainer of this attempt, if a supervisor before us started it."""
        known = read_json(attempt.process)
        trainer = Identity.read(known.get("trainer")) if isinstance(known, dict) else None
        if trainer is not None:
            return trainer if trainer.alive() else None
        # Its supervisor may have died before it could write the identity down.
        for process in find_by_environ(self.marks):
            stat = read_stat(process.pid)
            if stat and stat.session == process.pid:
                return process
        return None

    def _start(self, attempt: Attempt, record: Record) -> Identity | None:
        write_json(attempt.settings, {"attempt": attempt.number, "device": record.run.device,
                                      "resume": record.resume})
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        log = os.open(attempt.log, flags, 0o644)
        try:
            self._child = subprocess.Popen(
                [*self.trainer_argv, str(self.run.path)], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, cwd=self.run.path, env=self._environment(record.run.device),
                start_new_session=True, close_fds=True)
        finally:
            os.close(log)
        return Identity.of(self._child.pid)

    def _environment(self, device: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GRADIO_")}
        return {**kept, **self.home.read_secrets(), **self.marks,
                "FINESTRA_RUNS": str(self.home.runs), "PYTHONUNBUFFERED": "1",
                "PYTHONIOENCODING": "utf-8:backslashreplace",
                "CUDA_VISIBLE_DEVICES": "" if device == "cpu" else device}

    def _tell(self, attempt: Attempt, trainer: Identity) -> bool:
        """Write down who works here and that the run is running; False when the disk is full."""
        try:
            write_json(attempt.process, {"supervisor": Identity.mine().document(),
                                         "trainer": trainer.document()})
            with self.store.write() as writer:
                if writer.record(self.run.id).run.state is RunState.STARTING:
                    writer.transition(self.run.id, RunState.RUNNING)
        except OSError:
            return False
        return True

    def _watch(self, trainer: Identity, attempt: Attempt) -> None:
        """Return when the trainer has ended, by itself or by force."""
        handle = trainer.open()
        if handle is None:
            return
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        told = self._tell(attempt, trainer)
        log, ended_at, looked = LogCap(attempt.log), None, float("-inf")
        try:
            while not poller.poll(self.timing.poll_s * 1000):
                now = time.monotonic()
                if log.check():
                    self._notices["log_truncated"] = NOTICES["log_truncated"]
                if now - looked >= LOOK_EVERY_S:
                    looked = now
                    told = told or self._tell(attempt, trainer)
                    log.disk_full = not has_room(attempt.path)
                    if log.disk_full:
                        self._notices["disk_full"] = NOTICES["disk_full"]
                    self._post(attempt)
                if ended_at is None and last_event(attempt):
                    ended_at = now
                self._press(trainer, now)
                if self._overdue(now, ended_at):
                    self._killed = True
                    sweep(self.marks, trainer)
        finally:
            os.close(handle)
            log.check()
            self._post(attempt)

    def _post(self, attempt: Attempt) -> None:
        """Put what the supervisor noticed beside the trainer's warnings; later when it cannot."""
        rows: list[tuple[int, str, int | None, str]] = []
        for code, message in self._notices.items():
            # Positions below 0 are ours: the trainer's are places in its file.
            event = WarningEvent(attempt=attempt.number, code=code, message=message)
            rows.append((-1 - list(NOTICES).index(code), "warning", None, event.model_dump_json()))
        if not rows:
            return
        with contextlib.suppress(OSError), self.store.write() as writer:
            writer.put_events(self.run.id, attempt.number, rows)
            writer.update(self.run.id)
            self._notices.clear()

    def _press(self, trainer: Identity, now: float) -> None:
        """Ask the trainer to stop, once, when a stop is wanted."""
        if self.stop_wanted and self._stop_sent is None:
            trainer.signal(signal.SIGTERM)
            self._stop_sent = now

    def _overdue(self, now: float, ended_at: float | None) -> bool:
        stop = self._stop_sent is not None and now - self._stop_sent > self.timing.grace_s
        return stop or (ended_at is not None and now - ended_at > self.timing.exit_grace_s)

    def _keep(self, attempt: Attempt, result: Result) -> None:
        """Write the result; on a full disk, wait for room: nobody else knows it."""
        deadline = time.monotonic() + RESULT_WAIT_S
        while True:
            try:
                write_json(attempt.result, result.document())
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(1)

    def _conclude(self, attempt: Attempt, trainer: Identity | None) -> Result:
        """Sweep what is left of the run, reap the trainer, and judge."""
        sweep(self.marks, trainer)
        status = self._child.wait() if self._child is not None else None
        gone = Exit(status=status, started=attempt.settings.exists(),
                    stop_requested=self.stop_wanted, killed_by_us=self._killed,
                    out_of_memory=oom_kills() > self._oom_before,
                    log_tail=redact(last_lines(attempt.log), self._secrets))
        return decide(last_event(attempt), gone, self._secrets)


def has_room(folder: Path) -> bool:
    """Tell whether a little can still be written there; what is written is gone at once."""
    try:
        with tempfile.TemporaryFile(dir=folder) as scratch:
            scratch.write(b"\0" * ROOM_BYTES)
    except OSError:
        return False
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Supervise one run; exit 0 when its result is written, 3 when it is not ours to run."""
    parser = argparse.ArgumentParser(prog="app.supervisor", description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--grace", type=float, default=Timing.grace_s)
    parser.add_argument("--exit-grace", type=float, default=Timing.exit_grace_s)
    parser.add_argument("--trainer", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    run = RunDir(options.run_dir.resolve())
    home = Home.open(run.path.parent.parent)
    store = Store(home.db, home.runs)
    trainer = json.loads(options.trainer) if options.trainer else TRAINER
    supervisor = Supervisor(home, store, run, trainer=trainer,
                            timing=Timing(options.grace, options.exit_grace))

    def want_stop(_number: int, _frame: object) -> None:
        supervisor.stop_wanted = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, want_stop)
    if supervisor.work() is None:
        return 3
    scheduler = Scheduler(home, store, trainer_argv=trainer, grace_s=options.grace,
                          exit_grace_s=options.exit_grace)
    scheduler.tick()
    scheduler.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

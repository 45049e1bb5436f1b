"""The queue: which run starts next on which device, and what became of those that started.

There is no scheduler process. Any process may tick; everything that matters happens inside one
write transaction, and a run is only ever started by its registered supervisor.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from app.devices import CPU, Device, DeviceProbe
from app.home import Home
from app.ingest import ingest, last_event
from app.outcome import Exit, Result, decide
from app.rebuild import recover
from app.runs import ACTIVE, RunState
from app.serving.engines.leases import EngineProbe
from app.store import CorruptIndex, Record, Store
from trainer.contract.files import read_json, write_json
from trainer.contract.identity import Identity, boot_id, find_by_environ, sweep
from trainer.contract.rundir import Attempt, RunDir

GRACE_S = 120.0
EXIT_GRACE_S = 60.0
ADOPT_EVERY_S = 3.0
_log = logging.getLogger(__name__)


class Scheduler:
    """Starts queued runs on free devices and settles the active ones."""

    def __init__(self, home: Home, store: Store, *, trainer_argv: Sequence[str] | None = None,
                 grace_s: float = GRACE_S, exit_grace_s: float = EXIT_GRACE_S,
                 devices: DeviceProbe | None = None) -> None:
        """Prepare.

        Args:
            home: Where runs lie.
            store: Their index.
            trainer_argv: Another trainer than ``python -P -m trainer`` (tests).
            grace_s: From a stop request to the kill.
            exit_grace_s: From the trainer's last word to the kill.
            devices: Another way to find devices.
        """
        self.home, self.store = home, store
        self.trainer_argv = list(trainer_argv) if trainer_argv is not None else None
        self.grace_s, self.exit_grace_s = grace_s, exit_grace_s
        self.devices = devices or EngineProbe(home)
        self.last_error = ""
        self._errors: list[str] = []
        self._children: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._adopted_at: dict[str, float] = {}
        self._lock = threading.RLock()

    def close(self) -> None:
        """Let go of the supervisors; they go on."""
        for _, child in self._children:
            # Tells Popen's destructor that nobody will wait: a supervisor outlives its starter.
            child.returncode = child.poll() or 0
        self._children.clear()

    def tick(self) -> None:
        """Settle the active runs and start what can be started; never raises."""
        self.guard(self.reconcile, self._start_queued)

    def guard(self, *parts: Callable[[], None]) -> None:
        """Work on the index part by part; what went wrong is logged and kept in ``last_error``."""
        with self._lock:
            before, self._errors = self._errors, []
            for part in parts:
                self._try(part)
            self.last_error = " ".join(self._errors)
            for error in set(before) - set(self._errors):
                _log.info("Over: %s", error)

    def _try(self, work: Callable[[], None], run_id: str = "") -> None:
        """Do one piece of work; whether it fails or not, the next one is done.

        This is a door: what goes wrong here must not take a page, a server or another run with
        it. A damaged index is rebuilt.
        """
        try:
            work()
        except CorruptIndex as error:
            self._errors.append(str(error))
            self.store.close()
            recover(self.home).close()
        except Exception as error:
            told = f"{run_id or 'queue'}: {type(error).__name__}: {error}"
            self._errors.append(told)
            # Ticks come twice a second: the same trouble is traced once.
            if told not in self.last_error:
                _log.exception("The queue could not be worked on: %s", told)

    def reconcile(self) -> None:
        """Compare the active runs with living processes and results, each for itself."""
        self._children = [(run_id, child) for run_id, child in self._children
                          if child.poll() is None]
        for record in self.store.records(sorted(ACTIVE)):
            self._try(partial(self._settle, record), record.run.id)

    def _start_queued(self) -> None:
        if not self.store.records([RunState.QUEUED]):
            return
        devices = self.devices.list()
        while (record := self._claim(devices)) is not None:
            self._spawn(record)

    def _claim(self, devices: Sequence[Device]) -> Record | None:
        """Take the first queued run that has a free device, and lease the device to it."""
        with self.store.write() as writer:
            taken = writer.leased()
            for record in writer.records(RunState.QUEUED):
                device = pick_device(record.wanted_device, devices, taken)
                if device is None:
                    continue
                run = record.run
                last = RunDir(run.dir).latest()
                writer.lease(device, run.id)
                writer.transition(
                    run.id, RunState.STARTING, device=device, reason="", started_at=time.time(),
                    ended_at=None, claimer=Identity.mine(), supervisor=None,
                    attempt=max(run.attempt, last.number if last else 0) + 1)
                return writer.record(run.id)
        return None

    def _spawn(self, record: Record) -> None:
        """Start a supervisor in its own session, and write down who is on the way."""
        argv = [sys.executable, "-P", "-m", "app.supervisor", str(record.run.dir)]
        if (self.grace_s, self.exit_grace_s) != (GRACE_S, EXIT_GRACE_S):
            argv += ["--grace", str(self.grace_s), "--exit-grace", str(self.exit_grace_s)]
        if self.trainer_argv is not None:
            argv += ["--trainer", json.dumps(self.trainer_argv)]
        env = {k: v for k, v in os.environ.items() if k != "FINESTRA_RUN_ID"}
        env["FINESTRA_HOME"] = str(self.home.root)
        try:
            with (record.run.dir / "supervisor.log").open("ab") as log:
                child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                         cwd=self.home.root, env=env, start_new_session=True,
                                         close_fds=True)
        except OSError as error:
            self._finish(record, Result("failed", "supervisor_not_started",
                                        f"The run could not be started: {error.strerror}."))
            return
        self._children.append((record.run.id, child))
        spawned = Identity.of(child.pid)
        with self.store.write() as writer:
            if spawned and writer.record(record.run.id).run.attempt == record.run.attempt:
                writer.update(record.run.id, claimer=spawned)

    def _settle(self, record: Record) -> None:
        """Find out what became of an active run."""
        attempt = RunDir(record.run.dir).attempt(record.run.attempt)
        if self._finish_by_result(record, attempt):
            return
        if record.supervisor is not None and record.supervisor.alive():
            return
        if self._on_its_way(record):
            return
        # It may have written the result between our two looks.
        if self._finish_by_result(record, attempt):
            return
        if record.supervisor is not None and self._trainer_lives(record, attempt):
            self._adopt(record)
            return
        marks = {"FINESTRA_RUN_ID": record.run.id, "FINESTRA_HOME": str(self.home.root)}
        sweep(marks)
        self._finish(record, self._judge(record, attempt), attempt)

    def _on_its_way(self, record: Record) -> bool:
        """Tell whether a supervisor may still come that has not registered yet."""
        if record.claimer is None or not record.claimer.alive():
            return False
        # Ours, but nothing came of it: the start failed, and so did writing that down.
        ours = any(run_id == record.run.id for run_id, _ in self._children)
        return ours or record.claimer != Identity.mine()

    def _finish_by_result(self, record: Record, attempt: Attempt) -> bool:
        result = Result.read(read_json(attempt.result))
        if result is None:
            return False
        self._finish(record, result)
        return True

    def _trainer_lives(self, record: Record, attempt: Attempt) -> bool:
        known = read_json(attempt.process)
        trainer = Identity.read(known.get("trainer")) if isinstance(known, dict) else None
        if trainer is not None:
            return trainer.alive()
        return bool(find_by_environ({"FINESTRA_RUN_ID": record.run.id,
                                     "FINESTRA_HOME": str(self.home.root)}))

    def _adopt(self, record: Record) -> None:
        """Start a new supervisor for a trainer that has lost its own, not in a hurry."""
        now_s = time.monotonic()
        if now_s - self._adopted_at.get(record.run.id, float("-inf")) < ADOPT_EVERY_S:
            return
        self._adopted_at[record.run.id] = now_s
        with self.store.write() as writer:
            now = writer.record(record.run.id)
            if now.supervisor != record.supervisor or now.claimer != record.claimer:
                return  # another process is doing it
            writer.update(record.run.id, claimer=Identity.mine())
        self._spawn(record)

    def _judge(self, record: Record, attempt: Attempt) -> Result:
        """Conclude about a run whose supervisor and trainer are both gone."""
        gone = Exit(status=None, started=attempt.settings.exists(),
                    stop_requested=record.run.stop_requested)
        result = decide(last_event(attempt), gone, self.home.read_secrets().values())
        seen = record.supervisor or record.claimer
        if result.code == "supervisor_lost" and seen and seen.boot != boot_id():
            return Result("interrupted", "rebooted",
                          "The machine was restarted while the run was working.", result.advice)
        return result

    def _finish(self, record: Record, result: Result, attempt: Attempt | None = None) -> None:
        """Store how an attempt ended, once, and give its device back.

        With an ``attempt`` the result is this process's own judgement, and is written there.
        """
        if attempt is not None and attempt.path.is_dir():
            self._keep(attempt, result)
        ingest(self.store, RunDir(record.run.dir))
        with self.store.write() as writer:
            now = writer.record(record.run.id)
            if now.run.state not in ACTIVE or now.run.attempt != record.run.attempt:
                return
            if attempt is not None and now.supervisor != record.supervisor:
                return  # somebody has taken it on meanwhile
            writer.release(record.run.id)
            writer.transition(record.run.id, *_path(now.run.state, result.state),
                              reason=result.message, ended_at=result.ended_at)


    def _keep(self, attempt: Attempt, result: Result) -> None:
        """Write a judgement; where that cannot be, the index has it, and the device comes free."""
        try:
            write_json(attempt.result, result.document())
        except OSError as error:
            _log.warning("'%s' cannot be written: %s", attempt.result, error.strerror)


def _path(old: RunState, new: RunState) -> list[RunState]:
    """Return the states from an active one to an end; TRANSITIONS has no short cut to some."""
    if new is RunState.STOPPED and old is not RunState.STOPPING:
        return [RunState.STOPPING, new]
    if new is RunState.COMPLETED and old is RunState.STARTING:
        return [RunState.RUNNING, new]
    return [new]


def pick_device(wanted: str, devices: Sequence[Device], taken: set[str]) -> str | None:
    """Return the key of a device that a run can have now, or None when it has to wait.

    'auto' is a GPU on a machine that has one, the one with most free memory; else the CPU.
    """
    free = [d for d in devices if d.key not in taken and not d.problem]
    if wanted != "auto":
        return wanted if any(d.key == wanted for d in free) else None
    gpus = [d for d in devices if d.key != CPU]
    if not gpus:
        return CPU if CPU not in taken else None
    usable = sorted((d for d in free if d.key != CPU), key=lambda d: -d.free_mib)
    return usable[0].key if usable else None

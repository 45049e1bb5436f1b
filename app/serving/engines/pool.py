"""The engines of one studio: shared by those who ask, one a device, training first.

Every method is safe to call from any thread. ``join`` and ``release`` never wait; the others may.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from app.devices import CPU
from app.serving.engines.engine import Engine, Plan
from app.serving.engines.leases import devices_of_others, end_orphans, folder_of, known
from app.serving.engines.names import Desk
from app.serving.engines.placing import choose_device, claimed, pick_kind, usable
from app.serving.engines.training import Conflict, wanted_devices
from trainer.contract.redact import redact
from trainer.engines.errors import EngineError
from trainer.engines.kinds import EngineKind
from trainer.engines.settings import EngineSettings
from trainer.engines.targets import Adapter, Target

KEPT_ENDS = 8
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Busy:
    """Every engine on the device is answering: what to wait for, and what to say after."""

    until: Future[None]
    error: EngineError


class Pool:
    """Starts engines when asked, lets them go when idle, gives way to training."""

    def __init__(self, desk: Desk, settings: EngineSettings, kinds: Mapping[str, EngineKind],
                 clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare; what a crashed studio left behind is ended first.

        Args:
            desk: Where runs and devices are looked up.
            settings: How engines are kept.
            kinds: Every kind by its name.
            clock: Seconds that never jump back.
        """
        self._desk, self._settings, self._kinds, self._clock = desk, settings, kinds, clock
        self._lock = threading.RLock()
        self._engines: list[Engine] = []
        self._waiters: list[Future[None]] = []
        self._claims: dict[str, str] = {}
        self._ends: deque[Mapping[str, Any]] = deque(maxlen=KEPT_ENDS)
        self._closed = False
        self.conflicts: tuple[Conflict, ...] = ()
        for label in end_orphans(desk.home):
            _log.warning("An engine that was left behind was ended: %s", label)

    # Asking

    def join(self, target: Target, kind: str) -> Engine | None:
        """Take part in an engine that serves this already, or return None.

        Raises:
            EngineError: A run needs its device ('device_busy'), or the server is closing.
        """
        with self._lock:
            if self._closed:
                raise EngineError("closing", "The server is closing.")
            for engine in self._engines:
                if engine.serves(target, kind):
                    if run := self._claims.get(engine.plan.device):
                        raise claimed(run, engine.plan.label)
                    self._take(engine, target)
                    return engine
        return None

    def _take(self, engine: Engine, target: Target) -> None:
        name = target.adapter.name if target.adapter else ""
        if target.adapter:
            engine.method = engine.method or target.adapter.excludes
        if not engine.holds:
            engine.lease.set_busy(True)
        engine.users[name] += 1

    def release(self, engine: Engine, target: Target) -> None:
        """Let go of what ``join`` or ``place`` gave."""
        with self._lock:
            engine.users[target.adapter.name if target.adapter else ""] -= 1
            engine.used_at = self._clock()
            if not engine.holds:
                engine.users.clear()
                engine.lease.set_busy(False)
                self._wake()

    def is_used(self, engine: Engine, adapter: str) -> bool:
        """Tell whether somebody waits for an adapter's answer."""
        with self._lock:
            return engine.users[adapter] > 0

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if waiter.set_running_or_notify_cancel():
                waiter.set_result(None)

    def place(self, target: Target, asked: str) -> Engine | Busy:
        """Start an engine for a target, in place of an idle one if need be.

        Raises:
            EngineError: No kind or no device for it, or the kind is not installed.
        """
        kind, why = pick_kind(target, asked or self._settings.kind, self._kinds)
        found = kind.available()
        if not found.installed:
            raise EngineError("engine_not_installed", f"The engine {kind.name} is not installed. "
                              f"{found.reason}", f"Run: {found.install}")
        while True:
            devices = usable(found, self._desk.devices())
            with self._lock:
                if engine := self.join(target, asked):
                    return engine
                device = choose_device(devices, self._claims, self._taken(),
                                       devices_of_others(self._desk.home))
                here = [e for e in self._engines if e.plan.device == device]
                if len(here) < self._settings.per_device:
                    plan = Plan(kind, why, target.model, _label(target), device)
                    return self._begin(plan, target)
                idle = [e for e in here if not e.holds and not e.ending]
                if not idle:
                    return self._busy(here)
                victim = min(idle, key=lambda e: e.used_at)
                victim.ending = True
            self._end([victim])

    def _busy(self, here: list[Engine]) -> Busy:
        until: Future[None] = Future()
        self._waiters.append(until)
        labels = ", ".join(f"'{engine.plan.label}'" for engine in here)
        return Busy(until, EngineError(
            "device_busy", f"The engine of {labels} is answering, and there is room for "
            f"{self._settings.per_device} on the device.",
            "Wait for the answers, or unload that engine."))

    def _taken(self) -> dict[str, int]:
        """Say of each device whether there is room (0), an idle engine (1), or neither (2)."""
        found: dict[str, int] = {}
        for device in {engine.plan.device for engine in self._engines}:
            here = [engine for engine in self._engines if engine.plan.device == device]
            full = len(here) >= self._settings.per_device
            found[device] = (1 if any(not e.holds for e in here) else 2) if full else 0
        return found

    def _begin(self, plan: Plan, target: Target | None) -> Engine:
        first: Adapter | None = target.adapter if target else None
        try:
            engine = Engine(self._desk.home, plan, first, self._clock())
        except OSError as error:
            raise EngineError("engine", f"The engine cannot be started: {error.strerror}.",
                              "Free some space, or check the home folder.") from None
        self._engines.append(engine)
        if target:
            self._take(engine, target)
        threading.Thread(target=self._start, args=[engine], daemon=True,
                         name=f"engine-{engine.id}").start()
        return engine

    def _start(self, engine: Engine) -> None:
        """Start an engine on its own thread; those who wait for it hear how it went."""
        told: EngineError | None = EngineError("engine", "The engine cannot be started.",
                                               "The server's log says why.")
        try:
            engine.start()
            told = None
        except EngineError as error:
            told = error
        except OSError as error:
            told = EngineError("engine", f"The engine cannot be started: {error.strerror}.",
                               "Ask again.")
        finally:
            # Whatever else it was goes on to the log, but nobody waits for ever.
            self._began(engine, told)

    def _began(self, engine: Engine, trouble: EngineError | None) -> None:
        if trouble is None:
            with self._lock:
                engine.used_at = self._clock()
            engine.started.set_result(None)
            return
        with self._lock:
            told = engine.reason or trouble
            engine.reason, engine.ending = told, True
        self._end([engine])
        engine.started.set_exception(told)

    # Ending

    def _end(self, engines: Iterable[Engine]) -> None:
        """Close engines that are marked as ending, and forget them."""
        for engine in engines:
            if engine.gone and engine.process and not engine.reason:
                engine.reason = engine.process.died()
            engine.close()
            with self._lock:
                if engine in self._engines:
                    self._engines.remove(engine)
                    self._ends.appendleft({
                        **engine.document(self._clock()), "state": "ended",
                        "error": str(engine.reason or ""),
                        "last_lines": redact(engine.reason.log) if engine.reason else ""})
                self._wake()
            self._tidy()

    def _tidy(self) -> None:
        """Keep the logs of the engines that ended last."""
        kept = {engine.id for engine in known(self._desk.home)}
        with self._lock:
            kept |= {engine["id"] for engine in self._ends}
        for path in folder_of(self._desk.home).glob("*.log"):
            if path.stem not in kept:
                path.unlink(missing_ok=True)

    def _find(self, engine_id: str, *, force: bool, reason: EngineError) -> Engine:
        """Mark an engine as ending and return it."""
        with self._lock:
            engine = next((e for e in self._engines if e.id == engine_id and not e.ending), None)
            if engine is None:
                raise EngineError("unknown_engine", f"There is no engine '{engine_id[:40]}'.",
                                  "Look at the list again.")
            if engine.holds and not force:
                raise EngineError("engine_busy", f"'{engine.plan.label}' is answering "
                                  f"{engine.holds} at the moment.",
                                  "Wait for it, or end its answers too.")
            engine.ending, engine.reason = True, reason if engine.holds else None
        return engine

    def unload(self, engine_id: str, *, force: bool = False) -> None:
        """Let an engine go; ``force`` ends answers that are being written.

        Raises:
            EngineError: There is none of that id, or it is answering ('engine_busy').
        """
        self._end([self._find(engine_id, force=force, reason=EngineError(
            "engine_ended", "The engine was unloaded while it answered.", "Ask again."))])

    def restart(self, engine_id: str, *, force: bool = False) -> str:
        """Start an engine anew; returns the id of the new one. Same errors as ``unload``."""
        engine = self._find(engine_id, force=force, reason=EngineError(
            "engine_ended", "The engine was restarted while it answered.", "Ask again."))
        self._end([engine])
        with self._lock:
            if self._closed:
                raise EngineError("closing", "The server is closing.")
            here = [e for e in self._engines if e.plan.device == engine.plan.device]
            if len(here) >= self._settings.per_device:
                raise self._busy(here).error
            return self._begin(engine.plan, None).id

    def close(self) -> None:
        """End every engine, in the middle of an answer if need be; none starts afterwards."""
        with self._lock:
            self._closed = True
            engines = list(self._engines)
            for engine in engines:
                engine.ending = True
        for engine in engines:
            if engine.process:
                engine.process.tell_to_end()
        self._end(engines)

    # Keeping up

    def tick(self) -> None:
        """Let go of engines that died, are idle, or stand in training's way."""
        with self._lock:
            on_gpus = {e.plan.device for e in self._engines if e.plan.device != CPU}
        claims, active = wanted_devices(self._desk, on_gpus)
        now, over = self._clock(), []
        with self._lock:
            self._claims = claims
            conflicts = []
            for engine in [e for e in self._engines if not e.ending]:
                run = claims.get(engine.plan.device, "")
                if run and engine.holds:
                    conflicts.append(Conflict(run, engine.id, engine.plan.label,
                                              engine.plan.device, run not in active))
                if self._is_over(engine, run, now):
                    engine.ending = True
                    over.append(engine)
            self.conflicts = tuple(c for c in conflicts if c.engine not in {e.id for e in over})
        self._end(over)

    def _is_over(self, engine: Engine, run: str, now: float) -> bool:
        """Tell whether an engine has to go; says why to those who hear its answer."""
        if not engine.started.done():
            return False
        if engine.holds:
            if run and self._settings.on_training == "evict":
                engine.reason = claimed(run, engine.plan.label)
                return True
            return False
        return bool(run) or engine.gone or now - engine.used_at > self._settings.idle_s

    def status(self) -> list[Mapping[str, Any]]:
        """Return the engines there are, then those that ended last."""
        with self._lock:
            now = self._clock()
            return [*(engine.document(now) for engine in self._engines), *self._ends]


def _label(target: Target) -> str:
    return target.label if target.adapter is None else target.model.folder.name

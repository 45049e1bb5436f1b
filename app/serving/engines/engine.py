"""One engine of this studio: what it holds, who uses it, how it begins and ends."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from app.home import Home
from app.serving.engines.leases import Lease, folder_of
from trainer.engines.errors import EngineError
from trainer.engines.kinds import BASE_NAME, EngineKind, Setup
from trainer.engines.process import EngineProcess, free_port, start
from trainer.engines.route import Route
from trainer.engines.sockets import listening
from trainer.engines.targets import Adapter, Model, Target

_log = logging.getLogger(__name__)
State = Literal["starting", "ready", "ending", "ended"]


@dataclass(frozen=True)
class Plan:
    """What an engine is made of.

    Attributes:
        kind: How it is started.
        why: Why this kind, in words.
        model: What it loads.
        label: What a person calls that.
        device: 'cpu' or a GPU's uuid.
    """

    kind: EngineKind
    why: str
    model: Model
    label: str
    device: str


class Engine:
    """An engine and its users. The pool that owns it guards every field but the process."""

    def __init__(self, home: Home, plan: Plan, first: Adapter | None, now: float) -> None:
        """Take the engine's name and files; ``start`` does the rest.

        Raises:
            OSError: The home cannot be written.
        """
        self.plan, self.first, self._home = plan, first, home
        self.id, self.key = secrets.token_hex(6), secrets.token_urlsafe(32)
        self.lease = Lease(home, self.id, {"kind": plan.kind.name, "device": plan.device,
                                           "label": plan.label})
        self.log: Path = folder_of(home) / f"{self.id}.log"
        self.process: EngineProcess | None = None
        self.started: Future[None] = Future()
        self.began_at = time.time()
        self.used_at = now
        self.users: Counter[str] = Counter()
        self.ending = False
        self.reason: EngineError | None = None
        self.method = ""
        self._max_rank = plan.kind.max_rank(plan.device, first)
        self.exposed: tuple[int, ...] = ()
        self._loaded: dict[str, str] = {}
        self._loaded_lock, self._changing = threading.Lock(), threading.Lock()
        self._base_name = BASE_NAME

    @property
    def holds(self) -> int:
        """How many answers are being written, or waited for while it starts."""
        return self.users.total()

    @property
    def gone(self) -> bool:
        """Whether its process has ended."""
        return self.process is not None and self.started.done() and not self.process.alive

    @property
    def state(self) -> State:
        """Where it is in its life."""
        if self.ending:
            return "ending"
        if self.gone:
            return "ended"
        return "ready" if self.started.done() else "starting"

    def serves(self, target: Target, kind: str) -> bool:
        """Tell whether it can answer for a target as it stands; ``kind`` '' is any."""
        if self.ending or self.gone or kind not in ("", self.plan.kind.name) \
                or target.model != self.plan.model or self.plan.kind.refusal(target):
            return False
        return target.adapter is None or target.adapter.fits(self.method, self._max_rank)

    # Beginning and ending; both wait, so they run on threads

    def start(self) -> None:
        """Start the process and wait for its first answer.

        Raises:
            EngineError: It ended, or did not answer in time.
        """
        self._settle(start(self._spawn, self.plan.kind.settings.start_s, lambda: self.ending))

    def _spawn(self) -> EngineProcess:
        runs = self._home.runs
        setup = Setup(self.plan.model, self.first, self.plan.device, self.lease.scratch, self.key,
                      runs)
        launch = self.plan.kind.launch(setup, free_port())
        launch.environ.update(FINESTRA_HOME=str(self._home.root),
                              TMPDIR=str(self.lease.temporary))
        self.process = EngineProcess(launch, self.lease, self.log, self.key)
        if self.ending:
            self.process.tell_to_end()
        return self.process

    def _settle(self, process: EngineProcess) -> None:
        first = self.first
        with self._loaded_lock:
            if first and first.name in process.models:
                self._loaded[first.name] = first.mark
        self.exposed = tuple(port for is_local, port in listening(self.id) if not is_local)
        if self.exposed:
            _log.warning("The engine of '%s' listens beyond this machine on port %s.",
                         self.plan.label, ", ".join(map(str, self.exposed)))
        self._base_name = process.base_name(first)

    def close(self) -> None:
        """End the process, if there is one, and remove its files but the log."""
        if self.process is None:
            self.lease.end()
        else:
            self.process.close()

    # Answering

    def has(self, adapter: Adapter | None) -> bool:
        """Tell whether an adapter is loaded as it is on the disk now."""
        with self._loaded_lock:
            return adapter is None or self._loaded.get(adapter.name) == adapter.mark

    @property
    def adapters(self) -> tuple[str, ...]:
        """The names of the adapters that are loaded, longest unused first."""
        with self._loaded_lock:
            return tuple(self._loaded)

    def ensure(self, adapter: Adapter, is_used: Callable[[str], bool]) -> None:
        """Load an adapter if need be; the one not used for longest makes room.

        Raises:
            EngineError: The engine refuses it, or is gone.
        """
        settings, process = self.plan.kind.settings, self.process
        assert process is not None
        with self._changing:
            if self.has(adapter):
                return
            for name in self._superfluous(adapter, settings.adapters, is_used):
                process.unload_adapter(name, settings.adapter_s)
            process.load_adapter(adapter, settings.adapter_s)
            with self._loaded_lock:
                self._loaded[adapter.name] = adapter.mark

    def _superfluous(self, adapter: Adapter, room: int,
                     is_used: Callable[[str], bool]) -> list[str]:
        """Forget and return what has to go: an older form of it, and what is beyond the room."""
        with self._loaded_lock:
            unused = [name for name in self._loaded if name != adapter.name and not is_used(name)]
            old = [adapter.name] if adapter.name in self._loaded else []
            beyond = max(0, len(self._loaded) - len(old) + 1 - room)
            names = [*old, *unused[:beyond]]
            for name in names:
                del self._loaded[name]
        return names

    def route(self, adapter: Adapter | None) -> Route:
        """Return where to ask."""
        assert self.process is not None
        with self._loaded_lock:
            if adapter and adapter.name in self._loaded:
                # The end of the mapping is what was used last.
                self._loaded[adapter.name] = self._loaded.pop(adapter.name)
        return Route(self.process.base_url, self.key, adapter.name if adapter
                     else self._base_name,
                     self.plan.kind.tells_likelihoods(self.plan.device, self._max_rank))

    def document(self, now: float) -> Mapping[str, Any]:
        """Return what pages and REST show; no key."""
        plan, process = self.plan, self.process
        return {"id": self.id, "kind": plan.kind.name, "why": plan.why, "model": plan.label,
                "device": plan.device, "state": self.state, "answering": self.holds,
                "adapters": list(self.adapters), "began_at": self.began_at,
                "idle_s": 0.0 if self.holds else max(0.0, now - self.used_at),
                "pid": process.pid if process else None, "log": str(self.log),
                "exposed_ports": list(self.exposed)}

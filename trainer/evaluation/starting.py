"""The engine of an evaluation: one at a time, a child of the run, started when it is asked."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from trainer.contract.files import read_json, write_json
from trainer.contract.identity import Identity
from trainer.engines.errors import EngineError
from trainer.engines.kinds import EngineKind, Setup
from trainer.engines.process import EngineProcess, end_remains, free_port, start, temporary_of
from trainer.engines.route import Route
from trainer.engines.targets import Adapter, Model, Target
from trainer.evaluation.choosing import Plan
from trainer.evaluation.finding import Remote
from trainer.failures import Failure

ADVICE = ("Look at the engine's log in the attempt's folder, then resume the run: answers until "
          "here are kept.")
_ENDED = EngineError("stopped", "The evaluation was stopped.", "Resume it.")


class Lease:
    """One engine's private folder, and a note by which a later attempt finds what is left."""

    def __init__(self, note: Path) -> None:
        """Make the folder and the note."""
        self.id, self._note = secrets.token_hex(6), note
        self.folder = temporary_of(self.id)
        self.folder.mkdir(mode=0o700)
        self.keep(None)

    def keep(self, process: Identity | None) -> None:
        """Write down the engine's process."""
        write_json(self._note, {"id": self.id,
                                "process": process.document() if process else None})

    def end(self) -> None:
        """Kill whatever is left of the engine and remove its files."""
        end_remains(self.id)
        self._note.unlink(missing_ok=True)


def end_left_over(note: Path) -> None:
    """End the engine of an attempt that was killed, and remove its files."""
    found = read_json(note)
    engine_id = str(found.get("id")) if isinstance(found, dict) else ""
    if len(engine_id) == 12 and set(engine_id) <= set("0123456789abcdef"):
        end_remains(engine_id, Identity.read(found.get("process")))
    note.unlink(missing_ok=True)


@dataclass
class _Stand:
    """A started engine, what it holds and which adapters are on it."""

    kind: EngineKind
    model: Model
    process: EngineProcess
    base_name: str
    max_rank: int | None
    method: str = ""
    adapters: dict[str, str] = field(default_factory=dict)

    def serves(self, target: Target, kind: EngineKind) -> bool:
        """Tell whether it can answer for a target as it stands."""
        return (self.kind.name == kind.name and self.model == target.model and self.process.alive
                and (target.adapter is None or target.adapter.fits(self.method, self.max_rank)))


@dataclass(frozen=True)
class Place:
    """Where an evaluation's engines work.

    Attributes:
        logs: The attempt's folder.
        note: Where a living engine is written down.
        runs: The folder of runs.
        device: 'cpu' or a GPU's uuid.
    """

    logs: Path
    note: Path
    runs: Path
    device: str


class Hall:
    """Starts engines and lets them go; its methods wait, so they belong on threads.

    An engine is kept while the next model has the same base, and only the adapter is changed.
    """

    def __init__(self, place: Place, kinds: Mapping[str, EngineKind]) -> None:
        """Prepare; an engine that an earlier attempt left behind is ended."""
        self._place, self.kinds = place, kinds
        self._lock = threading.Lock()
        self._stand: _Stand | None = None
        self._process: EngineProcess | None = None
        self._closed = False
        self._count = 0
        self.load_s: dict[int, float] = {}
        end_left_over(place.note)

    def route(self, plan: Plan) -> Route:
        """Return where a model is asked; its engine is started if need be.

        Raises:
            Failure: It cannot be started, takes an adapter not, or the hall is closed.
        """
        if isinstance(plan.place, Remote):
            endpoint = plan.place.endpoint
            return Route(endpoint.base_url, endpoint.key, plan.place.model)
        try:
            with self._lock:
                return self._local(plan)
        except EngineError as error:
            raise Failure(error.code, f"'{plan.name}': {error}", ADVICE) from None
        except OSError as error:
            raise Failure("engine", f"The engine of '{plan.name}' cannot be started: "
                          f"{error.strerror}.", "Look at the disk's free space.") from None

    def _local(self, plan: Plan) -> Route:
        assert plan.kind is not None
        target, began = plan.target, time.monotonic()
        stand = self._stand
        if stand is None or not stand.serves(target, plan.kind):
            stand = self._stand = self._start(target, plan.kind)
        if target.adapter and stand.adapters.get(target.adapter.name) != target.adapter.mark:
            self._change(stand, target.adapter)
        if (took := time.monotonic() - began) > 0.1:
            self.load_s[plan.number] = self.load_s.get(plan.number, 0.0) + took
        return Route(stand.process.base_url, stand.process.key, target.adapter.name
                     if target.adapter else stand.base_name)

    def _start(self, target: Target, kind: EngineKind) -> _Stand:
        try:
            process = start(partial(self._spawn, target, kind), kind.settings.start_s,
                            lambda: self._closed)
        except EngineError:
            self._end()
            raise
        return self._settled(target, kind, process)

    def _spawn(self, target: Target, kind: EngineKind) -> EngineProcess:
        self._end()
        if self._closed:
            raise _ENDED
        self._count += 1
        lease, key = Lease(self._place.note), secrets.token_urlsafe(32)
        try:
            setup = Setup(target.model, target.adapter, self._place.device,
                          lease.folder / "engine", key, self._place.runs)
            launch = kind.launch(setup, free_port())
            launch.environ.update(TMPDIR=str(lease.folder))
            log = self._place.logs / f"engine-{self._count:02d}.log"
            self._process = EngineProcess(launch, lease, log, key)
        except BaseException:
            lease.end()
            raise
        if self._closed:
            self._process.tell_to_end()
        return self._process

    def _settled(self, target: Target, kind: EngineKind, process: EngineProcess) -> _Stand:
        first = target.adapter
        stand = _Stand(kind, target.model, process, process.base_name(first),
                       kind.max_rank(self._place.device, first))
        if first and first.name in process.models:
            stand.adapters[first.name], stand.method = first.mark, first.excludes
        return stand

    def _change(self, stand: _Stand, adapter: Adapter) -> None:
        limit_s = stand.kind.settings.adapter_s
        for name in list(stand.adapters):
            stand.process.unload_adapter(name, limit_s)
            del stand.adapters[name]
        stand.process.load_adapter(adapter, limit_s)
        stand.adapters[adapter.name] = adapter.mark
        stand.method = stand.method or adapter.excludes

    def why_ended(self, route: Route) -> EngineError | None:
        """Say how the engine of a route ended; None when it still runs."""
        stand = self._stand
        if stand is None or stand.process.key != route.key:
            # Another one has taken its place, so that nothing is known but that it is gone.
            return EngineError("engine_died", "The engine is gone.", "Resume the run.")
        return stand.process.why_ended()

    def facts(self) -> dict[str, Any]:
        """Return what the engine says of its first model, such as ``max_model_len``."""
        stand = self._stand
        if stand is None:
            return {}
        with stand.process.client() as client:
            listed = client.get(f"{stand.process.base_url}/models").json()["data"]
        return dict(listed[0]) if listed else {}

    def interrupt(self) -> None:
        """End whatever runs or starts, at once; nothing starts any more. Does not wait."""
        self._closed = True
        if process := self._process:
            process.tell_to_end()

    def close(self) -> None:
        """End the engine with all that it started."""
        self.interrupt()
        with self._lock:
            self._end()

    def _end(self) -> None:
        process, self._process, self._stand = self._process, None, None
        if process:
            process.close()

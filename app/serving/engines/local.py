"""The backend of this machine: bases, runs and checkpoints answer from engines kept as children."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx

from app.serving.engines.engine import Engine
from app.serving.engines.names import Desk, Names
from app.serving.engines.pool import Busy, Pool
from app.serving.engines.training import Conflict
from app.serving.route import Served
from trainer.engines.errors import EngineError
from trainer.engines.kinds import Availability, EngineKind, all_kinds
from trainer.engines.route import Route
from trainer.engines.settings import EngineSettings
from trainer.engines.targets import Target

THREADS = 8
FRESH_S = 2.0
_T = TypeVar("_T")


class LocalBackend:
    """Loads what is asked for and keeps it until nobody asks any more.

    ``using`` belongs to an event loop; it does nothing there that takes time. All other methods are
    safe to call from any thread, and those that say so take their time.

    Args:
        desk: The studio.
        settings: How engines are kept; None takes what the environment says.
        kinds: Kinds of engine besides or instead of the usual ones (tests).
        clock: Seconds that never jump back.
    """

    def __init__(self, desk: Desk, settings: EngineSettings | None = None, *,
                 kinds: Mapping[str, EngineKind] | None = None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare. Engines that a crashed studio left behind are ended now."""
        self.settings = settings or EngineSettings.read()
        self._kinds = all_kinds(self.settings) if kinds is None else kinds
        self._names = Names(desk)
        self._pool = Pool(desk, self.settings, self._kinds, clock)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="engines")
        self._targets: dict[str, tuple[Target, float]] = {}

    def served(self) -> list[Served]:
        """Return what can be asked for, loaded or not; reads folders."""
        return self._names.served()

    @asynccontextmanager
    async def using(self, name: str, *, engine: str = "") -> AsyncIterator[Route]:
        """Load what is needed and hold it while the answer is written.

        A broken connection (``httpx.TransportError``, EngineError) that leaves the block because
        the engine died becomes an EngineError with its last lines.

        Args:
            name: As in ``served``.
            engine: A kind of engine; '' takes one that serves it already, else the setting's.

        Raises:
            EngineError: 'unknown_model', or why it cannot answer: 'not_completed', 'gives_scores',
                'base_changed', 'engine_cannot', 'engine_not_installed', 'device_busy',
                'engine_not_ready', 'engine_died', 'adapter_refused' and others.
        """
        target = await self._resolve(name)
        held = await self._hold(target, "" if engine == "auto" else engine)
        try:
            await self._prepare(held, target)
            try:
                yield held.route(target.adapter)
            except (httpx.TransportError, EngineError) as error:
                if died := await self._why(held):
                    raise died from error
                raise
        finally:
            self._pool.release(held, target)

    async def _resolve(self, name: str) -> Target:
        """Return what a name means; what was known just now is not looked up again."""
        known = self._targets.get(name)
        if known and time.monotonic() - known[1] < FRESH_S:
            return known[0]
        target = await self._off(self._names.resolve, name)
        if len(self._targets) > 1000:
            self._targets.clear()
        self._targets[name] = (target, time.monotonic())
        return target

    async def _hold(self, target: Target, kind: str) -> Engine:
        """Return an engine for a target, held."""
        deadline = time.monotonic() + self.settings.wait_s
        found: Engine | Busy | None = self._pool.join(target, kind)
        while not isinstance(found, Engine):
            if found is not None:
                try:
                    await asyncio.wait_for(asyncio.wrap_future(found.until),
                                           max(0.0, deadline - time.monotonic()))
                except TimeoutError:
                    raise found.error from None
            found = await self._placed(target, kind)
        return found

    async def _placed(self, target: Target, kind: str) -> Engine | Busy:
        """Ask the pool on a thread; whoever left meanwhile holds nothing."""
        work = self._threads.submit(self._pool.place, target, kind)
        try:
            return await asyncio.shield(asyncio.wrap_future(work))
        except asyncio.CancelledError:
            def let_go(_: object) -> None:
                if not work.cancelled() and work.exception() is None \
                        and isinstance(engine := work.result(), Engine):
                    self._pool.release(engine, target)

            work.add_done_callback(let_go)
            raise

    async def _prepare(self, engine: Engine, target: Target) -> None:
        """Wait until the engine answers and has the adapter."""
        if not engine.started.done():
            await asyncio.shield(asyncio.wrap_future(engine.started))
        elif error := engine.started.exception():
            raise error
        if target.adapter and not engine.has(target.adapter):
            await self._off(engine.ensure, target.adapter,
                            lambda name: self._pool.is_used(engine, name))

    async def _why(self, engine: Engine) -> EngineError | None:
        """Say why an engine's connection broke; None when it is still there."""
        if engine.reason:
            return engine.reason
        process = engine.process
        return await self._off(process.why_ended) if process else None

    async def _off(self, work: Callable[..., _T], *values: Any) -> _T:
        """Do work that takes time on a thread of our own."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *values)

    def kinds(self) -> list[Availability]:
        """Return every kind of engine, whether it is installed and what installs it; slow."""
        return [kind.available() for kind in self._kinds.values()]

    def status(self) -> list[Mapping[str, Any]]:
        """Return the engines that run, then those that ended last with their last lines."""
        return self._pool.status()

    def conflicts(self) -> Sequence[Conflict]:
        """Return the runs that want a GPU whose engine is answering, as of the last tick."""
        return self._pool.conflicts

    def tick(self) -> None:
        """Let go of engines that died, are idle, or stand in training's way; takes time."""
        self._pool.tick()

    def unload(self, engine_id: str, *, force: bool = False) -> None:
        """Let an engine go; takes time.

        Raises:
            EngineError: There is none of that id, or it is answering and ``force`` is False.
        """
        self._pool.unload(engine_id, force=force)

    def restart(self, engine_id: str, *, force: bool = False) -> str:
        """Start an engine anew and return its new id; takes time. Raises as ``unload``."""
        return self._pool.restart(engine_id, force=force)

    def close(self) -> None:
        """End every engine; takes time."""
        self._pool.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

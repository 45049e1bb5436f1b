"""A model that is served: everything that belongs to it, from loading to the end."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import uvicorn
from starlette.types import ASGIApp

from trainer.contract.files import write_atomic
from trainer.serving.asking import Asking
from trainer.serving.choice import ModelChoice
from trainer.serving.engine import Engine
from trainer.serving.grammar import Grammars
from trainer.serving.loading import Served, load
from trainer.serving.names import Names
from trainer.serving.rendering import Renderings
from trainer.serving.server import Routes, build

_LOOK_S = 0.1
_LAST_WORDS_S = 2


@dataclass
class Room:
    """A loaded model, its names, and the thread that answers."""

    served: Served
    renderings: Renderings
    engine: Engine
    names: Names
    routes: Routes

    @classmethod
    def open(cls, choice: ModelChoice, runs: Path, *, template: str = "auto",
             name: str = "") -> Room:
        """Load a model and start to answer.

        Args:
            choice: What to serve, and how.
            runs: The folder of runs, for models that are named by a run's id.
            template: 'auto', a name, a .jinja file, or a folder that has one.
            name: What the base is asked for by.

        Raises:
            ModelError: The model or its template cannot be used.
            Failure: The model cannot be fetched, or the device not be used.
        """
        began = time.monotonic()
        served = load(choice, runs)
        renderings = Renderings(served.base.folder, template)
        grammars = Grammars(served.tokenizer, renderings.base.eos_ids)
        engine = Engine(served, grammars)
        names = Names(engine, served, renderings, name or choice.model)
        routes = Routes(engine, served, names, Asking(served, grammars))
        engine.start()
        print(f"Loaded in {time.monotonic() - began:.1f} s; the context holds {served.context:,} "
              "tokens.", file=sys.stderr, flush=True)
        return cls(served, renderings, engine, names, routes)

    def app(self, key: str) -> ASGIApp:
        """Return the app that wants a key."""
        return build(self.routes, key)

    async def listen(self, key: str, port_file: Path, ended: threading.Event) -> None:
        """Listen on a free port of the loopback address until the event is set."""
        # Named TCP, or asyncio leaves Nagle's algorithm on and small chunks wait 40 ms for an ACK.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
            listening.bind(("127.0.0.1", 0))
            server = _Server(uvicorn.Config(
                self.app(key), log_config=None, access_log=False, lifespan="off",
                timeout_graceful_shutdown=_LAST_WORDS_S), port_file)
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            while not ended.is_set() and not serving.done():
                await asyncio.sleep(_LOOK_S)
            await asyncio.to_thread(self.engine.close)
            server.should_exit = True
            await serving

    def __enter__(self) -> Room:
        """Return itself; leaving the block ends everything."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End the thread and the worker."""
        self.engine.close()
        self.renderings.close()


class _Server(uvicorn.Server):
    """Says where it listens as soon as it does."""

    def __init__(self, config: uvicorn.Config, port_file: Path) -> None:
        super().__init__(config)
        self._port_file = port_file

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if sockets and self.started:
            write_atomic(self._port_file, f"{sockets[0].getsockname()[1]}\n")

"""The HTTP server: FastAPI outside with the guard, REST at /api, the board at /."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import shutil
import socket
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI

from app.apikeys import KeyRing
from app.home import Home, HomeError
from app.lock import LockError, ServerLock
from app.login import SHORTEST_TOKEN, Login
from app.login_routes import add_login
from app.migrations import NewerSchema
from app.security import LOOPBACK_NAMES, Guard, SecurityMiddleware, split_host
from trainer.contract.redact import redact

if TYPE_CHECKING:
    from app.studio import Studio
    from app.system import SystemDesk

log = logging.getLogger("finestra.server")


@dataclass(frozen=True)
class ServerSettings:
    """How the server is reached.

    Attributes:
        host: Address to bind.
        port: Port to bind; 0 takes a free one.
        token: Asked for at /login and as Bearer token; '' only on a loopback address.
        root_path: Path under which a proxy shows the studio, '' or '/name'.
        allowed_hosts: More names that the server may be called by.
        max_upload_bytes: Largest upload.
        board: False serves REST alone.
        tick_s: Pause between two looks at the queue and the runs' events.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    token: str = field(default="", repr=False)
    root_path: str = ""
    allowed_hosts: tuple[str, ...] = ()
    max_upload_bytes: int = 1 << 30
    board: bool = True
    tick_s: float = 0.5


class ServeError(ValueError):
    """The server cannot be started as asked; the text says what to do."""


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a bind address; names other than localhost do not.

    An empty host binds every address.
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def prepare_environment() -> None:
    """Keep libraries from changing the server by variables, and from calling home."""
    for name in [n for n in os.environ if n.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["DO_NOT_TRACK"] = "1"


def make_guard(settings: ServerSettings) -> Guard:
    """Work out what is let in; ServeError for an --allowed-host that is no host name."""
    names = set(LOOPBACK_NAMES)
    extra = list(settings.allowed_hosts)
    if not is_loopback(settings.host):
        extra.append(socket.gethostname())
        extra += [settings.host] if settings.host not in {"", "0.0.0.0", "::"} else []
    for text in extra:
        parts = split_host(f"[{text}]" if text.count(":") > 1 and text[0] != "[" else text)
        if parts is None:
            raise ServeError(f"'{text}' is no host name. Write it like studio.example.org.")
        names.add(parts[0])
    return Guard(
        allowed_hosts=frozenset(names), any_address=not is_loopback(settings.host),
        login=Login(settings.token) if settings.token else None,
        root_path=settings.root_path, max_upload_bytes=settings.max_upload_bytes)


async def _keep_going(chores: Sequence[Callable[[], object]], pause_s: float,
                      ending: asyncio.Event) -> None:
    """Advance the queue, read the runs' events and let idle engines go until the server ends.

    It is told to end rather than cancelled: a thread that was left behind would work on a studio
    that is closed already.
    """
    said: dict[str, str] = {}
    while not ending.is_set():
        for work in chores:
            # A full disk or a locked index is told once, and tried again.
            (error,) = await asyncio.gather(asyncio.to_thread(work), return_exceptions=True)
            name, text = work.__qualname__, str(error or "")
            if isinstance(error, Exception) and said.get(name) != text:
                log.error("%s: %s", name, redact(text), exc_info=error)
            said[name] = text
        with suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), pause_s)


def create_app(studio: Studio, settings: ServerSettings | None = None) -> FastAPI:
    """Put the server together.

    Args:
        studio: What pages and routes work on.
        settings: How it will be reached.

    Raises:
        ServeError: A setting cannot be used.
    """
    settings = settings or ServerSettings()
    prepare_environment()
    # What Gradio is handed must not lie where other users of the machine can read it.
    os.environ["GRADIO_TEMP_DIR"] = str(studio.home.tmp / "gradio")
    from app.api import build
    from app.chats.service import Chats
    from app.models_delete import held_names
    from app.serving.endpoints import EndpointBackend, EndpointBook
    from app.serving.engines.local import LocalBackend
    from app.serving.gateway import Gateway
    from app.system import SystemDesk
    from app.tuning.routes import TuningRoutes

    keys, endpoints = KeyRing(studio.home), EndpointBook(studio.home)
    engines = LocalBackend(studio)
    studio.library.engines = lambda: held_names(engines.status())
    # Endpoints first: they know their names without a look at disk and index.
    gateway = Gateway([EndpointBackend(endpoints), engines])
    tuning = TuningRoutes(studio, max_upload_bytes=settings.max_upload_bytes)
    gateway.app.router.routes.extend(tuning.routes())
    api = build(studio, max_upload_bytes=settings.max_upload_bytes)
    api.state.keys, api.state.endpoints = keys, endpoints
    desk = api.state.system = SystemDesk(studio.home, engines)
    chats = api.state.chats = Chats(studio.home, gateway.backend)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(studio.reconcile)
        ending = asyncio.Event()
        work = (studio.tick, studio.ingest, keys.save_use, engines.tick)
        task = asyncio.create_task(_keep_going(work, settings.tick_s, ending))
        try:
            yield
        finally:
            api.state.closing = True
            ending.set()
            await task
            await chats.close()
            await gateway.close()
            keys.save_use(now=True)
            await asyncio.to_thread(engines.close)

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None,
                  redirect_slashes=False)
    guard = replace(make_guard(settings), keys=keys)
    app.add_middleware(SecurityMiddleware, guard=guard)
    add_login(app, guard)
    app.mount("/api", api)
    app.mount("/v1", gateway.app)
    app.state.studio, app.state.guard, app.state.api = studio, guard, api
    if settings.board:
        _mount_board(app, studio, settings, desk)
    return app


def _mount_board(app: FastAPI, studio: Studio, settings: ServerSettings,
                 desk: SystemDesk) -> None:
    from app import board

    with warnings.catch_warnings():
        # Gradio warns for every app of several pages, even when SSR was switched off.
        warnings.filterwarnings("ignore", message="SSR mode is not supported")
        board.mount(app, studio, settings.root_path,
                    max_upload=settings.max_upload_bytes, desk=desk)


def choose_token(host: str, token: str | None) -> tuple[str, bool]:
    """Decide on the token.

    Returns:
        (token, whether it was made here). '' on a loopback address when none is given.

    Raises:
        ServeError: A token was given that is too short to keep anybody out.
    """
    if token is None:
        return ("", False) if is_loopback(host) else (secrets.token_urlsafe(32), True)
    if len(token) < SHORTEST_TOKEN:
        raise ServeError(f"The token has {len(token)} characters; at least {SHORTEST_TOKEN} are "
                         "needed. Leave it out and Finestra makes one.")
    return token, False


def bind(host: str, port: int) -> socket.socket:
    """Open the port.

    Raises:
        ServeError: It is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named TCP, or asyncio leaves Nagle's algorithm on and small answers wait 40 ms for an ACK.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(256)
    except OSError as error:
        sock.close()
        raise ServeError(f"Port {port} on {host} cannot be opened: {error.strerror or error}. "
                         "Choose another one with --port, for example --port "
                         f"{port + 1 if port < 65000 else 7861}.") from None
    return sock


def _announce(settings: ServerSettings, made_here: bool) -> None:
    """Print where the studio is; the only time that a token made here is shown."""
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    host = f"[{host}]" if ":" in host else host
    address = f"http://{host}:{settings.port}{settings.root_path}/"
    if made_here:
        print(f"Finestra: {address}login?token={settings.token}\n"
              "Whoever has this address can run programs here as you. It is shown only this "
              "once.", flush=True)
    elif settings.token:
        print(f"Finestra: {address}login (sign in with the token you gave)", flush=True)
    else:
        print(f"Finestra: {address}", flush=True)
    if not is_loopback(settings.host):
        print(f"From another machine use {socket.gethostname()} or this machine's address "
              f"instead of {host}.", flush=True)


def serve(host: str = "127.0.0.1", port: int = 7860, home: Path | None = None, *,
          root_path: str = "", allowed_hosts: Sequence[str] = (),
          data_roots: Sequence[Path] = ()) -> None:
    """Serve a home until a signal ends it. Runs go on when the server ends.

    The token comes from FINESTRA_TOKEN (at least 16 characters; an argument would be seen in the
    list of processes), else one is made where one is needed.

    Args:
        host: Address to bind; anything but a loopback address needs a token.
        port: Port to bind; 0 takes a free one.
        home: Folder of runs, index and data; default FINESTRA_HOME or ~/.finestra.
        root_path: Path under which a proxy shows the studio.
        allowed_hosts: More names that the server may be called by.
        data_roots: More folders whose files the pages may name.

    Raises:
        SystemExit: Status 2 when it cannot start; the reason is on standard error.
    """
    prepare_environment()
    given = os.environ.pop("FINESTRA_TOKEN", None) or None
    try:
        _serve(ServerSettings(host=host, port=port, root_path=_clean_root(root_path),
                              allowed_hosts=tuple(allowed_hosts)),
               home=home, token=given, data_roots=data_roots)
    except (ServeError, LockError, HomeError, NewerSchema) as error:
        print(f"finestra: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def _clean_root(path: str) -> str:
    """Return '' or '/name/...' without an ending slash; ServeError for anything else."""
    clean = "/" + path.strip("/") if path.strip("/") else ""
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", clean) or ".." in clean:
        raise ServeError(f"--root-path '{path}' is no path. Write it like /studio.")
    return clean


def _clear_uploads(home: Home) -> None:
    """Remove what a killed server left of uploads; the lock is held, so nobody is at them."""
    for folder in (*home.tmp.glob("upload-*"), home.tmp / "gradio"):
        shutil.rmtree(folder, ignore_errors=True)


def _open_studio(home: Home, data_roots: Sequence[Path]) -> Studio:
    from app.studio import Studio

    return Studio.open(home.root, data_roots=data_roots)


def _serve(settings: ServerSettings, *, home: Path | None, token: str | None,
           data_roots: Sequence[Path]) -> None:
    chosen, made_here = choose_token(settings.host, token)
    make_guard(settings)
    place = Home.open(home)
    with ServerLock(place.lock):
        sock = bind(settings.host, settings.port)
        settings = replace(settings, token=chosen, port=sock.getsockname()[1])
        _clear_uploads(place)
        studio = _open_studio(place, data_roots)
        try:
            # Made inside the running loop: Gradio leaves event loops open when it finds none.
            config = uvicorn.Config(
                lambda: create_app(studio, settings), factory=True, log_level="warning",
                access_log=False, server_header=False, timeout_graceful_shutdown=3,
                root_path=settings.root_path)
            _Server(config, lambda: _announce(settings, made_here)).run(sockets=[sock])
        finally:
            studio.close()
            sock.close()


class _Server(uvicorn.Server):
    """Says where the studio is once it answers."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._tell()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End quietly with status 0 at the first signal, at once at the second."""
        self.force_exit = self.should_exit
        self.should_exit = True

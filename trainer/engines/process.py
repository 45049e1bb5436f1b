"""One engine as a process: started under its guard, asked until it answers, ended whole."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import httpx

from trainer.contract.identity import Identity, sweep
from trainer.contract.logfile import clean, read_tail
from trainer.contract.redact import SECRET_VARIABLES, known_secrets, redact
from trainer.engines.errors import EngineError
from trainer.engines.kinds import BASE_NAME, Launch
from trainer.engines.sockets import MARK, listening
from trainer.engines.targets import Adapter

# Of the standard library alone, so neither the environment's packages nor ours are looked for.
GUARD = (sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py")))
GRACE_S = 5.0
LAST_LINES = 20
POLL_S = 0.05
SLOWEST_POLL_S = 0.5
ASK_S = 5.0
PORT_TRIES = 3
_TAKEN = "address already in use"


def free_port() -> int:
    """Return a port of the loopback address that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def last_lines(path: Path, count: int = LAST_LINES) -> str:
    """Return the last lines of a log as plain text without secrets, or ''."""
    lines = clean(read_tail(path, 32_768)).splitlines()
    return redact("\n".join([line for line in lines if line.strip()][-count:]), known_secrets())


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without secrets and with ``extra``."""
    kept = {k: v for k, v in os.environ.items() if k not in SECRET_VARIABLES}
    return {**kept, "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false", **extra}


def temporary_of(engine_id: str) -> Path:
    """Return an engine's own folder for temporary files.

    It lies in the machine's, since the path of a home or a run may be too long for a socket's name.
    """
    return Path(tempfile.gettempdir()) / f"finestra-{engine_id}"


def end_remains(engine_id: str, process: Identity | None = None) -> None:
    """Kill whatever is left of an engine and remove its temporary files."""
    sweep({MARK: engine_id}, process)
    shutil.rmtree(temporary_of(engine_id), ignore_errors=True)


class Lease(Protocol):
    """Whoever answers for an engine: what is written down of it, and what ends with it."""

    id: str

    def keep(self, process: Identity | None) -> None:
        """Write down the engine's process."""
        ...

    def end(self) -> None:
        """Forget the engine, which has ended."""
        ...


class EngineProcess:
    """A started engine. Its methods wait, so they belong on a thread of their own."""

    def __init__(self, launch: Launch, lease: Lease, log: Path, key: str) -> None:
        """Start it.

        Raises:
            EngineError: It cannot be started.
        """
        self._launch, self._lease, self.log, self.key = launch, lease, log, key
        self.port = launch.port
        self.models: tuple[str, ...] = ()
        self._told_to_end = threading.Event()
        environ = child_environment({**launch.environ, MARK: lease.id})
        try:
            handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
                             | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                self._process = subprocess.Popen(
                    [*GUARD, str(GRACE_S), *launch.argv], stdin=subprocess.PIPE, stdout=handle,
                    stderr=handle, env=environ, cwd=log.parent, start_new_session=True)
            finally:
                os.close(handle)
        except OSError as error:
            raise EngineError("engine", f"The engine cannot be started: {error.strerror}.",
                              "Run 'finestra doctor'.") from None
        lease.keep(Identity.of(self._process.pid))

    @property
    def base_url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def pid(self) -> int:
        """Process id of its guard."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    @property
    def port_was_taken(self) -> bool:
        """Whether it ended because somebody else had its port by then."""
        return (not self.alive and self._launch.port > 0
                and _TAKEN in last_lines(self.log, 200).lower())

    def wait_ready(self, limit_s: float) -> None:
        """Wait until it answers on its own port.

        Raises:
            EngineError: It ended ('engine_died'), did not answer in time ('engine_not_ready'), or
                was told to end ('engine_ended').
        """
        deadline, pause = time.monotonic() + limit_s, POLL_S
        with self.client() as client:
            while not self._answers(client):
                if self._told_to_end.wait(pause):
                    raise EngineError("engine_ended", "The engine was ended before it answered.",
                                      "Ask again to start it.")
                if not self.alive:
                    raise self.died()
                if time.monotonic() > deadline:
                    raise EngineError("engine_not_ready", "The engine did not answer within "
                                      f"{limit_s:.0f} s.", "Look at its log; a large model may "
                                      "need a longer limit (FINESTRA_ENGINE_START_S).",
                                      last_lines(self.log))
                pause = min(SLOWEST_POLL_S, pause * 1.2)

    def base_name(self, first: Adapter | None) -> str:
        """Return what it calls its base; ``first`` is the adapter that it was started with."""
        others = [name for name in self.models if first is None or name != first.name]
        return others[0] if others else BASE_NAME

    def client(self, timeout_s: float = ASK_S) -> httpx.Client:
        """Return a client with its key; proxies of the environment are not asked."""
        return httpx.Client(headers={"Authorization": f"Bearer {self.key}"}, timeout=timeout_s,
                            trust_env=False, follow_redirects=False)

    def _answers(self, client: httpx.Client) -> bool:
        """Ask once. The key goes out only after the kernel says that the port is its own."""
        if not self.port and not self._read_port():
            return False
        if (True, self.port) not in listening(self._lease.id):
            return False
        try:
            health = client.get(f"{self.base_url.removesuffix('/v1')}/health")
            if health.status_code not in (200, 404):
                return False
            answer = client.get(f"{self.base_url}/models")
            listed = answer.json()["data"] if answer.status_code == 200 else []
            self.models = tuple(str(one["id"]) for one in listed)
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False
        return bool(self.models)

    def _read_port(self) -> bool:
        path = self._launch.port_file
        assert path is not None
        with suppress(OSError, ValueError):
            self.port = int(path.read_text(encoding="ascii"))
        return self.port > 0

    def load_adapter(self, adapter: Adapter, limit_s: float) -> None:
        """Lay an adapter over the base, beside those that are there.

        Raises:
            EngineError: It refuses ('adapter_refused'), or is gone.
        """
        self._change("load", {"lora_name": adapter.name, "lora_path": str(adapter.folder)},
                     limit_s)

    def unload_adapter(self, name: str, limit_s: float) -> None:
        """Take an adapter away; one that is not there is as good."""
        with suppress(EngineError):
            self._change("unload", {"lora_name": name}, limit_s)

    def _change(self, verb: str, body: dict[str, str], limit_s: float) -> None:
        try:
            with self.client(limit_s) as client:
                answer = client.post(f"{self.base_url}/{verb}_lora_adapter", json=body)
        except httpx.HTTPError as error:
            raise self.why_ended() or EngineError(
                "engine_silent", f"The engine did not {verb} the adapter: "
                f"{type(error).__name__}.", "Restart it.", last_lines(self.log)) from None
        if answer.status_code != 200:
            raise EngineError("adapter_refused", f"The engine cannot {verb} the adapter "
                              f"'{body['lora_name']}': {_reason(answer)}",
                              "Look at its log, or choose another engine.", last_lines(self.log))

    def why_ended(self, wait_s: float = 2.0) -> EngineError | None:
        """Say how it ended, None when it goes on; whoever lost the connection may be early."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(wait_s)
            return self.died()
        return None

    def died(self) -> EngineError:
        """Describe how it ended, with its last lines."""
        status = self._process.poll()
        how = f"was ended by signal {-status}" if status is not None and status < 0 \
            else f"ended with status {status}"
        if status == -signal.SIGKILL:
            how += " (often out of memory)"
        log = last_lines(self.log)
        last = log.rpartition("\n")[2][:300]
        return EngineError("engine_died", f"The engine {how}." + (
            f" Its last words: {last}" if last else ""), "Ask again to restart it.", log)

    def tell_to_end(self) -> None:
        """Close its input: it ends, and a wait for it as well. Returns at once."""
        self._told_to_end.set()
        with suppress(OSError, ValueError):
            assert self._process.stdin is not None
            self._process.stdin.close()

    def close(self) -> None:
        """End it with everything that it started."""
        self.tell_to_end()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_S + 2)
        if self.alive:
            self._process.kill()
        self._lease.end()
        self._process.wait()


def start(spawn: Callable[[], EngineProcess], limit_s: float,
          given_up: Callable[[], bool]) -> EngineProcess:
    """Start an engine and wait for its first answer; anew when its port was taken meanwhile.

    Args:
        spawn: Starts a process; the one before has been told to end.
        limit_s: Longest time for all tries together.
        given_up: Whether nobody wants it any more.

    Raises:
        EngineError: It cannot be started, or as ``EngineProcess.wait_ready``.
    """
    deadline, tries = time.monotonic() + limit_s, 0
    while True:
        process, tries = spawn(), tries + 1
        try:
            process.wait_ready(deadline - time.monotonic())
        except EngineError:
            if tries == PORT_TRIES or not process.port_was_taken or given_up():
                raise
            process.tell_to_end()
        else:
            return process


def _reason(answer: httpx.Response) -> str:
    """Return what an engine says is wrong, in OpenAI's shape or as text."""
    try:
        value: Any = answer.json()
    except ValueError:
        return answer.text[:300] or f"HTTP {answer.status_code}"
    error = value.get("error", value) if isinstance(value, dict) else value
    text = error.get("message", error) if isinstance(error, dict) else error
    return str(text)[:500]

"""Servers as child processes: start, wait for the first answer, stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.report import ROOT


@dataclass(frozen=True)
class Server:
    """A running server; ``first_page_s`` is from starting the process to the page's last byte."""

    url: str
    pid: int
    first_page_s: float


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def first_answer(url: str, process: subprocess.Popen[bytes], limit_s: float) -> float:
    """Ask every 10 ms until the page is there; return the time of that.

    Raises:
        RuntimeError: The process ended, or said nothing within the limit.
    """
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=30, trust_env=False).status_code == 200:
                return time.monotonic()
        except httpx.TransportError:
            pass
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        time.sleep(0.01)
    raise RuntimeError(f"no answer within {limit_s:.0f} s")


@contextmanager
def started(arguments: Sequence[str], port: int, log: Path) -> Iterator[Server]:
    """Run a server until the block ends."""
    url = f"http://127.0.0.1:{port}/"
    environment = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    with log.open("ab") as output:
        begin = time.monotonic()
        process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment,
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                   start_new_session=True)
        try:
            yield Server(url, process.pid, first_answer(url, process, 60) - begin)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def studio(home: Path) -> Iterator[Server]:
    """Run ``finestra serve`` on a free port with its state in ``home``."""
    port = free_port()
    command = ["-m", "app", "serve", "--port", str(port), "--home", str(home)]
    home.mkdir(parents=True, exist_ok=True)
    with started(command, port, home / "server.log") as server:
        yield server


@contextmanager
def bare(folder: Path) -> Iterator[Server]:
    """Run the Gradio app with one textbox."""
    port = free_port()
    with started(["bench/bare_gradio.py", str(port)], port, folder / "bare.log") as server:
        yield server

"""``finestra serve`` as a person would start it, and as a fault would end it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

SHOWN_S = 30
# A busy machine needs long to import Gradio.
STARTED_S = 90


class Server:
    """``finestra serve`` on a port that stays the same when it is started again."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.died = False
        self.home, self.url = home, f"http://127.0.0.1:{self.port}"
        self.api = httpx.Client(base_url=f"{self.url}/api", timeout=30, trust_env=False)

    def start(self) -> None:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", "serve", "--port", str(self.port),
                 "--home", str(self.home)],
                cwd=self.home, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.until("the server answers", self.answers, STARTED_S)
        except AssertionError:
            self.process.kill()
            self.process.wait()
            raise

    def answers(self) -> bool:
        assert self.process.poll() is None, (self.home / "server.log").read_text()
        try:
            return self.api.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """End it as a fault would: nothing is closed or written."""
        self.died = True
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """Stop what still runs, then the server."""
        if self.process.poll() is None:
            for run in self.api.get("/runs").json()["runs"]:
                if run["state"] in {"queued", "starting", "running"}:
                    self.api.post(f"/runs/{run['id']}/stop")
            self.until("every run has ended", lambda: not any(
                run["state"] in {"starting", "running", "stopping"}
                for run in self.api.get("/runs").json()["runs"]), 60)
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=20)
        self.api.close()

    def run(self, run_id: str) -> dict:
        return self.api.get(f"/runs/{run_id}").raise_for_status().json()

    def upload(self, path: Path, name: str) -> None:
        """Add a file as a dataset, as a script would."""
        self.api.post("/datasets", params={"name": name, "filename": path.name},
                      content=path.read_bytes(),
                      headers={"Content-Type": "application/octet-stream"}).raise_for_status()

    def points(self, run_id: str, name: str = "loss") -> list[list[float]]:
        answer = self.api.get(f"/runs/{run_id}/metrics", params={"name": name})
        return answer.raise_for_status().json()["series"].get(name, [])

    def until(self, what: str, happened: Callable[[], object], limit_s: float = SHOWN_S) -> None:
        deadline = time.monotonic() + limit_s
        while not happened():
            assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
            time.sleep(0.1)

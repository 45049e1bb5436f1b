"""A studio with the fake trainer behind the whole server, without the board."""

import contextlib
import sys
import threading
import time
from pathlib import Path

import pytest
import uvicorn
from starlette.testclient import TestClient

from app.server import ServerSettings, bind, create_app
from app.studio import Studio

HOME = "http://127.0.0.1:7860"
FAKE = (sys.executable, str(Path(__file__).parents[2] / "fake_trainer.py"))
CONFIG = {
    "name": "a try",
    "model": {"name_or_path": "starter"},
    "data": {"train": ["sample_instructions"], "eval": ["sample_instructions_heldout"]},
    "training": {"max_steps": 10, "device": "cpu"},
}


class Rest:
    """A client of one server, and the studio behind it."""

    def __init__(self, client, studio):
        self.client, self.studio, self.done = client, studio, ""
        self.get, self.post, self.put = client.get, client.post, client.put
        self.patch, self.delete = client.patch, client.delete

    def start(self, **changes):
        answer = self.post("/api/runs", json={**CONFIG, **changes})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def wait(self, run_id, *states, within_s=30.0):
        """Ask until the run is in one of the states."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            found = self.get(f"/api/runs/{run_id}").json()
            if found["state"] in states:
                return found
            time.sleep(0.05)
        raise AssertionError(f"still {found['state']}: {found['reason']}")

    def finished(self):
        """Start a run and wait for its end; where one was finished already, return that."""
        if not self.done:
            run_id = self.start()
            self.wait(run_id, "completed")
            return run_id
        return self.done


def end_all(studio):
    for state in ("queued", "starting", "running"):
        for run in studio.runs(state=state):
            studio.stop(run.id)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(
            studio.runs(state=s) for s in ("starting", "running", "stopping")):
        studio.ingest()
        studio.tick()
        time.sleep(0.05)


class Live(uvicorn.Server):
    """A server in a thread; ``address`` is where it answers."""

    def __init__(self, app):
        super().__init__(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2))
        self.socket = bind("127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.run, kwargs={"sockets": [self.socket]})

    def __enter__(self):
        self.thread.start()
        deadline = time.monotonic() + 20
        while not self.started and time.monotonic() < deadline:
            time.sleep(0.01)
        assert self.started
        return self

    def __exit__(self, *_):
        self.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()
        self.socket.close()


@contextlib.contextmanager
def opened(home):
    studio = Studio.open(home, trainer_argv=FAKE, grace_s=5.0)
    try:
        yield studio
        end_all(studio)
    finally:
        studio.close()


@contextlib.contextmanager
def served(studio):
    app = create_app(studio, ServerSettings(board=False, tick_s=0.05, max_upload_bytes=200_000))
    with TestClient(app, base_url=HOME, follow_redirects=False) as client:
        yield Rest(client, studio)


@pytest.fixture
def studio(tmp_path):
    with opened(tmp_path / "home") as studio:
        yield studio


@pytest.fixture
def rest(studio):
    with served(studio) as rest:
        yield rest


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A server with one finished run, for tests that leave it as it is."""
    with opened(tmp_path_factory.mktemp("shelf") / "home") as studio, served(studio) as rest:
        rest.done = rest.finished()
        yield rest


@pytest.fixture
def live(studio):
    app = create_app(studio, ServerSettings(board=False, tick_s=0.05))
    with Live(app) as server:
        server.app = app
        yield server

"""F33: an engine that dies, is never ready, finds its port taken, or is left behind."""

import asyncio
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from app.serving.engines.leases import folder_of, known
from tests.app.serving.engines.desk import STUB, ask
from trainer.contract.identity import Identity, find_by_environ
from trainer.engines.errors import EngineError
from trainer.engines.kinds import Transformers
from trainer.engines.sockets import MARK

pytestmark = pytest.mark.faults


def refused(served, name, **options):
    with pytest.raises(EngineError) as error:
        ask(served, name, **options)
    return error.value


def processes(desk):
    return find_by_environ({"FINESTRA_HOME": str(desk.home.root)})


def gone(desk, limit_s=10.0):
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if not processes(desk):
            return True
        time.sleep(0.02)
    return False


def test_f33_an_engine_that_ends_at_once_shows_its_last_lines(desk, serve, monkeypatch):
    served = serve()
    monkeypatch.setenv("STUB_START", "exit")
    error = refused(served, "one")
    assert error.code == "engine_died" and "status 1" in str(error)
    lines = error.log.splitlines()
    assert len(lines) == 20 and lines[-1] == "RuntimeError: HF_TOKEN=[secret]"
    (ended,) = served.status()
    assert ended["state"] == "ended" and ended["last_lines"] == error.log
    assert list(known(desk.home)) == [] and processes(desk) == []
    monkeypatch.setenv("STUB_START", "")
    assert ask(served, "one")["said"] == "hello"


@pytest.mark.parametrize("how", ["silent", "unwell"])
def test_f33_an_engine_that_never_answers_is_given_up(desk, serve, monkeypatch, how):
    monkeypatch.setenv("STUB_START", how)
    served = serve(start_s=0.8)
    error = refused(served, "one")
    assert error.code == "engine_not_ready" and "FINESTRA_ENGINE_START_S" in error.advice
    assert processes(desk) == []


def test_f33_a_death_in_the_middle_is_told_once(serve):
    served = serve()
    before = ask(served, "one")["pid"]
    for word, how in (("die", "status 3"), ("kill", r"signal 9 \(often out of memory\)")):
        with pytest.raises(EngineError, match=how) as died:
            ask(served, "one", word)
        assert died.value.code == "engine_died"
        assert died.value.log.endswith("HF_TOKEN=[secret]")
        assert isinstance(died.value.__cause__, httpx.TransportError)
        assert ask(served, "one")["pid"] != before


def test_a_broken_connection_of_a_living_engine_is_no_death(serve):
    served = serve()

    async def wrong():
        async with served.using("one"):
            raise httpx.ReadTimeout("slow")

    with pytest.raises(httpx.ReadTimeout):
        asyncio.run(wrong())
    assert served.status()[0]["state"] == "ready"


def test_an_engine_that_died_while_idle_is_noticed(desk, serve):
    served = serve()
    pid, guard = ask(served, "one")["pid"], served.status()[0]["pid"]
    os.kill(pid, signal.SIGKILL)
    # Its environment is gone a moment before its status can be read.
    os.waitid(os.P_PID, guard, os.WEXITED | os.WNOWAIT)
    served.tick()
    assert "signal 9" in served.status()[0]["error"]
    assert ask(served, "one")["pid"] != pid


class OnPort(Transformers):
    """The stub, told its port as vLLM is."""

    name = "transformers"

    def launch(self, setup, port):
        launch = super().launch(setup, port)
        argv = (sys.executable, "-P", STUB, "--port", str(port), "--served-model-name", "base")
        return type(launch)(argv, launch.environ | {"VLLM_API_KEY": setup.key}, port)


@pytest.fixture
def ports(serve, monkeypatch):
    """Serve with ports of the test's choice, then with free ones."""
    from trainer.engines import process
    from trainer.engines.settings import EngineSettings

    chosen, free = [], process.free_port
    monkeypatch.setattr("app.serving.engines.engine.free_port",
                        lambda: chosen.pop(0) if chosen else free())

    def make(*wanted, **options):
        chosen.extend(wanted)
        settings = EngineSettings(**{"start_s": 20.0, **options})
        return serve(kinds={"transformers": OnPort(settings)}, **options)

    return make


def test_f33_a_port_that_is_taken_is_left_to_its_owner(desk, ports):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        served = ports(port)
        assert ask(served, str(desk.base()))["said"] == "hello"
        served = ports(port, port, port)
        error = refused(served, str(desk.base()))
        assert error.code == "engine_died" and "ddress already in use" in error.log
    assert served.status()[0]["state"] == "ended"


def test_a_stranger_on_the_port_is_not_taken_for_the_engine(desk, ports, monkeypatch):
    asked = []

    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers.get("Authorization"))
            body = json.dumps({"data": [{"id": "base"}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    monkeypatch.setenv("STUB_START", "silent")
    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        served = ports(server.server_port, start_s=0.5)
        assert refused(served, str(desk.base())).code == "engine_not_ready"
        server.shutdown()
    assert asked == []


def test_a_stubborn_engine_and_what_it_started_are_killed(desk, serve, monkeypatch):
    monkeypatch.setattr("trainer.engines.process.GRACE_S", 0.2)
    monkeypatch.setenv("STUB_START", "stubborn")
    served = serve()
    ask(served, "one")
    served.unload(served.status()[0]["id"])
    assert processes(desk) == []
    monkeypatch.setenv("STUB_START", "forks")
    ask(served, "one")
    assert len(processes(desk)) == 3
    served.close()
    assert processes(desk) == []


STUDIO = """
import sys, time
from pathlib import Path
from app.home import Home
from trainer.engines.settings import EngineSettings
from tests.app.serving.engines.desk import Desk, Run, RunState, ask, backend
desk = Desk(Home.open(Path({home!r})))
desk.known["one"] = Run("one", "one", RunState.COMPLETED, desk.home.runs / "one", model={base!r})
served = backend(desk)
print(ask(served, "one")["pid"], flush=True)
time.sleep(60)
"""


def killed_studio(desk):
    """Start a studio with an engine, kill it with SIGKILL; returns the engine's lease."""
    script = STUDIO.format(home=str(desk.home.root), base=str(desk.base()))
    root = str(Path(STUB).parents[4])
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root,
                          text=True) as studio:
        assert int(studio.stdout.readline())
        (engine,) = known(desk.home)
        yield engine
        studio.kill()
    yield engine


def test_f33_engines_end_with_a_killed_studio(desk, serve):
    story = killed_studio(desk)
    engine = next(story)
    assert engine.owner.alive() and engine.process.alive()
    serve()
    assert engine.process.alive(), "another studio's engine is nobody's orphan"
    next(story)
    assert gone(desk)
    story.close()
    serve()
    assert list(known(desk.home)) == []


def test_f33_orphans_are_found_by_their_lease(desk, serve):
    """The guard is killed too, and the engine ignores the end of its input."""
    folder = folder_of(desk.home)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],
                          env={**os.environ, MARK: "abc123"}) as orphan, \
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        owner = Identity.mine().document()
        lease = {"id": "abc123", "device": "GPU-1", "label": "base", "since": 0,
                 "owner": {**owner, "start": owner["start"] - 1},
                 # The recorded pid means somebody else by now (F6).
                 "process": {**Identity.of(stranger.pid).document(), "start": 1}}
        (folder / "abc123.json").write_text(json.dumps(lease))
        (folder / "abc123.key").write_text("secret")
        serve()
        assert orphan.wait(10) == -signal.SIGKILL
        assert stranger.poll() is None
        stranger.kill()
    assert list(folder.iterdir()) == []


def test_what_nobody_foresaw_at_a_start_is_told_and_leaves_nothing(desk, serve, monkeypatch):
    def broken(engine):
        raise LookupError("nobody foresaw this")

    served, seen = serve(), queue.SimpleQueue()
    monkeypatch.setattr("app.serving.engines.engine.Engine._spawn", broken)
    monkeypatch.setattr(threading, "excepthook", seen.put)
    assert refused(served, "one").code == "engine"
    assert isinstance(seen.get(timeout=10).exc_value, LookupError)
    monkeypatch.undo()
    assert ask(served, "one")["said"] == "hello" and list(known(desk.home))


def test_what_an_engine_leaves_in_its_temporary_folder_goes_with_it(desk, serve):
    served = serve()
    folder = Path(ask(served, "one", "env TMPDIR")["said"])
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "left").write_text("much")
    served.unload(served.status()[0]["id"])
    assert not folder.exists()


def test_shared_memory_of_a_killed_engine_is_given_back(desk, serve, monkeypatch, tmp_path):
    monkeypatch.setenv("STUB_START", "shares")
    monkeypatch.setenv("STUB_SHARED", str(tmp_path / "name"))
    served = serve()
    pid = ask(served, "one")["pid"]
    memory = Path("/dev/shm") / (tmp_path / "name").read_text()
    assert memory.exists()
    os.kill(pid, signal.SIGKILL)
    assert gone(desk)
    assert not memory.exists()

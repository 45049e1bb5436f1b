"""A server that is killed in the middle of an answer; engines and disks that fail."""

import os
import signal
import subprocess
import sys
import time

import pytest

from app.chats.book import Book
from app.home import Home
from app.serving.endpoints import EndpointBook
from tests.app.chats.conftest import Client, shown
from tests.app.chats.talker import Talker

pytestmark = pytest.mark.faults


@pytest.fixture
def engine():
    with Talker() as talker:
        yield talker


class Child:
    """A server in a process of its own."""

    def __init__(self, home):
        environ = {**os.environ, "FINESTRA_HOME": str(home), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen([sys.executable, "-P", "-m", "app", "serve", "--port", "0"],
                                        env=environ, stdout=subprocess.PIPE, text=True)
        address = self.process.stdout.readline().split()[-1].rstrip("/")
        self.client = Client(base_url=address, trust_env=False, timeout=20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def until(condition, limit_s=20):
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_what_was_written_survives_the_server(tmp_path, engine):
    home = Home.open(tmp_path / "home")
    EndpointBook(home).add("lab", engine.base_url, ["one"], key=engine.key)
    book = Book(home)
    with Child(home.root) as server:
        chat = server.client.post("", json={"lanes": ["lab/one"]}).json()
        said = {"parent": None, "inputs": [{"role": "user", "content": "slow"}]}
        assert server.client.post(f"/{chat['id']}/turns", json=said).status_code == 201
        assert engine.begun.wait(20)
        until(lambda: book.load(chat["id"]).turns["t1"].answers["lab/one"][0].content)
        server.kill()
    engine.gate.set()
    with Child(home.root) as server:
        found = server.client.get(f"/{chat['id']}").json()
        answer = shown(found)
        assert (answer["state"], answer["content"]) == ("stopped", "begun")
        assert not book.growing(chat["id"]).exists()
        server.client.post(f"/{chat['id']}/turns/t1/answers", json={"lane": "lab/one"})
        again = until(lambda: (one := server.client.get(f"/{chat['id']}").json())
                      and shown(one)["state"] == "done" and one)
        assert shown(again)["content"] == "begun and done"


def test_a_server_that_ends_keeps_what_was_written(tmp_path, engine):
    home = Home.open(tmp_path / "home")
    EndpointBook(home).add("lab", engine.base_url, ["one"], key=engine.key)
    with Child(home.root) as server:
        chat = server.client.post("", json={"lanes": ["lab/one"]}).json()
        said = {"parent": None, "inputs": [{"role": "user", "content": "slow"}]}
        server.client.post(f"/{chat['id']}/turns", json=said)
        assert engine.begun.wait(20)
        until(lambda: shown(server.client.get(f"/{chat['id']}").json())["content"])
        server.process.terminate()
        assert server.process.wait(20) == 0
    kept = Book(home).load(chat["id"]).turns["t1"].answers["lab/one"][0]
    assert (kept.state, kept.content) == ("stopped", "begun")


def test_a_folder_that_cannot_be_written_is_told(tmp_path, engine):
    home = Home.open(tmp_path / "home")
    folder, aside = home.root / "chats", home.root / "aside"
    with Child(home.root) as server:
        folder.rename(aside)
        folder.write_text("in the way")
        answer = server.client.post("", json={"lanes": ["lab/one"]})
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "disk")
        folder.unlink()
        aside.rename(folder)
        assert server.client.post("", json={"lanes": ["lab/one"]}).status_code == 201

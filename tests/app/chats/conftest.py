"""Conversations over REST, with a real server and a stub engine as the remote side."""

import json
import time

import httpx
import pytest

from app.server import ServerSettings, create_app
from app.serving.endpoints import EndpointBook
from tests.app.api.conftest import Live, opened
from tests.app.chats.talker import Talker

LANE, OTHER = "lab/one", "lab/two"


class Client(httpx.Client):
    """Asks below /api/chats."""

    def request(self, method, url, **more):
        return super().request(method, f"/api/chats{url}", **more)

    def stream(self, method, url, **more):
        return super().stream(method, f"/api/chats{url}", **more)


class Desk:
    """A client of a server's conversations."""

    def __init__(self, live):
        self.live, self.studio = live, live.studio
        self.client = Client(base_url=live.address, trust_env=False, timeout=30)

    def new(self, *lanes, **more):
        return self.ok(self.client.post("", json={"lanes": list(lanes or [LANE]), **more}))

    def say(self, chat, text, parent="leaf", **more):
        parent = chat["leaf"] if parent == "leaf" else parent
        said = [{"role": "user", "content": text}]
        return self.ok(self.client.post(f"/{chat['id']}/turns", json={
            "parent": parent, "inputs": said, **more}))

    def ask(self, chat, text, **more):
        """Say something and wait for all answers."""
        return self.ended(self.say(chat, text, **more))

    def ended(self, chat):
        """Watch until nothing is being written; return the conversation."""
        with Watch(self, chat["id"]) as watch:
            watch.until(lambda: not watch.active)
        return self.get(chat)

    def get(self, chat):
        return self.ok(self.client.get(f"/{chat['id']}"))

    def post(self, chat, path, **body):
        return self.ok(self.client.post(f"/{chat['id']}{path}", json=body))

    def patch(self, chat, **body):
        return self.ok(self.client.patch(f"/{chat['id']}", json=body))

    @staticmethod
    def ok(answer):
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    @staticmethod
    def refused(answer, status, code):
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
        return answer.json()["error"]


class Watch:
    """Listens to a conversation's events; ``chat`` is it as the events tell it."""

    def __init__(self, desk, chat_id):
        self.events, self.chat = [], None
        self._stream = desk.client.stream("GET", f"/{chat_id}/events")

    def __enter__(self):
        self._lines = self._stream.__enter__().iter_lines()
        self.next()
        return self

    def __exit__(self, *error):
        self._stream.__exit__(*error)

    def next(self):
        event = ""
        for line in self._lines:
            if line.startswith("event: "):
                event = line[7:]
            elif line.startswith("data: "):
                self.take(event, json.loads(line[6:]))
                return event
        raise AssertionError("the stream ended")

    def take(self, event, data):
        self.events.append((event, data))
        if event == "chat":
            self.chat = data
        elif event == "delta":
            answer = self.answer(data)
            for key in ("content", "thinking"):
                answer[key] += data.get(key, "")
            for key in ("tool_calls", "state", "stats", "error", "finish_reason"):
                if key in data:
                    answer[key] = data[key]

    def answer(self, data):
        answers = self.chat["turns"][data["turn"]]["answers"][data["lane"]]
        return next(one for one in answers if one["id"] == data["answer"])

    def answers(self):
        return [answer for turn in self.chat["turns"].values()
                for answers in turn["answers"].values() for answer in answers]

    @property
    def active(self):
        return any(one["state"] in ("waiting", "loading", "writing") for one in self.answers())

    def until(self, condition, limit_s=20):
        deadline = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < deadline
            self.next()


@pytest.fixture(scope="module")
def engine():
    with Talker() as talker:
        yield talker


@pytest.fixture(scope="module")
def server(tmp_path_factory, engine):
    with opened(tmp_path_factory.mktemp("chats") / "home") as studio:
        EndpointBook(studio.home).add("lab", engine.base_url, ["one", "two"], key=engine.key)
        strict = engine.base_url.replace("/v1", "/strict/v1")
        EndpointBook(studio.home).add("strict", strict, ["one"], key=engine.key)
        EndpointBook(studio.home).add("gone", "http://127.0.0.1:9/v1", ["m"])
        with Live(create_app(studio, ServerSettings(board=False, tick_s=0.05))) as live:
            live.studio = studio
            yield live


@pytest.fixture
def desk(server, engine):
    engine.reset()
    desk = Desk(server)
    yield desk
    engine.gate.set()
    desk.client.close()


def shown(chat, turn=None, lane=LANE):
    """Return the answer of a lane that is shown at a turn."""
    found = chat["turns"][turn or chat["leaf"]]
    return next(one for one in found["answers"][lane] if one["id"] == found["shown"][lane])

"""A judge behind HTTP: a stub server on this machine that answers as it is told."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.board.i18n import reason_text
from trainer.contract.kinds.evaluate import JudgeConfig
from trainer.engines.endpoints import Endpoint
from trainer.engines.route import Route
from trainer.evaluation.asking import HttpAsker
from trainer.evaluation.choosing import Plan
from trainer.evaluation.finding import Remote
from trainer.evaluation.judging.judge import judge
from trainer.evaluation.judging.wish import JudgeResult, JudgeWish

KEY = "secret-key-of-the-judge"
# (status, what it says or a whole body, headers)
Reply = tuple[int, str | dict[str, Any] | bytes, dict[str, str]]


def shown(question: str) -> list[str]:
    """Return the answers in a question, in the order in which they are shown."""
    code = re.search(r"marks with the code (\w+)", question)
    assert code
    return [text for _, text in re.findall(
        rf"<<<(answer(?: [AB])?) {code[1]}>>>\n(.*?)\n<<<end of \1 {code[1]}>>>", question,
        re.DOTALL)]


def longer(question: str) -> str:
    """Prefer the longer answer, wherever it stands."""
    first, second = map(len, shown(question))
    return f"VERDICT: {'tie' if first == second else 'A' if first > second else 'B'}"


class Stub:
    """Remembers what it was asked; ``says`` makes a reply of the question."""

    def __init__(self) -> None:
        self.says: Callable[[str], str | Reply] = longer
        self.bodies: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with stub.lock:
                    stub.bodies.append(body | {"path": self.path})
                    reply = stub.says(body["messages"][0]["content"])
                status, said, headers = (200, reply, {}) if isinstance(reply, str) else reply
                self.answer(status, said, headers)

            def answer(self, status: int, said: Any, headers: dict[str, str]) -> None:
                raw = said if isinstance(said, bytes) else json.dumps(
                    completion(said) if isinstance(said, str) else said).encode()
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(raw))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    @contextmanager
    def silent(self, when: Callable[[], bool]) -> Iterator[None]:
        """Answer nothing where ``when`` says so, until the block ends; else ``longer``."""
        gate = threading.Event()

        def says(question: str) -> str:
            if when():
                self.lock.release()
                gate.wait(20)
                self.lock.acquire()
            return longer(question)

        self.says = says
        try:
            yield
        finally:
            gate.set()
            self.says = longer

    @property
    def questions(self) -> list[str]:
        """What it was asked."""
        return [body["messages"][0]["content"] for body in self.bodies]


def completion(said: str | None, finish: str = "stop", **more: Any) -> dict[str, Any]:
    """Return a chat completion that took 100 tokens to read and 7 to write."""
    return {"choices": [{"message": {"content": said}, "finish_reason": finish}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 7}, **more}


@pytest.fixture
def stub() -> Iterator[Stub]:
    found = Stub()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def lines(dataset: str, answers: list[str], **more: Any) -> list[dict[str, Any]]:
    """Return predictions, row by row."""
    return [{"dataset": dataset, "row": row, "prompt": f"Question {row}?", "reference": None,
             "prediction": answer, **more} for row, answer in enumerate(answers, 1)]


def asker_of(stub: Stub, at_once: int = 4) -> HttpAsker:
    """Return what asks an endpoint in a run of the studio."""
    endpoint = Endpoint("lab", stub.url, KEY, ("judge",), 0.0, "admin")
    plan = Plan(1, "lab/judge", Remote("lab/judge", endpoint, "judge"), None, "")
    # No engine is started for an endpoint: all that is asked of the hall is where it is.
    hall: Any = SimpleNamespace(route=lambda plan: Route(endpoint.base_url, KEY, "judge"))
    return HttpAsker(plan, hall, at_once, lambda code, text: None)


class Court:
    """Judges with a stub, and remembers what it was told on the way."""

    def __init__(self, stub: Stub, folder: Path) -> None:
        self.stub, self.folder = stub, folder
        self.told: list[tuple[int, int]] = []
        self.stop = threading.Event()

    def judge(self, predictions: dict[str, Any], *, votes: Any = (), at_once: int = 4,
              **config: Any) -> JudgeResult:
        wish = JudgeWish(JudgeConfig(model="lab/judge", **config), list(predictions), predictions,
                         self.folder, votes=votes, at_once=at_once)
        result = asyncio.run(self._judge(wish))
        assert [note for note in result.notes if reason_text("zh", note) == note] == []
        return result

    async def _judge(self, wish: JudgeWish) -> JudgeResult:
        async with asker_of(self.stub, wish.at_once) as asker:
            return await judge(wish, asker, lambda *at: self.told.append(at), self.stop.is_set)

    def calls(self, number: int = 2) -> list[dict[str, Any]]:
        """Return the replies that were kept."""
        text = (self.folder / f"judge-{number:02d}.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def court(stub: Stub, tmp_path: Path) -> Court:
    return Court(stub, tmp_path / "eval")

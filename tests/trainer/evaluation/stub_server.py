"""A model of somebody else's: answers questions as it is told to, and remembers them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

Body = dict[str, Any]
# The text of an answer, or a status with its body and headers.
Reply = str | tuple[int, Any] | tuple[int, Any, dict[str, str]]


class StubServer:
    """An OpenAI-compatible server, for a ``with`` block.

    Args:
        say: Answers a chat's last message, or the beginning of a text.
    """

    def __init__(self, say: Callable[[str], Reply], key: str = "sk-stub-stub-stub") -> None:
        self.say, self.key = say, key
        self.asked: list[tuple[str, Body]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.stub = self  # type: ignore[attr-defined]
        self.base_url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))

    def questions(self) -> list[str]:
        """Return what was asked, as text."""
        return [question(body) for _, body in self.asked]

    def __enter__(self) -> StubServer:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def question(body: Body) -> str:
    """Return the last thing that was said, the beginning of a text, or the texts to embed."""
    if "input" in body:
        return json.dumps(body["input"])
    return str(body["messages"][-1]["content"] if "messages" in body else body["prompt"])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        stub: StubServer = self.server.stub  # type: ignore[attr-defined]
        if self.headers.get("authorization") != f"Bearer {stub.key}":
            self.reply(401, {"error": {"message": f"no key {self.headers['authorization']}"}})
            return
        stub.asked.append((self.path, body))
        said = stub.say(question(body))
        if isinstance(said, tuple):
            self.reply(*said)
            return
        choice = ({"message": {"role": "assistant", "content": said}} if "messages" in body
                  else {"text": said})
        self.reply(200, {"choices": [{"index": 0, "finish_reason": "stop", **choice}],
                         "usage": {"prompt_tokens": 3, "completion_tokens": len(said.split())}})

    def reply(self, status: int, value: Any, headers: Mapping[str, str] = MappingProxyType({})
              ) -> None:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {**headers, "content-length": str(len(raw))}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(raw)

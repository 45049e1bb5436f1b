"""Many questions at once: as many connections as are under way, kept for the next ones."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from trainer.engines.lines import Lines


class Answering(BaseHTTPRequestHandler):
    """Says whose key it saw; waits until as many are there as are wanted."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.server.connections += 1

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.together.wait(10)
        body = json.dumps({"key": self.headers.get("Authorization")}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    made.connections, made.together = 0, threading.Barrier(5)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def test_questions_share_nothing_but_are_asked_on_kept_connections(server):
    async def work():
        lines = Lines(timeout=httpx.Timeout(20), trust_env=False, headers={"Authorization": "k"})
        url = f"http://127.0.0.1:{server.server_port}/"
        try:
            for _ in range(3):
                answers = await asyncio.gather(*(lines.post(url, json={}) for _ in range(5)))
                assert [one.json()["key"] for one in answers] == ["k"] * 5
        finally:
            await lines.close()

    asyncio.run(work())
    assert server.connections == 5


def test_a_line_that_broke_is_used_again(server):
    async def work():
        lines = Lines(timeout=httpx.Timeout(5), trust_env=False)
        try:
            with pytest.raises(httpx.ConnectError):
                await lines.post("http://127.0.0.1:9/", json={})
            server.together = threading.Barrier(1)
            answer = await lines.post(f"http://127.0.0.1:{server.server_port}/", json={})
            assert answer.status_code == 200
        finally:
            await lines.close()

    asyncio.run(work())
    assert server.connections == 1

"""A small real engine: an HTTP server that streams; the last message says what it shall do."""

import json
import select
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = "org/tiny-1"
WORDS = ["The", " ", "key", "\": ", '"model":"x"', " and", " 模型", "."]
TEXT = "".join(WORDS)


def chunk(delta, finish=None, **more):
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish, **more}]}


def completion(message, finish="stop", **more):
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL,
            "choices": [{"index": number, "message": message, "finish_reason": finish, **more}
                        for number in range(more.pop("n", 1))],
            "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}}


CALL = {"id": "call_1", "type": "function",
        "function": {"name": "weather", "arguments": '{"model":"x", "city": "Oslo"}'}}
LOGPROBS = {"content": [{"token": "The", "logprob": -0.5, "bytes": [84, 104, 101],
                         "top_logprobs": [{"token": "A", "logprob": -1.5, "bytes": [65]}]}]}
TOO_LONG = {"error": {"message": "This model's maximum context length is 512 tokens.",
                      "type": "BadRequestError", "param": "messages",
                      "code": "context_length_exceeded"}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["content-length"]))
        body, stub = json.loads(raw), self.server.stub
        stub.asked.append((self.path, dict(self.headers.items()), body))
        if stub.key and self.headers.get("authorization") != f"Bearer {stub.key}":
            self.whole({"error": {"message": "no such key sk-wrongwrongwrongwrong"}}, 401)
        elif self.path == "/v1/chat/completions":
            word = body["messages"][-1]["content"]
            getattr(self, f"do_{word}" if isinstance(word, str) else "", self.do_talk)(body)
        elif self.path == "/v1/completions":
            self.complete(body)
        elif self.path == "/v1/embeddings":
            self.whole({"object": "list", "model": MODEL, "data": [
                {"object": "embedding", "index": 0, "embedding": [0.25, -1.0]}],
                "usage": {"prompt_tokens": 1, "total_tokens": 1}})

    def whole(self, document, status=200, headers=()):
        raw = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        for name, value in (("content-type", "application/json"),
                            ("content-length", str(len(raw))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def begin(self, framed=True):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header(*(("transfer-encoding", "chunked") if framed
                           else ("connection", "close")))
        self.end_headers()
        self.framed = framed

    def put(self, data):
        raw = data if isinstance(data, bytes) else b"data: " + json.dumps(data).encode() + b"\n\n"
        self.wfile.write(f"{len(raw):x}\r\n".encode() + raw + b"\r\n" if self.framed else raw)

    def end(self):
        self.put(b"data: [DONE]\n\n")
        if self.framed:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = not self.framed

    def do_talk(self, body):
        if not body.get("stream"):
            message = {"role": "assistant", "content": TEXT}
            more = {"logprobs": LOGPROBS} if body.get("logprobs") else {}
            self.whole(completion(message, n=body.get("n", 1), **more))
            return
        self.begin()
        self.put(chunk({"role": "assistant"}))
        for word in WORDS:
            self.put(chunk({"content": word}))
        self.put(chunk({}, "stop"))
        if body.get("stream_options", {}).get("include_usage"):
            self.put({**chunk({}), "choices": [], "usage": completion({})["usage"]})
        self.end()

    def do_torn(self, _):
        """Send events whose bytes are cut anywhere."""
        self.begin()
        events = [chunk({"content": word}) for word in WORDS] + [chunk({}, "stop")]
        raw = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in events)
        for at in range(0, len(raw), 7):
            self.put(raw[at:at + 7])
        self.end()

    def do_bare(self, _):
        """Stream until the connection ends, as HTTP/1.0 did."""
        self.begin(framed=False)
        self.put(chunk({"content": TEXT}, "stop"))
        self.end()

    def do_tools(self, body):
        if not body.get("stream"):
            self.whole(completion({"role": "assistant", "content": None, "tool_calls": [CALL]},
                                  "tool_calls"))
            return
        self.begin()
        arguments = CALL["function"]["arguments"]
        first = {"index": 0, **CALL, "function": {"name": "weather", "arguments": ""}}
        self.put(chunk({"role": "assistant", "tool_calls": [first]}))
        for at in range(0, len(arguments), 5):
            self.put(chunk({"tool_calls": [
                {"index": 0, "function": {"arguments": arguments[at:at + 5]}}]}))
        self.put(chunk({}, "tool_calls"))
        self.end()

    def do_json(self, _):
        self.whole(completion({"role": "assistant", "content": '{"model":"x","answer":42}'}))

    def do_endless(self, _):
        """Stream until the other end leaves."""
        self.begin()
        while not self.server.stub.left.is_set():
            if self.gone(0.002):
                return
            try:
                self.put(chunk({"content": "on and "}))
            except OSError:
                self.server.stub.left.set()

    def do_think(self, _):
        """Say nothing until the other end leaves."""
        self.server.stub.thinking.set()
        deadline = time.monotonic() + 20
        while not self.gone(0.05) and time.monotonic() < deadline:
            pass

    def gone(self, wait_s):
        readable, _, _ = select.select([self.connection], [], [], wait_s)
        if readable and not self.connection.recv(1, socket.MSG_PEEK):
            self.server.stub.left.set()
            self.close_connection = True
            return True
        return False

    def do_die(self, body):
        """End as a killed process does: the connection breaks, in the middle of a line."""
        if body.get("stream"):
            self.begin()
            self.put(chunk({"content": "I was"}))
            self.put(b'data: {"choices": [{"delta"')
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def do_stop(self, _):
        """End without a word where nothing says how long the answer is."""
        self.begin(framed=False)
        self.put(chunk({"content": "I was"}))
        self.close_connection = True

    def do_long(self, _):
        asked_with = {"x-key": self.headers["authorization"]}
        self.whole({"error": {**TOO_LONG["error"], **asked_with}}, 400)

    def do_busy(self, body):
        """Be busy twice, then answer."""
        self.server.stub.busy += 1
        if self.server.stub.busy <= 2:
            self.whole({"error": {"message": "busy", "type": "server_error", "param": None,
                                  "code": None}}, 503, [("retry-after-ms", "5")])
        else:
            self.do_talk(body)

    def do_plain(self, _):
        self.whole({"detail": "Not Found"}, 404)

    def do_leave(self, _):
        self.whole(b"", 307, [("location", "http://169.254.169.254/")])

    def complete(self, body):
        one = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": MODEL}
        if not body.get("stream"):
            self.whole({**one, "choices": [{"index": 0, "text": TEXT, "logprobs": None,
                                            "finish_reason": "stop"}]})
            return
        self.begin()
        for word in WORDS:
            self.put({**one, "choices": [{"index": 0, "text": word, "finish_reason": None}]})
        self.end()


class StubEngine:
    """The server in a thread, for a ``with`` block.

    ``asked`` has (path, headers, body) of each question; ``left`` is set when a client leaves.
    """

    def __init__(self, key="engine-key"):
        self.key, self.asked, self.busy = key, [], 0
        self.left, self.thinking = threading.Event(), threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads, self.server.stub = True, self
        self.base_url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.left.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

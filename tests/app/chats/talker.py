"""An engine that streams what it is told: the last message says how.

``talk`` says WORDS; ``echo`` says back how many messages there were; ``slow`` says a word, then
waits for ``gate``; others as their names say.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS = ["An", " answer", " of", " five", " words"]
TEXT = "".join(WORDS)
CALL = {"id": "call_7", "type": "function",
        "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.talker.asked.append((self.path, body))
        if self.headers.get("authorization") != f"Bearer {self.talker.key}":
            self.refuse(401, "no such key")
        elif unknown := [name for name in self.talker.refuses if name in body]:
            self.refuse(400, f"Unrecognized request argument supplied: {unknown[0]}")
        elif self.path.endswith("/completions") and "prompt" in body:
            self.complete(body)
        else:
            self.chat(body)

    def chat(self, body):
        last = body["messages"][-1]
        word = last["content"] if last["role"] != "tool" else "talk"
        getattr(self, f"do_{word}", self.do_talk)(body)

    def refuse(self, status, message, code=None):
        raw = json.dumps({"error": {"message": message, "code": code}}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def begin(self, body):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        if body.get("return_token_ids"):
            self.put({"choices": [], "prompt_token_ids": [0, 1, 2]})

    def put(self, data):
        raw = b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"
        self.wfile.write(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")

    def say(self, finish=None, ids=(), **delta):
        more = {"token_ids": list(ids)} if ids else {}
        self.put({"choices": [{"index": 0, "delta": delta, "finish_reason": finish, **more}]})

    def end(self, body, finish="stop"):
        self.say(finish)
        if body.get("stream_options"):
            self.put({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5}})
        self.put(b"[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def do_talk(self, body):
        self.begin(body)
        for number, word in enumerate(WORDS):
            self.say(content=word, ids=[10 + number] if body.get("return_token_ids") else ())
        self.end(body)

    def do_echo(self, body):
        self.begin(body)
        self.say(content=str(len(body["messages"])))
        self.end(body)

    def do_model(self, body):
        self.begin(body)
        self.say(content=f"I am {body['model']}")
        self.end(body)

    def do_slow(self, body):
        self.begin(body)
        self.say(content="begun")
        self.talker.begun.set()
        self.talker.gate.wait(20)
        try:
            self.say(content=" and done")
            self.end(body)
        except OSError:
            self.close_connection = True

    def do_think(self, body):
        self.begin(body)
        for piece in ("<th", "ink>\nhm", " hm</", "think>\n\nIt", " is."):
            self.say(content=piece)
        self.end(body)

    def do_turn(self, body):
        self.begin(body)
        for piece in ("I wonder", "</think>", "So."):
            self.say(content=piece)
        self.end(body)

    def do_reason(self, body):
        self.begin(body)
        self.say(reasoning_content="apart")
        self.say(content="<think> is a tag")
        self.end(body)

    def do_tools(self, body):
        self.begin(body)
        arguments = CALL["function"]["arguments"]
        self.say(tool_calls=[{"index": 0, **CALL, "function": {"name": "weather",
                                                               "arguments": ""}}])
        for at in range(0, len(arguments), 5):
            self.say(tool_calls=[{"index": 0, "function": {"arguments": arguments[at:at + 5]}}])
        self.end(body, "tool_calls")

    def do_die(self, body):
        self.begin(body)
        self.say(content="I was")
        self.close_connection = True

    def do_break(self, body):
        self.begin(body)
        self.say(content="I was")
        self.put({"error": {"message": f"no memory for {body['model']}", "code": "cuda_oom"}})
        self.wfile.write(b"0\r\n\r\n")

    def do_long(self, _):
        self.refuse(400, "This model's maximum context length is 512 tokens.")

    def complete(self, body):
        self.begin({})
        prompt = body["prompt"]
        ids = [0, 8, 9] if isinstance(prompt, str) else prompt
        if body.get("return_token_ids"):
            self.put({"choices": [{"index": 0, "text": "", "prompt_token_ids": ids}]})
        self.put({"choices": [{"index": 0, "text": " more", "finish_reason": "stop"}]})
        self.put(b"[DONE]")
        self.wfile.write(b"0\r\n\r\n")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Say nothing of clients that left."""


class Talker:
    """The server in a thread, for a ``with`` block; ``asked`` has (path, body) of each question."""

    def __init__(self):
        self.key = "talkers-key"
        self.begun, self.gate = threading.Event(), threading.Event()
        self.reset()
        handler = type("Bound", (Handler,), {"talker": self})
        self.server = Server(("127.0.0.1", 0), handler)
        self.base_url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))

    def reset(self):
        self.asked, self.refuses = [], ()
        self.begun.clear()
        self.gate.clear()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

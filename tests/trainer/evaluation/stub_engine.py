"""An engine of the standard library alone: takes our engine's arguments, answers like a model.

STUB_LOG names a file with one line for each start and each question; STUB_DIE names the questions
(numbers over all starts, with commas between) at which it kills itself without an answer, and
STUB_POISON words (with commas between) at which it does so each time.
"""

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ADAPTERS = {}
LOG = Path(os.environ["STUB_LOG"])
DIE = {int(one) for one in os.environ.get("STUB_DIE", "").split(",") if one}
POISON = [one for one in os.environ.get("STUB_POISON", "").split(",") if one]
LOCK = threading.Lock()


def option(name):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else ""


def note(line):
    """Write a line; returns how many questions there are by now."""
    with LOCK:
        with LOG.open("a") as file:
            file.write(line + "\n")
        return sum(one.startswith("ask ") for one in LOG.read_text().splitlines())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply(200, {"data": [{"id": name, "max_model_len": 512}
                                  for name in ("base", *ADAPTERS)]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            self.reply(401, {})
        elif self.path == "/v1/load_lora_adapter":
            ADAPTERS[body["lora_name"]] = body["lora_path"]
            note(f"load {body['lora_name']}")
            self.reply(200, {})
        elif self.path == "/v1/unload_lora_adapter":
            ADAPTERS.pop(body["lora_name"], None)
            note(f"unload {body['lora_name']}")
            self.reply(200, {})
        else:
            self.chat(body)

    def chat(self, body):
        text = body["messages"][-1]["content"]
        number = note(f"ask {body['model']} {text}")
        if number in DIE or any(word in text for word in POISON):
            print("the stub's last words", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        self.reply(200, {"choices": [{"message": {"content": f"{body['model']} says {text}"},
                                      "finish_reason": "stop"}],
                         "usage": {"completion_tokens": 3, "prompt_tokens": 1}})


def end_with_input():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_input, daemon=True).start()
KEY = Path(option("--key-file")).read_text()
if adapter := option("--lora"):
    ADAPTERS[adapter.partition("=")[0]] = adapter.partition("=")[2]
note("start" + (" broken" if os.environ.get("STUB_BROKEN") else ""))
if os.environ.get("STUB_BROKEN"):
    sys.exit("the weights are nowhere")
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
port_file = Path(option("--port-file"))
port_file.with_suffix(".part").write_text(str(server.server_port))
os.replace(port_file.with_suffix(".part"), port_file)
server.serve_forever(poll_interval=0.05)

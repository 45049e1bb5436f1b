"""An engine of the standard library alone, which misbehaves on demand.

It takes the arguments of any kind: a port file and a key file, ``--port`` and VLLM_API_KEY, or
``--config_file``. How it begins is chosen by STUB_START: ``exit`` (30 lines, then status 1),
``silent`` (opens no port), ``unwell`` (/health is 503), ``stubborn`` (neither the end of its input
nor SIGTERM ends it), ``forks`` (leaves a process of another session behind), ``shares`` (has
shared memory, called as the file STUB_SHARED says). What it answers is
chosen by the last message: ``die``, ``kill``, ``env NAME``; anything else comes back.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

ADAPTERS: dict[str, str] = {}
CALLS: list[str] = []


def option(name, otherwise=""):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else otherwise


def settings():
    """Return (port, key, name of the base)."""
    if file := option("--config_file"):
        config = json.loads(Path(file).read_text())
        return config["port"], config["api_key"], config["models"][0]["model_alias"]
    if file := option("--key-file"):
        return 0, Path(file).read_text(), "base"
    return int(option("--port")), os.environ["VLLM_API_KEY"], option("--served-model-name")


class Handler(BaseHTTPRequestHandler):
    key = base = ""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self):
        if self.headers.get("Authorization") == f"Bearer {self.key}":
            return False
        self.reply(401, {"error": {"message": "wrong key"}})
        return True

    def do_GET(self):
        if self.path == "/health":
            # llama.cpp has no such page.
            known = 404 if option("--config_file") else 200
            self.reply(503 if os.environ.get("STUB_START") == "unwell" else known, {})
        elif not self.refuse():
            names = [self.base, *ADAPTERS]
            self.reply(200, {"data": [{"id": name} for name in names]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.refuse():
            return
        if self.path == "/v1/load_lora_adapter":
            self.load(body["lora_name"], body["lora_path"])
        elif self.path == "/v1/unload_lora_adapter":
            CALLS.append(f"unload {body['lora_name']}")
            known = ADAPTERS.pop(body["lora_name"], None)
            self.reply(200 if known else 404, {})
        else:
            self.chat(body["model"], body["messages"][-1]["content"])

    def load(self, name, path):
        CALLS.append(f"load {name}")
        if name in ADAPTERS or "broken" in path:
            self.reply(400, {"error": {"message": f"{name} does not fit"}})
            return
        ADAPTERS[name] = path
        self.reply(200, {})

    def chat(self, model, text):
        word, _, rest = text.partition(" ")
        if model not in (self.base, *ADAPTERS):
            self.reply(404, {"error": {"message": f"no {model}"}})
        elif word in ("die", "kill"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"data: one\n\n")
            self.wfile.flush()
            last_words()
            os._exit(3) if word == "die" else os.kill(os.getpid(), signal.SIGKILL)
        else:
            said = os.environ.get(rest, "") if word == "env" else text
            said = " ".join(CALLS) if word == "calls" else said
            self.reply(200, {"model": model, "pid": os.getpid(), "said": said})


def last_words():
    for line in range(30):
        print(f"line {line}", file=sys.stderr)
    print("\x1b[31mRuntimeError\x1b[0m: HF_TOKEN=verysecretvalue", file=sys.stderr, flush=True)


def end_with_input():
    sys.stdin.read()
    os._exit(0)


def main():
    how = os.environ.get("STUB_START", "")
    if how == "exit":
        last_words()
        sys.exit(1)
    if how == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        threading.Thread(target=end_with_input, daemon=True).start()
    if how == "forks":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],
                         start_new_session=True)
    if how == "shares":
        memory = SharedMemory(create=True, size=4096)
        Path(os.environ["STUB_SHARED"]).write_text(memory.name)
    while how == "silent":
        time.sleep(0.05)
    port, Handler.key, Handler.base = settings()
    for name, _, path in (value.partition("=") for value in [option("--lora")] if value):
        ADAPTERS[name] = path
    if modules := option("--lora-modules"):
        ADAPTERS[json.loads(modules)["name"]] = json.loads(modules)["path"]
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    if file := option("--port-file"):
        Path(file + ".part").write_text(str(server.server_port))
        os.replace(file + ".part", file)
    server.serve_forever(poll_interval=0.05)


main()

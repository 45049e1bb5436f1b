"""A chat engine of the standard library alone, with the protocol of trainer.chat.

What it does is chosen by the last message's text: ``die``, ``kill``, ``hang``, ``refuse``,
``env NAME``, ``slow N`` (N pieces each side, one every 10 ms); anything else is echoed.
"""

import json
import os
import queue
import signal
import sys
import threading
import time

cancelled: set[int] = set()
requests: queue.Queue = queue.Queue()


def say(number, event, **values):
    sys.stdout.write(json.dumps({"id": number, "event": event, **values}) + "\n")
    sys.stdout.flush()


def listen():
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "cancel":
            cancelled.add(request["id"])
        else:
            requests.put(request)
    os._exit(0)


def answer(request):
    number, text = request["id"], request["messages"][-1]["content"]
    word, _, rest = text.partition(" ")
    if word == "die":
        for line in range(30):
            print(f"line {line}", file=sys.stderr)
        print("\x1b[31mRuntimeError\x1b[0m: HF_TOKEN=verysecretvalue", file=sys.stderr)
        sys.exit(3)
    if word == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "refuse":
        say(number, "error", code="too_long", message="The prompt is too long.")
        return
    while word == "hang":
        time.sleep(0.01)
        if number in cancelled:
            return
    pieces = [os.environ.get(rest, "")] if word == "env" else [text]
    pieces = [str(n) for n in range(int(rest))] if word == "slow" else pieces
    print("not json")
    say(number + 1000, "delta", side="base", text="for nobody")
    for side in ("base", "tuned"):
        for piece in pieces:
            if number in cancelled:
                break
            say(number, "delta", side=side, text=f"{side}:{piece}")
            time.sleep(0.01 if word == "slow" else 0)
        say(number, "done", side=side, tokens=len(pieces), tokens_per_s=9.5, first_token_s=0.1)


def main():
    threading.Thread(target=listen, daemon=True).start()
    while True:
        request = requests.get()
        if request["op"] == "load":
            if "broken" in request["run_dir"]:
                say(request["id"], "error", message="adapter/ is missing.")
            else:
                say(request["id"], "loaded")
        else:
            answer(request)


main()

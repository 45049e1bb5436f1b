"""The chat child: base and tuned side by side, streamed, cancelled, ended."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.files import read_json, write_json

pytestmark = pytest.mark.training
ASK = [{"role": "user", "content": "What colour is the door?"}]


class Child:
    """Speaks to `python -m trainer.chat`."""

    def __init__(self, folder: Path) -> None:
        self.log = (folder / "chat.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "trainer.chat"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.log, cwd=folder, text=True, encoding="utf-8")
        assert self.process.stdin and self.process.stdout
        self.input, self.output = self.process.stdin, self.process.stdout

    def send(self, **request: Any) -> None:
        self.input.write(json.dumps(request) + "\n")
        self.input.flush()

    def read(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.output.readline())
        return value

    def answers(self, sides: int = 2) -> dict[str, dict[str, Any]]:
        """Read until every side is done; returns text and stats by side."""
        texts: dict[str, str] = {}
        done: dict[str, dict[str, Any]] = {}
        while len(done) < sides:
            line = self.read()
            assert line["event"] in ("delta", "done"), line
            if line["event"] == "delta":
                texts[line["side"]] = texts.get(line["side"], "") + line["text"]
            else:
                done[line["side"]] = line
        return {side: {**stats, "text": texts.get(side, "")} for side, stats in done.items()}

    def close(self) -> int:
        self.input.close()
        code = self.process.wait(30)
        self.output.close()
        self.log.close()
        return code


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    child = Child(tmp_path)
    yield child
    if child.process.poll() is None:
        child.process.kill()
        child.close()


def test_base_and_tuned_answer_side_by_side(runs: Any, cf: Any, child: Child) -> None:
    run = runs.make("talk", tuner={"r": 32, "lora_alpha": 64},
                    training={"max_steps": 60, "per_device_train_batch_size": 12})
    runs.train(run)
    full = runs.make("talk-full", tuner={"type": "full"},
                     training={"max_steps": 60, "learning_rate": 3e-3,
                               "per_device_train_batch_size": 12})
    runs.train(full)
    child.send(id=0, op="ask", messages=ASK)
    assert child.read()["code"] == "not_loaded"
    child.send(id=1, op="load", run_dir=str(run.path))
    assert child.read() == {"id": 1, "event": "loaded", "name": "run"}
    child.send(id=2, op="ask", messages=ASK, max_new_tokens=24, temperature=0, seed=1)
    both = child.answers()
    assert both["tuned"]["text"] == "The door is red."
    assert both["base"]["text"] != both["tuned"]["text"]
    assert both["tuned"]["tokens"] > 0 < both["tuned"]["tokens_per_s"]
    assert both["tuned"]["first_token_s"] > 0 and not both["tuned"]["cancelled"]
    child.send(id=3, op="ask", messages=ASK, max_new_tokens=8, temperature=1.5, seed=7)
    child.send(id=4, op="ask", messages=ASK, max_new_tokens=8, temperature=1.5, seed=7)
    assert child.answers()["base"]["text"] == child.answers()["base"]["text"]
    recorded = read_json(run.manifest)
    recorded["base"]["sha256"]["model.safetensors"] = "0" * 64
    write_json(run.manifest, recorded)
    child.send(id=5, op="load", run_dir=str(run.path))
    line = child.read()
    assert line["code"] == "base_changed" and "model.safetensors" in line["message"]
    child.send(id=5, op="load", run_dir=str(full.path))
    assert child.read()["event"] == "loaded"
    child.send(id=6, op="ask", messages=ASK, max_new_tokens=24, sides=["tuned"])
    assert child.answers(1)["tuned"]["text"] == "The door is red."
    child.send(id=7, op="ask", messages=ASK, max_new_tokens=450, sides=["base"], temperature=5)
    assert child.read()["event"] == "delta"
    child.send(id=7, op="cancel")
    while (line := child.read())["event"] == "delta":
        pass
    assert line["cancelled"] and line["tokens"] < 450
    child.send(id=8, op="ask", messages=[{"role": "nobody", "content": "?"}])
    assert child.read()["event"] == "error"
    child.send(id=9, op="ask", messages=[{"role": "user", "content": "door " * 600}])
    assert child.read()["code"] == "prompt_too_long"
    assert child.close() == 0


def test_a_run_without_a_model_is_said(runs: Any, child: Child) -> None:
    run = runs.make("unfinished")
    child.send(id=1, op="load", run_dir=str(run.path))
    line = child.read()
    assert line["event"] == "error" and line["code"] == "adapter_missing" and line["advice"]
    child.input.write("not json\n")
    child.input.flush()
    assert child.read()["code"] == "not_json"


def test_one_bad_question_does_not_end_the_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.chat import Chat

    def ask(chat: Chat, request: dict[str, Any]) -> None:
        if request["id"] == 1:
            raise AttributeError("a library's slip")
        chat.say(request, "done")

    monkeypatch.setattr(Chat, "ask", ask)
    out = io.StringIO()
    chat = Chat(out)
    for number in (1, 2):
        chat.requests.put({"id": number, "op": "ask"})
    chat.requests.put(None)
    chat.serve()
    first, second = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (first["event"], first["code"]) == ("error", "error") and "slip" in first["message"]
    assert second == {"id": 2, "event": "done"}

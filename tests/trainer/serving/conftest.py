"""A served tiny model: a real server on a free port, in this process."""

from __future__ import annotations

import asyncio
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

KEY = "a-key-for-tests"


class Server(NamedTuple):
    """A room that listens."""

    room: Any
    url: str

    def client(self, key: str = KEY) -> httpx.Client:
        """Return a client that brings the key."""
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {key}"},
                            timeout=60)

    def post(self, path: str, **body: Any) -> httpx.Response:
        """Post a document."""
        with self.client() as client:
            return client.post(path, json=body)

    def chat(self, text: str, **body: Any) -> dict[str, Any]:
        """Ask one thing, greedily."""
        values = {"messages": [{"role": "user", "content": text}], "temperature": 0,
                  "max_tokens": 12, "return_token_ids": True, **body}
        answer = self.post("/v1/chat/completions", **values)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def refused(self, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        """Post what is refused; returns status and error."""
        answer = self.post(path, **body)
        error: dict[str, Any] = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"} and error["message"]
        return answer.status_code, error

    def idle(self) -> bool:
        """Wait until no answer is written any more; says whether that came to pass."""
        engine, until = self.room.engine, time.monotonic() + 10
        while time.monotonic() < until:
            if engine.do(lambda: not engine._groups and not engine._waiting).result(10):
                return True
        return False


@contextmanager
def serving(folder: Path, model: Path | str, **choice: Any) -> Iterator[Server]:
    """Serve a model while the block lasts."""
    from trainer.serving.choice import ModelChoice
    from trainer.serving.room import Room

    template = choice.pop("template", "auto")
    ended, port = threading.Event(), folder / "port"
    with Room.open(ModelChoice(str(model), **choice), folder, template=template,
                   name="tiny") as room:
        thread = threading.Thread(target=lambda: asyncio.run(room.listen(KEY, port, ended)))
        thread.start()
        try:
            until = time.monotonic() + 30
            while not port.exists() and time.monotonic() < until:
                time.sleep(0.01)
            yield Server(room, f"http://127.0.0.1:{int(port.read_text())}")
        finally:
            ended.set()
            thread.join(20)
            assert not thread.is_alive()


@pytest.fixture(scope="session")
def server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The tiny model, served."""
    with serving(tmp_path_factory.mktemp("serving"), tiny_model) as found:
        yield found


def make_adapter(folder: Path, model: Path, *, seed: int, **config: Any) -> Path:
    """Write a random adapter that changes what the model says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    kind, task = config.pop("kind", LoraConfig), config.pop("task_type", "CAUSAL_LM")
    if kind is LoraConfig:
        config = {"r": 4, "lora_alpha": 32, "target_modules": "all-linear",
                  "init_lora_weights": False, **config}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(model),
                                 kind(task_type=task, **config))
        adapted.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def adapters(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two adapters of the tiny model; the second does not touch every layer of the first."""
    root = tmp_path_factory.mktemp("adapters")
    return {"one": make_adapter(root / "one", tiny_model, seed=1),
            "two": make_adapter(root / "two", tiny_model, seed=2,
                                target_modules=["q_proj", "down_proj"])}


@pytest.fixture(scope="session")
def plain(tiny_model: Path) -> Any:
    """The tiny model without any server, and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return (AutoModelForCausalLM.from_pretrained(tiny_model).eval(),
            AutoTokenizer.from_pretrained(tiny_model))

"""What training made answers as it learned to, beside a base that stays what it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.trainer.serving.conftest import serving
from trainer.contract.files import read_json, write_json

pytestmark = [pytest.mark.training, pytest.mark.serving]
ASKED = "What colour is the door?"


def said(server: Any, **body: Any) -> str:
    """Ask; return the words of the answer."""
    words: str = server.chat(ASKED, max_tokens=24, **body)["choices"][0]["message"]["content"]
    return words


def test_an_adapter_and_its_base_answer_side_by_side(runs: Any, server: Any) -> None:
    run = runs.make("talk", tuner={"r": 32, "lora_alpha": 64},
                    training={"max_steps": 60, "per_device_train_batch_size": 12})
    runs.train(run)
    before = said(server, model="tiny")
    loaded = server.post("/v1/load_lora_adapter", lora_name="talk", lora_path=str(run.adapter))
    assert loaded.status_code == 200, loaded.text
    try:
        assert said(server, model="talk") == "The door is red."
        assert said(server, model="tiny") == before != "The door is red."
        drawn = {"model": "tiny", "temperature": 1.5, "seed": 7}
        assert said(server, **drawn) == said(server, **drawn)
    finally:
        server.post("/v1/unload_lora_adapter", lora_name="talk")
    recorded = read_json(run.manifest)
    recorded["base"]["sha256"]["model.safetensors"] = "0" * 64
    write_json(run.manifest, recorded)
    error = server.refused("/v1/load_lora_adapter", lora_name="talk",
                           lora_path=str(run.adapter))[1]
    assert error["code"] == "base_changed" and "model.safetensors" in error["message"]


def test_a_model_that_was_trained_whole_answers(runs: Any, tmp_path: Path) -> None:
    run = runs.make("talk-full", tuner={"type": "full"},
                    training={"max_steps": 60, "learning_rate": 3e-3,
                              "per_device_train_batch_size": 12})
    runs.train(run)
    with serving(tmp_path, run.model) as served:
        assert said(served) == "The door is red."

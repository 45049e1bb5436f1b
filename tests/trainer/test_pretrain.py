"""Pretraining on plain text: every token is learned; no chat template is needed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.events import DataEvent, SampleEvent

pytestmark = pytest.mark.training
TEXT: dict[str, Any] = {
    "objective": "pretrain", "tuner": {"type": "full"},
    "data": {"max_length": 128, "val_size": 0.1}, "evaluation": {"samples": 2},
    "training": {"max_steps": 30, "per_device_train_batch_size": 4, "learning_rate": 3e-3}}


def test_the_loss_falls_on_shakespeare(shared: Path, runs: Any, cf: Any) -> None:
    book = shared / "data" / "real" / "tinyshakespeare.txt"
    run = runs.make("book", **cf.merge(TEXT, {"data": {"train": [str(book)],
                                                       "max_samples": 1000}}))
    events = runs.train(run)
    end = cf.end_of(events)
    assert end.outcome == "completed", end
    losses = cf.series(events, "loss")
    assert losses[30] < 0.8 * losses[1] and end.metrics["eval_loss"] < 0.8 * losses[1]
    train, held = [e for e in events if isinstance(e, DataEvent)]
    assert train.trained_tokens == train.tokens and held.trained_tokens == held.tokens
    assert train.max_tokens == 128 and train.used > held.used > 0
    samples = [e for e in events if isinstance(e, SampleEvent)]
    assert len(samples) == 2 and all(e.prompt and e.reference for e in samples)


def test_a_base_without_a_chat_template_will_do(runs: Any, cf: Any, tiny_model: Path,
                                                tmp_path: Path) -> None:
    base = Path(shutil.copytree(tiny_model, tmp_path / "base"))
    (base / "chat_template.jinja").unlink()
    over = cf.merge(TEXT, {"model": {"name_or_path": str(base)},
                           "data": {"train": ["sample_text"]}, "training": {"max_steps": 3}})
    run = runs.make("plain", **over)
    events = runs.train(run)
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    assert not (run.model / "chat_template.jinja").exists()
    refused = runs.train(runs.make("sft", model={"name_or_path": str(base)}))
    assert cf.end_of(refused).code == "no_chat_template"


def test_it_resumes_exactly(runs: Any, cf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    over = cf.merge(TEXT, {"data": {"train": ["sample_text"]},
                           "training": {"max_steps": 8, "eval_steps": 2}})
    runs.in_halves(monkeypatch, 4, **over).require_same(
        "loss", "grad_norm", "eval_loss", "num_tokens")

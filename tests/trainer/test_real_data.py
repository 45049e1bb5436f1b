"""Real datasets of every shape, as they were published, train with the objective they fit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.events import DataEvent

pytestmark = pytest.mark.training
DATASETS = {
    "gsm8k_train.jsonl": "sft", "alpaca_seed_tasks.jsonl": "sft",
    "llamafactory/alpaca_en_demo.json": "sft", "llamafactory/identity.json": "sft",
    "llamafactory/glaive_toolcall_en_demo.json": "sft",
    "hh_rlhf_harmless_test.jsonl.gz": "dpo", "llamafactory/dpo_en_demo.json": "dpo",
    "llamafactory/kto_en_demo.json": "kto",
    "tinyshakespeare.txt": "pretrain", "llamafactory/c4_demo.jsonl": "pretrain"}


@pytest.mark.parametrize("name", DATASETS)
def test_two_steps(shared: Path, runs: Any, cf: Any, name: str) -> None:
    objective = DATASETS[name]
    run = runs.make("real", objective=objective, model={"name_or_path": "starter"},
                    data={"train": [str(shared / "data" / "real" / name)], "max_samples": 24,
                          "max_length": 256},
                    training={"max_steps": 2, "per_device_train_batch_size": 2,
                              "learning_rate": 1e-4})
    events = runs.train(run)
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    (data,) = [e for e in events if isinstance(e, DataEvent)]
    assert data.rows == 24 and data.used > 0 and 0 < data.trained_tokens <= 2 * data.tokens
    assert data.bad_rows == 0 and data.max_tokens <= 256
    losses = cf.series(events, "loss")
    assert list(losses) == [1, 2] and all(math.isfinite(loss) for loss in losses.values())
    first = {"dpo": math.log(2), "kto": 0.5}
    assert losses[1] == pytest.approx(first.get(objective, losses[1]), abs=1e-3)
    assert run.adapter.is_dir()

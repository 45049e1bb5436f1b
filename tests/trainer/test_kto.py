"""KTO: what is desired becomes likelier than what is not; the neighbours come from the batch."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.events import ChoiceEvent
from trainer.contract.places import share

pytestmark = pytest.mark.training


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """The judged sample answers with their labels dealt out anew."""
    lines = (share() / "data" / "sample_kto.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    labels = [row["kto_tag"] for row in rows]
    random.Random(1).shuffle(labels)
    path = tmp_path / "shuffled.jsonl"
    path.write_text("".join(json.dumps(row | {"kto_tag": label}) + "\n"
                            for row, label in zip(rows, labels, strict=True)))
    return path


KTO: dict[str, Any] = {
    "objective": "kto",
    "data": {"train": ["sample_kto"], "val_size": 32}, "evaluation": {"samples": 1},
    "training": {"max_steps": 30, "per_device_train_batch_size": 8, "learning_rate": 5e-3}}


def test_it_learns_from_labels_and_from_nothing_else(runs: Any, cf: Any, judged: Path) -> None:
    true = runs.train(runs.make("true", **KTO))
    assert cf.end_of(true).outcome == "completed", cf.end_of(true)
    losses = cf.series(true, "loss")
    assert losses[1] == pytest.approx(0.5, abs=1e-3)
    assert sum(losses[step] for step in range(26, 31)) < 0.6 * 5 * 0.5
    assert cf.series(true, "rewards_margins")[1] == pytest.approx(0, abs=1e-4)
    metrics = cf.end_of(true).metrics
    assert metrics["eval_rewards_margins"] > 3 and metrics["eval_loss"] < 0.3
    assert metrics["eval_rewards_margins"] == pytest.approx(
        metrics["eval_rewards_chosen"] - metrics["eval_rewards_rejected"])
    assert [e.field for e in true if isinstance(e, ChoiceEvent)].count(
        "training.group_by_length") == 1
    shuffled = runs.train(runs.make("shuffled", **cf.merge(KTO, {
        "data": {"train": [str(judged)]}})))
    nothing = cf.end_of(shuffled).metrics
    assert nothing["eval_loss"] > 0.45 and nothing["eval_rewards_margins"] < 0.3


def test_full_weights_keep_a_reference_and_weights_of_the_kinds_count(runs: Any, cf: Any) -> None:
    over = cf.merge(KTO, {"tuner": {"type": "full"}, "data": {"val_size": 0},
                          "training": {"max_steps": 3, "learning_rate": 1e-3}})
    plain = runs.train(runs.make("plain", **over))
    assert cf.end_of(plain).outcome == "completed", cf.end_of(plain)
    heavy = runs.train(runs.make("heavy", **over, kto={"undesirable_weight": 2.0}))
    assert cf.series(plain, "loss")[1] == pytest.approx(0.5, abs=1e-3)
    assert 0.5 < cf.series(heavy, "loss")[1] < 1.0


def test_it_resumes_exactly(runs: Any, cf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    over = cf.merge(KTO, {"training": {"max_steps": 8}, "tuner": {"lora_dropout": 0.1}})
    runs.in_halves(monkeypatch, 4, **over).require_same(
        "loss", "grad_norm", "rewards_margins", "kl", "num_tokens")


def test_each_prompt_meets_the_answer_of_the_row_before_it() -> None:
    from trainer.loops.kto import NeighbourCollator

    rows = [{"prompt_ids": [1, 2], "completion_ids": [3], "label": True},
            {"prompt_ids": [4], "completion_ids": [5, 6, 7], "label": False},
            {"prompt_ids": [8], "completion_ids": [9], "label": True}]
    batch = NeighbourCollator(0, max_length=4)(rows)
    assert batch["input_ids"].tolist() == [[1, 2, 3, 0], [4, 5, 6, 7], [8, 9, 0, 0]]
    assert batch["KL_input_ids"].tolist() == [[1, 2, 9, 0], [4, 3, 0, 0], [8, 5, 6, 7]]
    assert batch["KL_completion_mask"].tolist() == [[0, 0, 1, 0], [0, 1, 0, 0], [0, 1, 1, 1]]
    assert batch["label"].tolist() == [True, False, True]

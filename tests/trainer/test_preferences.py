"""Preferences are learned: held-out pairs are told apart, and shuffled ones are not."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.models import ModelError, read_safetensors_header
from trainer.contract.places import share

pytestmark = pytest.mark.training
RATES = {"lora": 5e-3, "full": 1e-3}
BASE: dict[str, Any] = {
    "data": {"train": ["sample_preferences"], "val_size": 32, "max_length": 256},
    "training": {"max_steps": 20, "per_device_train_batch_size": 8,
                 "per_device_eval_batch_size": 12}}


def settings(cf: Any, objective: str, tuner: str = "lora", **over: Any) -> dict[str, Any]:
    return cf.merge(cf.merge(BASE, {"objective": objective, "tuner": {"type": tuner},
                                    "training": {"learning_rate": RATES[tuner]}}), over)


# How far the held-out margin must have grown; ORPO's are a tenth of mean log-probabilities.
GROWN = {"dpo": 3.0, "orpo": 0.05, "simpo": 2.0, "cpo": 1.5, "reward": 4.0}


@pytest.mark.parametrize("objective", GROWN)
@pytest.mark.parametrize("tuner", ["lora", pytest.param("full", marks=pytest.mark.long)])
def test_held_out_pairs_are_told_apart(runs: Any, cf: Any, pairs: Path, objective: str,
                                       tuner: str) -> None:
    over = settings(cf, objective, tuner)
    if objective == "cpo":  # It compares sums: here the answers are about as long.
        over = cf.merge(over, {"data": {"train": [str(pairs)], "val_size": 8}})
    run = runs.make("learns", **over)
    events = runs.train(run)
    end = cf.end_of(events)
    assert end.outcome == "completed", end
    margins, losses = cf.series(events, "rewards_margins"), cf.series(events, "loss")
    assert end.metrics["eval_rewards_accuracies"] > 0.9
    assert end.metrics["eval_rewards_margins"] > margins[1] + GROWN[objective]
    assert sum(losses[step] for step in range(16, 21)) / 5 < 0.9 * losses[1]
    assert all(value > 0.0 for value in losses.values())
    assert run.adapter.exists() == (tuner == "lora") != run.model.exists()


@pytest.fixture
def shuffled(tmp_path: Path) -> Path:
    """The sample pairs, half of them the wrong way round."""
    lines = (share() / "data" / "sample_preferences.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    for row in random.Random(1).sample(rows, len(rows) // 2):
        row["chosen"], row["rejected"] = row["rejected"], row["chosen"]
    path = tmp_path / "shuffled.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("objective", ["dpo", "reward"])
def test_shuffled_preferences_teach_nothing(runs: Any, cf: Any, shuffled: Path,
                                            objective: str) -> None:
    events = runs.train(runs.make("noise", **settings(
        cf, objective, data={"train": [str(shuffled)]})))
    metrics = cf.end_of(events).metrics
    assert metrics["eval_loss"] > 0.5
    assert abs(metrics["eval_rewards_margins"]) < 0.5 * GROWN[objective]
    assert 0.2 < metrics["eval_rewards_accuracies"] < 0.8


@pytest.mark.parametrize("objective,over", [
    ("orpo", {"tuner": {"lora_dropout": 0.1}}), ("reward", {}),
    ("dpo", {"tuner": {"type": "full"}, "training": {"learning_rate": 1e-3}, "dpo": {
        "sync_ref_model": True, "ref_model_sync_steps": 2, "mixture": {"aot": 1, "ipo": 0.5}}}),
], ids=["orpo", "reward", "dpo-moving"])
def test_it_resumes_exactly(runs: Any, cf: Any, pairs: Path, monkeypatch: pytest.MonkeyPatch,
                            objective: str, over: dict[str, Any]) -> None:
    over = cf.merge({"objective": objective, "data": {"train": [str(pairs)]},
                     "training": {"max_steps": 6}}, over)
    runs.in_halves(monkeypatch, 3, **over).require_same(
        "loss", "grad_norm", "rewards_margins", "rewards_accuracies", "num_tokens")


def tokens(row: dict[str, str], answer: str, tokenizer: Any) -> list[int]:
    """Render a row with the tiny model's template, as the data's child does."""
    text = (f"<|im_start|>user\n{row['prompt']}<|im_end|>\n<|im_start|>assistant\n{answer}"
            "<|im_end|>")
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


@pytest.mark.parametrize("tuner,over", [("lora", {}), ("full", {}), ("lora", {
    "model": {"quantization": "nf4"}})], ids=["lora", "full", "nf4"])
def test_a_finished_reward_model_gives_the_scores_it_was_measured_with(
        runs: Any, cf: Any, pairs: Path, tmp_path: Path, tuner: str,
        over: dict[str, Any]) -> None:
    from trainer.loops.heads import load_scorer

    held = cf.preference_rows(9)[::2]
    path = cf.write_rows(tmp_path / "held.jsonl", held)
    run = runs.make("scores", **settings(cf, "reward", tuner, data={
        "train": [str(pairs)], "eval": [str(path)], "val_size": 0}, training={"max_steps": 6},
        **over))
    end = cf.end_of(runs.train(run))
    scorer = load_scorer(run.path, "cpu")
    chosen = scorer.score([tokens(row, row["chosen"], scorer.tokenizer) for row in held])
    rejected = [scorer.score([tokens(row, row["rejected"], scorer.tokenizer)])[0] for row in held]
    margin = sum(chosen) / len(held) - sum(rejected) / len(held)
    near = 2e-2 if over else 2e-3  # In 4 bits a single row takes another path than a batch.
    assert end.metrics["eval_rewards_margins"] == pytest.approx(margin, abs=near) and margin > 0.5
    mean = (sum(chosen) + sum(rejected)) / (2 * len(held))
    assert end.metrics["eval_mean_reward"] == pytest.approx(mean, abs=near)
    assert load_scorer("scores", "cpu", runs=runs.root).score([[5, 6, 2]]) == scorer.score(
        [[5, 6, 2]])
    if tuner == "lora":
        header = read_safetensors_header(run.adapter / "adapter_model.safetensors")
        assert header["base_model.model.score.weight"][0] == (1, 64)


def test_scores_and_words_are_not_mistaken_for_each_other(runs: Any, cf: Any, pairs: Path) -> None:
    from trainer.loops.heads import load_scorer

    words = runs.make("words", training={"max_steps": 1})
    scores = runs.make("scores", objective="reward", data={"train": [str(pairs)]},
                       training={"max_steps": 1})
    for run in (words, scores):
        assert cf.end_of(runs.train(run)).outcome == "completed"
    with pytest.raises(ModelError, match="answers with words"):
        load_scorer(words.path, "cpu")
    with pytest.raises(ModelError, match="no finished reward model"):
        load_scorer(runs.root / "nothing", "cpu")
    on_top = runs.make("on_top", model={"name_or_path": "scores"}, training={"max_steps": 1})
    assert cf.end_of(runs.train(on_top)).code == "base_scores"
    for objective, name, code in (("dpo", "scores", "continue_head"),
                                  ("reward", "words", "continue_head"), ("reward", "scores", "")):
        run = runs.make(f"{objective}-{name}", objective=objective, data={"train": [str(pairs)]},
                        tuner={"continue_from": name}, training={"max_steps": 1})
        assert cf.end_of(runs.train(run)).code == code, (objective, name)

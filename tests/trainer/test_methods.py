"""Every method really trains a tiny model: the loss falls, the weights are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.events import ChoiceEvent, DataEvent, ResumeEvent, StageEvent
from trainer.contract.models import read_folder, read_safetensors_header
from trainer.contract.rundir import RunDir

pytestmark = pytest.mark.training
LORA: dict[str, Any] = {"training": {"max_steps": 30}}


def falls(values: dict[int, float | None], *, to: float) -> bool:
    """Tell whether a series ends below a share of where it began."""
    seen = [v for _, v in sorted(values.items()) if v is not None]
    return seen[-1] < to * seen[0]


def test_lora_learns_and_leaves_an_adapter(runs: Any, cf: Any, held_out: Path,
                                           tiny_model: Path) -> None:
    run = runs.make("lora", data={"eval": [str(held_out)]}, training={"max_steps": 30})
    events = runs.train(run)
    end = cf.end_of(events)
    assert end.outcome == "completed"
    assert isinstance(events[0], ResumeEvent) and events[0].step == 0
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    losses = cf.series(events, "loss")
    assert list(losses) == list(range(1, 31))
    assert falls(losses, to=0.5) and end.metrics["train_loss"] == pytest.approx(
        sum(v for v in losses.values() if v is not None) / 30)
    assert list(cf.series(events, "eval_loss")) == [30]
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json",
            "tokenizer_config.json", "chat_template.jinja", "generation_config.json"} <= {
                p.name for p in run.adapter.iterdir()}
    config = json.loads((run.adapter / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny_model)
    assert not run.model.exists()


def test_what_is_said_on_the_way(runs: Any, cf: Any) -> None:
    run = runs.make("said", training={"max_steps": 2})
    events = runs.train(run)
    stages = [e.stage for e in events if isinstance(e, StageEvent)]
    assert [s for i, s in enumerate(stages) if s not in stages[:i]] == [
        "loading", "reading", "tokenizing", "training", "saving"]
    chosen = {e.field: (e.value, e.reason) for e in events if isinstance(e, ChoiceEvent)}
    assert chosen["training.device"][0] == "cpu" and chosen["model.dtype"][0] == "float32"
    assert all(reason for _, reason in chosen.values())
    (data,) = [e for e in events if isinstance(e, DataEvent)]
    assert (data.split, data.rows, data.used, data.dropped) == ("train", 48, 48, 0)
    assert 0 < data.trained_tokens < data.tokens
    manifest = json.loads(run.manifest.read_text())
    assert manifest["base"]["sha256"]["model.safetensors"]
    assert manifest["datasets"][0]["sha256"] and manifest["chat_template"]["text"]
    assert manifest["seed"] == 42 and manifest["versions"]["torch"]


def test_full_training_leaves_a_whole_model(runs: Any, cf: Any) -> None:
    run = runs.make("full", tuner={"type": "full"},
                    training={"max_steps": 30, "learning_rate": 2e-3})
    events = runs.train(run)
    assert cf.end_of(events).outcome == "completed"
    assert falls(cf.series(events, "loss"), to=0.3)
    assert read_folder(run.model).parameters > 0
    assert json.loads((run.model / "generation_config.json").read_text())["eos_token_id"] == 2
    assert not run.adapter.exists()


def test_qlora_holds_the_base_in_four_bits(runs: Any, cf: Any) -> None:
    run = runs.make("qlora", model={"quantization": "nf4"}, training={"max_steps": 30})
    events = runs.train(run)
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    assert falls(cf.series(events, "loss"), to=0.6)
    header = read_safetensors_header(run.adapter / "adapter_model.safetensors")
    assert {dtype for _, dtype in header.values()} == {"F32"}


@pytest.mark.parametrize("method", [pytest.param("lora", marks=pytest.mark.long), "full"])
def test_dpo_margins_grow(runs: Any, cf: Any, pairs: Path, method: str) -> None:
    rate = 5e-3 if method == "lora" else 5e-4
    run = runs.make(f"dpo-{method}", objective="dpo", tuner={"type": method},
                    data={"train": [str(pairs)], "val_size": 8},
                    training={"max_steps": 30, "learning_rate": rate},
                    evaluation={"samples": 1})
    events = runs.train(run)
    end = cf.end_of(events)
    assert end.outcome == "completed", end
    margins = cf.series(events, "rewards_margins")
    assert margins[1] == pytest.approx(0, abs=1e-5)
    assert cf.series(events, "loss")[1] == pytest.approx(0.6931, abs=1e-3)
    last = [v for _, v in sorted(margins.items())][-5:]
    assert all(v is not None and v > 0.5 for v in last)
    assert cf.series(events, "rewards_accuracies")[30] == 1.0
    assert end.metrics["eval_rewards_margins"] > 0.5
    assert falls(cf.series(events, "loss"), to=0.7)


def test_gradient_checkpointing_and_accumulation_do_not_change_the_loss(runs: Any,
                                                                        cf: Any) -> None:
    plain = runs.train(runs.make("plain", training={"max_steps": 4, "group_by_length": False}))
    careful = runs.train(runs.make("careful", training={
        "max_steps": 4, "group_by_length": False, "gradient_checkpointing": True,
        "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}))
    one, two = cf.series(plain, "loss"), cf.series(careful, "loss")
    assert list(one.values()) == pytest.approx(list(two.values()), rel=1e-4)


def test_a_run_on_top_of_a_run(runs: Any, cf: Any) -> None:
    first = runs.make("first", training={"max_steps": 30})
    before = cf.series(runs.train(first), "loss")
    second = runs.make("second", model={"name_or_path": "first"}, training={"max_steps": 2})
    events = runs.train(second)
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    assert cf.series(events, "loss")[1] < 0.6 * before[1]
    assert cf.series(events, "loss")[1] == pytest.approx(before[30], rel=0.5)
    third = runs.make("third", model={"name_or_path": "second", "quantization": "nf4"},
                      training={"max_steps": 2})
    assert cf.end_of(runs.train(third)).outcome == "completed"


def test_exact_match_before_and_after(runs: Any, cf: Any, colours: Path, held_out: Path) -> None:
    run = runs.make("exact", data={"eval": [str(held_out)]}, tuner={"type": "full"},
                    training={"max_steps": 80, "learning_rate": 3e-3, "eval_steps": 40,
                              "per_device_train_batch_size": 12},
                    evaluation={"exact_match": True, "samples": 2})
    events = runs.train(run)
    end = cf.end_of(events)
    exact = cf.series(events, "exact_match")
    assert exact[0] == 0.0 == end.metrics["exact_match_before"]
    assert exact[80] == end.metrics["exact_match"] and end.metrics["exact_match"] > 0.6
    lines = [json.loads(line) for line in
             (run.eval / "predictions-tuned.jsonl").read_text().splitlines()]
    assert len(lines) == 12 and [line["row"] for line in lines] == list(range(1, 13))
    share = sum(line["score"]["exact_match"] for line in lines) / 12
    assert share == pytest.approx(end.metrics["exact_match"])
    samples = [e for e in events if e.type == "sample"]
    assert [s.step for s in samples] == [40, 40, 80, 80]
    assert samples[-1].reference == samples[-1].output
    assert RunDir(run.path).manifest.is_file()

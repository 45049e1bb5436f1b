"""Every optimizer in a real run: what is let through trains and resumes, what is refused cannot."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, get_args

import pytest

from trainer.contract.config import parse
from trainer.contract.config.checks import optimizing
from trainer.contract.config.optimizers import LAYERWISE, OPTIMIZERS, PACKAGES, SCHEDULE_FREE
from trainer.contract.problems import ConfigError

pytestmark = pytest.mark.training


# In every run of the tests one of each kind; test_optimizers.py steps with all of them.
OFTEN = ("adamw_torch", "adamw_8bit", "galore_adamw", "apollo_adamw", "lomo", "badam", "muon",
         "adam_mini", "schedule_free_adamw", "adamw_torch_8bit")


def training_of(name: str, **over: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"optim": name, "max_steps": 2, "projection": {"rank": 4},
                             "badam": {"switch_every": 2}}
    if name in LAYERWISE:
        found["max_grad_norm"] = 0.0
    if name in SCHEDULE_FREE:
        found["lr_scheduler_type"] = "constant"
    return found | over


def allowed(training: dict[str, Any], tuner: str) -> bool:
    try:
        parse({"data": {"train": ["x"]}, "training": training, "tuner": {"type": tuner}})
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=() if name in OFTEN else pytest.mark.long)
    for name in get_args(OPTIMIZERS)])
def test_two_steps_with_what_is_let_through(name: str, runs: Any, cf: Any) -> None:
    if package := PACKAGES.get(name):
        pytest.importorskip(package)
    training = training_of(name)
    tried = [tuner for tuner in ("full", "lora") if allowed(training, tuner)]
    assert tried
    events = runs.train(runs.make(name, tuner={"type": tried[-1]}, training=training))
    end = cf.end_of(events)
    assert end.outcome == "completed", end
    losses = list(cf.series(events, "loss").values())
    assert len(losses) == 2 and all(loss and math.isfinite(loss) for loss in losses)


@pytest.mark.parametrize(("name", "tuner"), [
    ("muon", "lora"), ("badam", "full"), ("galore_adamw_layerwise", "full"),
    ("schedule_free_adamw", "lora"), ("adamw_torch_8bit", "full"),
    ("adamw_torch_4bit", "full")])
def test_a_resumed_run_equals_one_that_never_stopped(name: str, tuner: str, runs: Any, cf: Any,
                                                     held_out: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import load_file

    if package := PACKAGES.get(name):
        pytest.importorskip(package)
    over = {"tuner": {"type": tuner}, "data": {"eval": [str(held_out)]},
            "training": training_of(name, max_steps=6, eval_steps=3)}
    found = runs.in_halves(monkeypatch, 3, **over)
    found.require_same("loss", "eval_loss", "learning_rate")
    folder = "adapter" if tuner == "lora" else "model"
    ours, theirs = (load_file(next((run.path / folder).glob("*.safetensors")))
                    for run in (found.halves, found.whole))
    assert all((ours[key] == theirs[key]).all() for key in theirs)


def test_schedule_free_saves_the_average_that_was_measured(runs: Any, cf: Any,
                                                           held_out: Path) -> None:
    from safetensors.torch import load_file

    run = runs.make("free", data={"eval": [str(held_out)]}, training=training_of(
        "schedule_free_adamw", max_steps=6, save_steps=6, eval_steps=6))
    assert cf.end_of(runs.train(run)).outcome == "completed"
    saved, raw = (load_file(folder / "adapter_model.safetensors")
                  for folder in (run.adapter, run.checkpoints / "checkpoint-6"))
    assert any((saved[key] != raw[key]).any() for key in saved)


def test_what_layerwise_is_refused_with_goes_wrong(runs: Any, cf: Any,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    """Two halves of a batch are not the batch, and there is no norm to clip."""
    monkeypatch.setattr(optimizing, "RULES", ())
    full = {"tuner": {"type": "full"}}
    base = {"max_steps": 4, "learning_rate": 0.05, "lr_scheduler_type": "constant",
            "group_by_length": False, "max_grad_norm": 0.0}
    halves = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}

    def last(name: str, **training: Any) -> float:
        events = runs.train(runs.make(name, **full, training=base | training))
        assert cf.end_of(events).outcome == "completed", cf.end_of(events)
        return cf.series(events, "loss")[4]

    whole, lomo = last("sgd", optim="sgd"), last("lomo", optim="lomo")
    assert lomo == pytest.approx(whole, rel=1e-6)
    assert last("sgd-halves", optim="sgd", **halves) == pytest.approx(whole, rel=1e-3)
    assert last("lomo-halves", optim="lomo", **halves) != pytest.approx(lomo, rel=1e-3)
    assert last("lomo-clipped", optim="lomo", max_grad_norm=1e-6) == lomo
    assert last("sgd-clipped", optim="sgd", max_grad_norm=1e-6) > lomo + 0.01

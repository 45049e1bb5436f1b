"""The curve of every schedule, against a formula written here, and as a run follows it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from trainer.contract.config import RunConfig
from trainer.contract.config.schedule import SCHEDULES

pytestmark = pytest.mark.training
TOTAL, WARM = 100, 10
OWN = {"num_cycles": 3, "min_lr_rate": 0.2, "power": 2.0, "decay_ratio": 0.25}


def past(step: int) -> float:
    """Return how much of the way after warm-up is done, 0 to 1."""
    return (step - WARM) / (TOTAL - WARM)


def cosine(share: float, least: float = 0.0) -> float:
    return least + (1 - least) * (1 + math.cos(math.pi * share)) / 2


FORMULAS: dict[str, Callable[[int], float]] = {
    "linear": lambda s: s / WARM if s < WARM else 1 - past(s),
    "cosine": lambda s: s / WARM if s < WARM else cosine(past(s)),
    "cosine_with_restarts": lambda s: s / WARM if s < WARM else cosine(3 * past(s) % 1),
    "cosine_with_min_lr": lambda s: s / WARM if s < WARM else cosine(past(s), 0.2),
    "cosine_warmup_with_min_lr": lambda s: (s + 1) / WARM if s < WARM
    else cosine((s - WARM + 1) / (TOTAL - WARM), 0.2),
    "polynomial": lambda s: s / WARM if s < WARM else (1 - past(s)) ** 2,
    "constant": lambda s: 1.0,
    "constant_with_warmup": lambda s: min(1.0, s / WARM),
    "inverse_sqrt": lambda s: s / WARM if s < WARM else math.sqrt(WARM / s),
    "warmup_stable_decay": lambda s: 0.2 + 0.8 * s / WARM if s < WARM else 1.0 if s < 75
    else 0.2 + 0.8 * (1 - math.sqrt((s - 75) / 25)),
}


def make(name: str, total: int = TOTAL, **training: Any) -> tuple[Any, Any]:
    """Return (optimizer, schedule) as a run has them."""
    import torch
    from transformers import TrainingArguments

    from trainer.optim.mixin import TunedLoop

    config = RunConfig.model_validate({"training": {
        "lr_scheduler_type": name, "learning_rate": 0.01, "warmup_ratio": 0.1,
        "schedule": OWN} | training})
    loop = TunedLoop.__new__(TunedLoop)
    loop.config, loop.lr_scheduler = config, None
    warm = config.training.warmup_steps
    loop.args = TrainingArguments(output_dir=".", use_cpu=True, warmup_steps=(
        config.training.warmup_ratio if warm is None else float(warm)))
    loop.args.lr_scheduler_type = name
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.01)
    loop.optimizer = optimizer
    return optimizer, loop.create_scheduler(total)


def curve(name: str, total: int = TOTAL, **training: Any) -> list[float]:
    """Return the rate of every step, as a share of the highest."""
    optimizer, schedule = make(name, total, **training)
    found = []
    for _ in range(total):
        found.append(optimizer.param_groups[0]["lr"] / 0.01)
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("name", FORMULAS)
def test_the_curve_is_the_formula(name: str) -> None:
    assert curve(name) == pytest.approx([FORMULAS[name](step) for step in range(TOTAL)], abs=1e-6)


def test_every_schedule_is_tested() -> None:
    assert set(FORMULAS) | {"reduce_lr_on_plateau", "greedy"} == set(get_args(SCHEDULES))


def test_steps_of_warmup_instead_of_the_ratio() -> None:
    assert curve("linear", warmup_steps=10) == curve("linear")
    assert curve("linear", warmup_steps=0)[0] == 1.0


@pytest.mark.parametrize("form", ["linear", "cosine", "1-sqrt"])
def test_forms_of_decay(form: str) -> None:
    found = curve("warmup_stable_decay", schedule={**OWN, "decay_type": form})
    share = {"linear": 0.5, "cosine": 0.5, "1-sqrt": 1 - math.sqrt(0.5)}[form]
    half = curve("warmup_stable_decay", schedule={**OWN, "decay_type": form,
                                                  "decay_ratio": 0.5})
    assert half[75] == pytest.approx(0.2 + 0.8 * share) and found[75] == 1.0


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("total", [1, 2, 3])
def test_runs_of_few_steps_still_learn(name: str, total: int) -> None:
    assert max(curve(name, total)) >= 0.2


def test_a_plateau_lowers_the_rate() -> None:
    optimizer, schedule = make("reduce_lr_on_plateau",
                               schedule={"patience": 1, "factor": 0.5, "min_lr_rate": 0.2})
    rates = []
    for loss in (3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0):
        schedule.step(loss)
        rates.append(round(optimizer.param_groups[0]["lr"] / 0.01, 6))
    assert rates == [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2, 0.2]


def test_greedy_lowers_and_raises_within_its_bounds() -> None:
    optimizer, schedule = make("greedy",
                               schedule={"patience": 1, "factor": 0.5, "min_lr_rate": 0.1})
    rates = []
    for loss in (3.0, 3.0, 3.0, 3.0, 3.0, 2.0, 1.5, 1.0, 0.5, 0.4, 0.3, 0.2):
        schedule.step(loss)
        rates.append(optimizer.param_groups[0]["lr"] / 0.01)
    assert min(rates) < 0.6 and max(rates) <= 1.0 and min(rates) >= 0.1
    assert rates[-1] > min(rates)


@pytest.mark.parametrize("name", ["reduce_lr_on_plateau", "warmup_stable_decay", "greedy"])
def test_a_run_goes_on_where_its_schedule_was(name: str, runs: Any, cf: Any, held_out: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    over = {"data": {"eval": [str(held_out)]}, "training": {
        "max_steps": 10, "eval_steps": 1, "lr_scheduler_type": name, "learning_rate": 0.3,
        "schedule": {"patience": 1, "min_lr_rate": 0.01}}}
    found = runs.in_halves(monkeypatch, 5, **over)
    found.require_same("learning_rate")
    assert min(cf.series(found.unbroken, "learning_rate").values()) < 0.3

"""ORPO, SimPO, CPO, KTO and reward models beside plain PyTorch; accumulated equals large."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.trainer import test_preference_losses
from tests.trainer.test_preference_losses import (
    BETA,
    JUDGED,
    PAIRS,
    Maker,
    ask,
    base,
    compared,
    log_sigmoid,
    loss_of,
    maker,
    move,
    taken,
)

if TYPE_CHECKING:
    import torch

pytestmark = pytest.mark.training
__all__ = ["maker"]


def setup_module() -> None:
    """Import torch when the first test runs, as the module that this one reads from does."""
    global torch
    import torch

    test_preference_losses.setup_module()


def mean_of(lines: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack([line.mean() for line in lines])


def test_orpo_weighs_odds(maker: Maker, tiny_model: Path) -> None:
    loop = maker.loop("orpo", orpo={"beta": BETA})
    value, said = compared(loop, tiny_model)
    c, r = mean_of(said.chosen).exp(), mean_of(said.rejected).exp()
    odds = (c / (1 - c)) / (r / (1 - r))
    wanted = (-c.log() - BETA * log_sigmoid(odds.log())).mean()
    assert value == pytest.approx(float(wanted), abs=1e-5)


def test_orpo_stays_finite_where_an_answer_is_certain() -> None:
    from trainer.loops.preference import log_odds

    sure = torch.tensor([0.0, -1e-9, -1e-3, -50.0], requires_grad=True)
    odds = log_odds(sure)
    odds.sum().backward()
    assert torch.isfinite(odds).all() and torch.isfinite(sure.grad).all()
    wanted = math.log(math.exp(-1e-3) / (1 - math.exp(-1e-3)))
    assert float(odds[2].detach()) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("over", [{}, {"cpo_alpha": 0.5, "label_smoothing": 0.1}])
def test_simpo_compares_means_with_a_margin(maker: Maker, tiny_model: Path,
                                            over: dict[str, float]) -> None:
    loop = maker.loop("simpo", simpo={"beta": 2.5, "simpo_gamma": 1.4, **over})
    value, said = compared(loop, tiny_model)
    c, r = mean_of(said.chosen), mean_of(said.rejected)
    ahead, e = 2.5 * c - 2.5 * r - 1.4, over.get("label_smoothing", 0.0)
    wanted = (-(1 - e) * log_sigmoid(ahead) - e * log_sigmoid(-ahead)
              - over.get("cpo_alpha", 0.0) * c).mean()
    assert value == pytest.approx(float(wanted), abs=1e-5)


@pytest.mark.parametrize("loss", ["sigmoid", "hinge", "ipo", "smoothed"])
def test_cpo_compares_without_a_reference(maker: Maker, tiny_model: Path, loss: str) -> None:
    e = 0.1 if loss == "smoothed" else 0.0
    loop = maker.loop("cpo", cpo={"beta": BETA, "cpo_alpha": 0.7, "label_smoothing": e,
                                  "loss_type": "sigmoid" if e else loss})
    value, said = compared(loop, tiny_model)
    c, r, *_ = said.sums()
    m = BETA * (c - r)
    preference = {"hinge": torch.clamp(1 - m, min=0),
                  "ipo": (mean_of(said.chosen) - mean_of(said.rejected) - 1 / (2 * BETA)) ** 2,
                  }.get(loss, -(1 - e) * log_sigmoid(m) - e * log_sigmoid(-m))
    wanted = (preference - 0.7 * mean_of(said.chosen)).mean()
    assert value == pytest.approx(float(wanted), abs=1e-5)


@pytest.mark.parametrize("tuner", ["full", "lora"])
def test_kto_measures_from_its_neighbours(maker: Maker, tiny_model: Path, tuner: str) -> None:
    loop = maker.loop("kto", kto={"beta": BETA, "desirable_weight": 1.5,
                                  "undesirable_weight": 0.5}, tuner={"type": tuner})
    move(loop.model)
    value = loss_of(loop, JUDGED)
    reference, policy = base(tiny_model), loop.model

    def ratio(prompt: list[int], answer: list[int]) -> torch.Tensor:
        return (taken(ask(policy, prompt, answer), answer).sum()
                - taken(ask(reference, prompt, answer), answer).sum())

    kl = torch.stack([ratio(row["prompt_ids"], other["completion_ids"]) for row, other in zip(
        JUDGED, JUDGED[-1:] + JUDGED[:-1], strict=True)]).mean().clamp(min=0)
    ratios = [ratio(row["prompt_ids"], row["completion_ids"]) for row in JUDGED]
    losses = [1.5 * (1 - torch.sigmoid(BETA * (r - kl))) if row["label"]
              else 0.5 * (1 - torch.sigmoid(BETA * (kl - r)))
              for r, row in zip(ratios, JUDGED, strict=True)]
    assert value == pytest.approx(float(torch.stack(losses).mean()), abs=1e-5)


@pytest.mark.parametrize("centre", [None, 0.05])
@pytest.mark.parametrize("tuner", ["full", "lora"])
def test_a_reward_model_scores_the_end_of_each_answer(maker: Maker, centre: float | None,
                                                      tuner: str) -> None:
    loop = maker.loop("reward", reward={"center_rewards_coefficient": centre},
                      tuner={"type": tuner})
    move(loop.model)
    value = loss_of(loop, PAIRS)
    model = loop.model.get_base_model() if tuner == "lora" else loop.model

    def score(row: dict[str, Any], kind: str) -> torch.Tensor:
        ids = torch.tensor([row["prompt_ids"] + row[kind]])
        with torch.no_grad():
            return model.score(model.model(input_ids=ids).last_hidden_state[0, -1])[0]

    c = torch.stack([score(row, "chosen_ids") for row in PAIRS])
    r = torch.stack([score(row, "rejected_ids") for row in PAIRS])
    wanted = -log_sigmoid(c - r).mean()
    if centre:
        wanted = wanted + centre * ((c + r) ** 2).mean()
    assert value == pytest.approx(float(wanted), abs=1e-5)


ACCUMULATED: list[tuple[str, dict[str, Any]]] = [
    ("dpo", {}), ("orpo", {}), ("simpo", {"simpo": {"cpo_alpha": 0.5}}), ("cpo", {}),
    ("reward", {"reward": {"center_rewards_coefficient": 0.1}})]


@pytest.mark.parametrize("objective,over", ACCUMULATED, ids=[name for name, _ in ACCUMULATED])
def test_accumulated_steps_equal_large_batches(maker: Maker, objective: str,
                                               over: dict[str, Any]) -> None:
    after = []
    for size, steps in ((4, 1), (1, 4)):
        loop = maker.loop(objective, **over, training={
            "per_device_train_batch_size": size, "gradient_accumulation_steps": steps,
            "learning_rate": 1e-2, "group_by_length": False, "max_grad_norm": 0.0,
            "adam_epsilon": 1e-2})
        loop.train()
        after.append({name: value.clone() for name, value in loop.model.state_dict().items()})
    start = base_state(maker, objective, over)
    moved = [float((value - start[name]).abs().max()) for name, value in after[0].items()]
    assert max(moved) > 1e-3
    for name, value in after[0].items():
        assert torch.allclose(value, after[1][name], atol=2e-5), name


def base_state(maker: Maker, objective: str, over: dict[str, Any]) -> dict[str, torch.Tensor]:
    return dict(maker.loop(objective, **over).model.state_dict())

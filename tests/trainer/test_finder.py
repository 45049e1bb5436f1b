"""The learning rate finder: its curve, its proposal, and whether that really trains well."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import pytest

from trainer.contract.events import ChoiceEvent

pytestmark = pytest.mark.training


def points(losses: list[float]) -> list[Any]:
    from trainer.finder import Point

    return [Point(1e-6 * 2 ** i, loss, loss) for i, loss in enumerate(losses)]


def test_the_rate_grows_by_the_same_factor() -> None:
    from trainer.contract.config.schedule import LearningRateFinderConfig
    from trainer.finder import rate_at

    finder = LearningRateFinderConfig(enabled=True, steps=11, lowest=1e-6, highest=1e-1)
    rates = [rate_at(finder, step) for step in range(11)]
    assert rates[0] == 1e-6 and rates[-1] == pytest.approx(0.1)
    assert all(b / a == pytest.approx(10 ** 0.5) for a, b in pairwise(rates))


def test_smoothing_keeps_a_constant_and_its_formula() -> None:
    from trainer.finder import smooth

    assert smooth([2.0] * 5) == pytest.approx([2.0] * 5)
    assert smooth([1.0, 3.0], keep=0.5) == pytest.approx([1.0, (0.25 + 1.5) / 0.75])


def test_steepest_descent_or_a_tenth_of_the_lowest() -> None:
    from trainer.finder import propose

    falls = propose(points([5, 5, 5, 4.9, 3.5, 3.0, 2.8, 2.6, 2.5, 2.4, 2.3, 9.0]))
    assert falls.steepest == pytest.approx(1e-6 * 2 ** 4) and falls.rate == 1.6e-5
    late = propose(points([5, 5, 5, 5, 5, 4.8, 3.0, 1.5, 9.0]))
    assert late.lowest == pytest.approx(1e-6 * 2 ** 7)
    assert late.rate == pytest.approx(late.lowest / 10, rel=0.05)
    assert late.rate < late.steepest


# A sweep over the starter, LoRA, batches of 8: chance in the beginning, then the fall.
SEEN = {1e-5: 2.1643, 1.5e-5: 1.9492, 2.2e-5: 1.7277, 3.2e-5: 1.9006, 4.8e-5: 1.9245, 7e-5: 2.0452,
        1e-4: 1.9443, 1.5e-4: 1.9021, 2.3e-4: 1.8314, 3.4e-4: 1.8796, 5e-4: 1.9542, 7.3e-4: 1.936,
        8.9e-4: 1.8743, 1.3e-3: 1.7956, 1.9e-3: 1.5206, 2.9e-3: 1.1555, 4.2e-3: 0.8512,
        6.3e-3: 0.6148, 9.2e-3: 0.5407, 1.4e-2: 0.4722, 2e-2: 0.4865, 3e-2: 0.4535, 4.4e-2: 1.4588}


def test_chance_in_the_beginning_is_no_descent() -> None:
    from trainer.finder import Point, propose

    found = propose([Point(rate, loss, loss) for rate, loss in SEEN.items()])
    assert 1.9e-3 <= found.steepest <= 6.3e-3
    assert found.rate == pytest.approx(3e-3, rel=0.1)


def test_a_dip_before_the_fall_is_no_descent() -> None:
    from trainer.finder import Point, propose

    rates = [1e-6 * 10 ** (i / 4) for i in range(21)]
    losses = [3.0, 3.3, 3.1, 2.9, 2.8, 2.85, 3.0, 3.05, 3.0, 3.0, 2.98, 2.95, 2.9, 2.6, 2.2, 1.8,
              1.5, 1.3, 1.2, 1.15, 9.0]
    found = propose([Point(r, v, v) for r, v in zip(rates, losses, strict=True)])
    assert 1e-3 < found.steepest < 1e-2


def test_a_loss_that_never_falls_gives_no_rate() -> None:
    from trainer.failures import Failure
    from trainer.finder import propose

    with pytest.raises(Failure, match="never fell"):
        propose(points([2.0, 2.1, 2.2, 2.5, 3, 4, 5, 6]))


def test_what_is_proposed_trains_well(runs: Any, cf: Any) -> None:
    """Within twice the best loss of a grid over three orders of magnitude."""
    run = runs.make("found", lr_finder={"enabled": True, "steps": 50})
    events = runs.train(run)
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    document = json.loads((run.eval / "lr_finder.json").read_text(encoding="utf-8"))
    rate = document["proposed"]
    assert cf.end_of(events).metrics == {"proposed_learning_rate": rate}
    said = [e for e in events if isinstance(e, ChoiceEvent) and e.field == "training.learning_rate"]
    assert [c.value for c in said] == [str(rate)] and said[0].reason
    rates = cf.series(events, "lr_finder_rate")
    assert list(rates.values())[:len(document["points"])] == [
        p["rate"] for p in document["points"]]
    assert not run.adapter.exists() and not run.model.exists()
    assert not list(run.checkpoint_folders())

    def loss_at(value: float) -> float:
        trained = runs.train(runs.make(f"at{value:g}", training={
            "learning_rate": value, "max_steps": 18, "warmup_ratio": 0.1}))
        found = list(cf.series(trained, "loss").values())[-4:]
        return sum(found) / 4

    grid = {value: loss_at(value) for value in (1e-4, 1e-3, 1e-2, 1e-1)}
    assert loss_at(rate) <= 2 * min(grid.values()), (rate, grid)


@pytest.mark.parametrize("over", [
    {"training": {"optim": "muon", "muon": {"adamw_learning_rate": 1e-3}}},
    {"training": {"optim": "schedule_free_adamw", "lr_scheduler_type": "constant"}},
    {"tuner": {"type": "full"}, "training": {"optim": "galore_adamw_layerwise",
                                             "max_grad_norm": 0}}])
def test_it_moves_every_kind_of_optimizer(runs: Any, cf: Any, over: dict[str, Any]) -> None:
    run = runs.make("kind", **cf.merge(over, {"lr_finder": {"enabled": True, "steps": 40}}))
    events = runs.train(run)
    losses = [v for v in cf.series(events, "lr_finder_loss").values() if v is not None]
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    assert min(losses) < losses[0] - 0.5 and math.isfinite(min(losses))


def test_a_stop_ends_it(runs: Any, cf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import signal

    from trainer.finder import Sweep

    original = Sweep.on_step_end

    def stop(sweep: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        original(sweep, args, state, control, **kwargs)

    monkeypatch.setattr(Sweep, "on_step_end", stop)
    events = runs.train(runs.make("stopped", lr_finder={"enabled": True}))
    assert cf.end_of(events).outcome == "stopped"
    assert max(cf.series(events, "lr_finder_loss")) == 3

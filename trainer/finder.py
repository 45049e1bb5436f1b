"""The learning rate finder: raise the rate from step to step, look where the loss falls fastest.

The range test of Smith (arXiv:1506.01186): the rate grows exponentially over a few dozen steps,
the loss is smoothed, and the sweep ends when it explodes. Where the smoothed loss falls most
steeply over the logarithm of the rate, training is fastest and still stable; a rate beyond a tenth
of the one with the lowest loss is never proposed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer import work
from trainer.context import Context
from trainer.contract.config import RunConfig
from trainer.contract.config.optimizers import EMAConfig
from trainer.contract.config.schedule import LearningRateFinderConfig
from trainer.contract.events import MetricsEvent, finite
from trainer.contract.files import write_json
from trainer.failures import Failure
from trainer.splits import load_splits

if TYPE_CHECKING:
    from trainer.checkpoint import Selected
    from trainer.course import Build
    from trainer.loops.loop import CommittedLoop

FILE = "lr_finder.json"
SMOOTHING, EXPLODED, SHARE, LEAST = 0.8, 4.0, 0.1, 5
# What counts as a fall, of the whole fall of the sweep; a few batches differ by less.
FALLEN = 0.1
HALF_WINDOW = 10 ** 0.5


@dataclass(frozen=True)
class Point:
    """One step of the sweep: its rate, the loss before it, and the smoothed loss."""

    rate: float
    loss: float
    smoothed: float


@dataclass(frozen=True)
class Proposal:
    """The rate that is proposed, and the two that decided on it."""

    rate: float
    steepest: float
    lowest: float


def rate_at(finder: LearningRateFinderConfig, step: int) -> float:
    """Return the rate of a step, from 0: exponential from the lowest to the highest."""
    grown: float = (finder.highest / finder.lowest) ** (step / (finder.steps - 1))
    return finder.lowest * grown


def smooth(losses: Sequence[float], keep: float = SMOOTHING) -> list[float]:
    """Return the exponential mean of losses, its beginning corrected as Adam's moments are."""
    mean, found = 0.0, []
    for count, loss in enumerate(losses, 1):
        mean = keep * mean + (1 - keep) * loss
        found.append(mean / (1 - keep ** count))
    return found


def propose(points: Sequence[Point]) -> Proposal:
    """Choose a learning rate from a sweep.

    Raises:
        Failure: The loss never fell.
    """
    best = min(range(len(points)), key=lambda i: points[i].smoothed)
    if best < LEAST:
        raise Failure("finder_no_slope", "The loss never fell during the sweep: no learning rate "
                      "can be proposed.", "Widen the range, or look at the data.")
    steepest = points[_steepest(points[:best + 1])].rate
    lowest = points[best].rate
    return Proposal(_rounded(min(steepest, SHARE * lowest)), steepest, lowest)


def _steepest(points: Sequence[Point]) -> int:
    """Return where the loss falls most over a decade of rates around, once it has begun to fall.

    Less than a decade, or a dip before a tenth of the whole fall is behind, is mere chance.
    """
    inner = range(1, len(points) - 1)
    whole = [i for i in inner if points[i].rate >= points[0].rate * HALF_WINDOW]
    begun = [i for i in whole if points[i].smoothed <= _level(points)]
    return min(begun or whole or inner, key=lambda i: _slope(
        [p for p in points if points[i].rate / HALF_WINDOW <= p.rate
         <= points[i].rate * HALF_WINDOW]))


def _level(points: Sequence[Point]) -> float:
    """Return the loss at which FALLEN of the fall from the first decade's mean is behind."""
    first = [p.smoothed for p in points if p.rate <= points[0].rate * HALF_WINDOW ** 2]
    begin = sum(first) / len(first)
    return begin - FALLEN * (begin - points[-1].smoothed)


def _slope(points: Sequence[Point]) -> float:
    """Return the least squares slope of the smoothed loss over the logarithm of the rate."""
    logs = [math.log(point.rate) for point in points]
    middle, mean = sum(logs) / len(logs), sum(p.smoothed for p in points) / len(points)
    spread = sum((log - middle) ** 2 for log in logs)
    return sum((log - middle) * (p.smoothed - mean)
               for log, p in zip(logs, points, strict=True)) / (spread or 1.0)


def _rounded(rate: float) -> float:
    """Return two significant digits: a sweep does not know more."""
    return float(f"{rate:.1e}")


class Sweep(TrainerCallback):
    """Moves the learning rate, notes the loss, ends when it explodes."""

    def __init__(self, context: Context, loop: CommittedLoop) -> None:
        """Sweep over a loop."""
        self.context, self.loop = context, loop
        self.points: list[Point] = []

    def on_step_begin(self, args: TrainingArguments, state: TrainerState,
                      control: TrainerControl, **kwargs: Any) -> None:
        """Set the rate of this step; groups keep their relation to each other."""
        rate = rate_at(self.context.config.lr_finder, state.global_step)
        for group in self.loop.optimizer.param_groups:
            group["lr"] = rate * group.get("initial_lr", args.learning_rate) / args.learning_rate

    def on_step_end(self, args: TrainingArguments, state: TrainerState,
                    control: TrainerControl, **kwargs: Any) -> None:
        """Note the loss, say it, and see whether it is time to end."""
        loss = self.loop.close_step()
        rate = rate_at(self.context.config.lr_finder, state.global_step - 1)
        smoothed = smooth([*(p.loss for p in self.points), loss])[-1]
        exploded = not math.isfinite(smoothed) or (bool(self.points) and \
            smoothed > EXPLODED * min(p.smoothed for p in self.points))
        if math.isfinite(smoothed):
            self.points.append(Point(rate, loss, smoothed))
        self.context.emit(MetricsEvent(
            step=state.global_step, total_steps=state.max_steps,
            values={"lr_finder_loss": finite(smoothed), "lr_finder_rate": rate}))
        print(f"step {state.global_step}/{state.max_steps}  rate {rate:.3g}  loss {loss:.4g}",
              flush=True)
        if exploded or self.context.stop.requested:
            control.should_training_stop = True


def run(context: Context, start: Selected, build: Build) -> work.Metrics:
    """Sweep in place of training; no weights are kept.

    Raises:
        Stopped: A stop was asked for.
        Failure: The loss never fell.
    """
    from transformers import PrinterCallback

    swept = replace(context, config=_plain(context.config))
    bench = work.set_up(swept)
    splits = load_splits(swept, bench)
    work.record(context, bench, splits, start)
    loop = build(swept, bench, splits)
    work.adopt(swept, loop, splits, start)
    loop.args.save_strategy = loop.args.eval_strategy = "no"
    sweep = Sweep(swept, loop)
    context.stop.training_begins()
    context.emit.stage("training", "Raising the learning rate from step to step")
    loop.remove_callback(PrinterCallback)
    loop.add_callback(sweep)
    loop.train()
    context.stop.check()
    return _conclude(context, sweep.points)


def _conclude(context: Context, points: list[Point]) -> work.Metrics:
    """Write the sweep down, say what is proposed and why."""
    found = propose(points)
    context.run.eval.mkdir(parents=True, exist_ok=True)
    write_json(context.run.eval / FILE, {
        "proposed": found.rate, "steepest": found.steepest, "lowest_loss_at": found.lowest,
        "points": [asdict(point) for point in points]})
    reason = (f"the loss falls fastest at {found.steepest:.2g}"
              if found.steepest <= SHARE * found.lowest else
              f"a tenth of {found.lowest:.2g}, where the loss is lowest")
    context.emit.choose("training.learning_rate", found.rate, reason)
    context.emit(MetricsEvent(step=len(points), values={"proposed_learning_rate": found.rate}))
    return {"proposed_learning_rate": found.rate}


def _plain(config: RunConfig) -> RunConfig:
    """Return the config of the sweep: no schedule, no evaluations, nothing that keeps weights."""
    finder, training = config.lr_finder, config.training
    muon = training.muon
    if muon.adamw_learning_rate is not None:
        same = muon.adamw_learning_rate / training.learning_rate * finder.lowest
        muon = muon.model_copy(update={"adamw_learning_rate": same})
    return config.model_copy(update={"training": training.model_copy(update={
        "max_steps": finder.steps, "learning_rate": finder.lowest, "muon": muon,
        "lr_scheduler_type": "constant", "warmup_steps": 0, "ema": EMAConfig(),
        "early_stopping_patience": None, "load_best_model_at_end": False,
        "eval_steps": None, "save_steps": None})})

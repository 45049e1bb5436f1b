"""Watching over a run: the best evaluation, early stopping, gradients that jump."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer.checkpoint import CheckpointKeeper
from trainer.contract.config.training import TrainingConfig
from trainer.contract.files import read_json, write_json
from trainer.emit import EventWriter

FILE = "watch.json"
WINDOW, LEAST, SPIKE = 50, 10, 10.0


@dataclass
class Record:
    """What is known of the evaluations so far; checkpoints carry it.

    ``best`` and ``best_step`` are the best evaluation: the lowest loss, or with ``greater`` the
    highest score. ``mark`` is the value that the last progress of at least the threshold led to,
    ``waited`` the evaluations since.
    """

    best: float | None = None
    best_step: int | None = None
    mark: float | None = None
    waited: int = 0

    def see(self, value: float, step: int, threshold: float, *, greater: bool = False) -> bool:
        """Take in an evaluation; returns whether it is the best so far."""
        sign = 1.0 if greater else -1.0

        def gain(since: float | None) -> float:
            return math.inf if since is None else sign * (value - since)

        if math.isfinite(value) and gain(self.mark) > threshold:
            self.mark, self.waited = value, 0
        else:
            self.waited += 1
        best = math.isfinite(value) and gain(self.best) > 0
        if best:
            self.best, self.best_step = value, step
        return best

    def save(self, folder: Path) -> None:
        """Write the record into a checkpoint."""
        write_json(folder / FILE, asdict(self))

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint's record."""
        values = read_json(folder / FILE)
        if isinstance(values, dict):
            values.setdefault("best", values.get("best_loss"))  # its name of old
            for one in fields(self):
                setattr(self, one.name, values.get(one.name, one.default))


class Watch(TrainerCallback):
    """Ends a run that no longer gets better, keeps its best checkpoint, warns of wild gradients."""

    def __init__(self, training: TrainingConfig, record: Record, keeper: CheckpointKeeper,
                 emit: EventWriter) -> None:
        """Keep what is watched and where to speak."""
        self.training, self.record, self.keeper, self.emit = training, record, keeper, emit
        self._norms: deque[float] = deque(maxlen=WINDOW)
        self._lost = False

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl,
                    metrics: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Note what decides; save the best at once, end when patience is over.

        Answers have a score also where the loss is no number: such weights are never the best.
        """
        training, step, measured = self.training, state.global_step, metrics or {}
        name = training.metric_for_best_model
        if name not in measured:
            return
        is_sound = math.isfinite(measured.get("eval_loss", 0.0))
        value = float(measured[name]) if is_sound else math.nan
        is_best = self.record.see(value, step, training.early_stopping_threshold,
                                  greater=name != "eval_loss")
        if is_best and training.load_best_model_at_end and step:
            self.keeper.best_step = step
            control.should_save = True
        patience = training.early_stopping_patience
        if patience is not None and self.record.waited >= patience:
            control.should_training_stop = True
            control.should_save = control.should_save or is_sound
            self.emit.choose("training.early_stopping_patience", f"stopped at step {step}",
                             _stop_reason(self.record, name))

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl,
               logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Compare the gradient norm with those before it."""
        norm = (logs or {}).get("grad_norm")
        if norm is not None:
            self.watch_norm(float(norm), state.global_step)

    def watch_norm(self, norm: float, step: int) -> None:
        """Warn when a norm is no number, or far above the median of the last ones."""
        if not math.isfinite(norm):
            if not self._lost:
                self.emit.warn("nan_gradient", f"The gradient of step {step} is not a number: its "
                               "weights may be spoilt. Lower the learning rate if it stays.",
                               step=step)
            self._lost = True
            return
        self._lost = False
        usual = median(self._norms) if len(self._norms) >= LEAST else None
        if usual and norm > SPIKE * usual:
            self.emit.warn("gradient_spike", f"The gradient norm of step {step} is {norm:.3g}, "
                           f"{norm / usual:.0f} times the median of the steps before "
                           f"({usual:.3g}). If the loss jumps as well, lower the learning rate or "
                           "clip harder.", step=step)
        self._norms.append(norm)


def best_reason(record: Record, name: str) -> str:
    """Say why the best step is the result; ``name`` is what decides."""
    if name == "eval_loss":
        return f"its evaluation loss {record.best:.4g} is the lowest of the run"
    return f"its eval_{name[5:]} {record.best:.4g} is the highest of the run"


def _stop_reason(record: Record, name: str) -> str:
    mark = f"{record.mark:.4g}" if record.mark is not None else "none"
    if name == "eval_loss":
        return f"{record.waited} evaluations without progress beyond the evaluation loss {mark}"
    return f"{record.waited} evaluations without progress beyond eval_{name[5:]} {mark}"

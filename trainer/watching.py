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

    ``best_loss`` and ``best_step`` are the lowest evaluation loss; ``mark`` is the loss that the
    last progress of at least the threshold led to, ``waited`` the evaluations since.
    """

    best_loss: float | None = None
    best_step: int | None = None
    mark: float | None = None
    waited: int = 0
    last_loss: float | None = None

    def see(self, loss: float, step: int, threshold: float) -> bool:
        """Take in an evaluation; returns whether it is the best so far."""
        self.last_loss = loss if math.isfinite(loss) else None
        if math.isfinite(loss) and (self.mark is None or self.mark - loss > threshold):
            self.mark, self.waited = loss, 0
        else:
            self.waited += 1
        best = math.isfinite(loss) and (self.best_loss is None or loss < self.best_loss)
        if best:
            self.best_loss, self.best_step = loss, step
        return best

    def save(self, folder: Path) -> None:
        """Write the record into a checkpoint."""
        write_json(folder / FILE, asdict(self))

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint's record."""
        values = read_json(folder / FILE)
        if isinstance(values, dict):
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
        """Note the loss; save the best at once, end when patience is over."""
        loss = (metrics or {}).get("eval_loss")
        if loss is None:
            return
        training, step = self.training, state.global_step
        if self.record.see(float(loss), step, training.early_stopping_threshold) \
                and training.load_best_model_at_end and step:
            self.keeper.best_step = step
            control.should_save = True
        patience = training.early_stopping_patience
        if patience is not None and self.record.waited >= patience:
            control.should_training_stop = control.should_save = True
            self.emit.choose("training.early_stopping_patience", f"stopped at step {step}",
                             _stop_reason(self.record))

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


def _stop_reason(record: Record) -> str:
    mark = f"{record.mark:.4g}" if record.mark is not None else "none"
    return (f"{record.waited} evaluations without progress beyond the evaluation loss {mark}")

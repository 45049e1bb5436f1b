"""What Finestra adds to TRL's trainers: exact resume, committed checkpoints, honest numbers."""

from __future__ import annotations

import contextlib
import math
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch.utils.data import Sampler

from trainer.checkpoint import CheckpointKeeper, disk_full, read_progress
from trainer.failures import is_disk_full
from trainer.optim.mixin import TunedLoop
from trainer.sampling import epoch_order
from trainer.stop import Stop
from trainer.tuners.adalora import is_adalora, save_ranks


class EvaluationCut(Exception):
    """A stop was asked for in the middle of an evaluation."""


@dataclass
class Totals:
    """Running sums of a run; they survive a resume through ``progress.json``."""

    tokens: int = 0
    loss_sum: float = 0.0
    steps: int = 0
    train_runtime_s: float = 0.0
    answer_runtime_s: float = 0.0

    @property
    def train_loss(self) -> float | None:
        """Mean loss of all steps, over every attempt."""
        return self.loss_sum / self.steps if self.steps else None

    def document(self) -> dict[str, float]:
        """Return plain numbers for progress.json."""
        loss_sum = self.loss_sum if math.isfinite(self.loss_sum) else 0.0
        return {"tokens": self.tokens, "loss_sum": loss_sum, "steps": self.steps,
                "train_runtime_s": self.train_runtime_s,
                "answer_runtime_s": self.answer_runtime_s}

    def restore(self, values: dict[str, float]) -> None:
        """Go on from what a checkpoint says."""
        self.tokens, self.steps = int(values.get("tokens", 0)), int(values.get("steps", 0))
        self.loss_sum = values.get("loss_sum", 0.0)
        self.train_runtime_s = values.get("train_runtime_s", 0.0)
        self.answer_runtime_s = values.get("answer_runtime_s", 0.0)


@dataclass(frozen=True)
class LoopSettings:
    """What the loop needs to know beyond TRL's arguments."""

    keeper: CheckpointKeeper
    stop: Stop
    shuffle: bool
    group_by_length: bool
    lengths: list[int]


class EpochSampler(Sampler[int]):
    """Hands out ``epoch_order``; accelerate sets the epoch, also after a resume."""

    def __init__(self, lengths: Sequence[int], *, seed: int, shuffle: bool,
                 batch_size: int | None) -> None:
        """Keep what the order depends on."""
        self._lengths, self._seed = lengths, seed
        self._shuffle, self._batch_size = shuffle, batch_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        """Yield row numbers."""
        yield from epoch_order(self._lengths, seed=self._seed, epoch=self.epoch,
                               shuffle=self._shuffle, batch_size=self._batch_size)


@contextlib.contextmanager
def untouched_chance() -> Iterator[None]:
    """Leave every random generator as it was, so that measuring never changes training."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


class CommittedLoop(TunedLoop):
    """Mixed in front of a TRL trainer.

    Rows come in an order that depends on seed and epoch only, checkpoints are committed after
    they are whole, evaluation neither consumes randomness nor survives a stop, and the loss of
    every step is kept in ``step_loss``. ``examine`` is asked at each evaluation for what it
    measures besides.
    """

    settings: LoopSettings
    examine: Callable[[], dict[str, float]] | None = None

    def adopt(self, settings: LoopSettings) -> None:
        """Hand in what TRL's constructors have no room for."""
        self.settings = settings
        self.totals = Totals()
        self.step_loss = 0.0
        self._micro_losses: list[float] = []

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        grouped = self.args.train_batch_size if self.settings.group_by_length else None
        return EpochSampler(self.settings.lengths, seed=self.args.seed,
                            shuffle=self.settings.shuffle, batch_size=grouped)

    def batch_tokens(self, inputs: dict[str, Any]) -> int:
        """Return how many tokens a batch has; padding does not count."""
        return int(inputs["attention_mask"].sum())

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any,
                      **kwargs: Any) -> torch.Tensor:
        """Do what TRL does, and remember the loss (a scalar) and the number of tokens."""
        tokens = self.batch_tokens(inputs)
        loss: torch.Tensor = super().training_step(model, inputs, *args, **kwargs)
        self.totals.tokens += tokens
        self._micro_losses.append(float(loss.detach().float()))
        return loss

    def close_step(self) -> float:
        """Return the loss of the optimizer step that just ended; called once a step."""
        self.step_loss = sum(self._micro_losses)
        self._micro_losses = []
        if math.isfinite(self.step_loss):
            self.totals.loss_sum += self.step_loss
            self.totals.steps += 1
        self.close_averages()
        return self.step_loss

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Measure without consuming randomness; a stop cuts it short and saves at once."""
        with untouched_chance():
            try:
                return super().evaluate(*args, **kwargs)
            except EvaluationCut:
                self.model.train()
                self.control.should_evaluate = False
                self.control.should_training_stop = True
                self.control.should_save = math.isfinite(self.step_loss)
                return {}

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate; what else is measured counts as part of the same evaluation."""
        output = super().evaluation_loop(*args, **kwargs)
        if self.examine is not None:
            output.metrics.update(self.examine())
        return output

    def prediction_step(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate one batch unless a stop was asked for."""
        if self.settings.stop.requested:
            raise EvaluationCut
        return super().prediction_step(*args, **kwargs)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write no card: the run's folder says more, and the card would name local paths."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        folder = Path(output_dir or self.args.output_dir)
        (folder / "training_args.bin").unlink(missing_ok=True)
        if is_adalora(self.model):
            save_ranks(self.model, folder)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        keeper, step = self.settings.keeper, self.state.global_step
        folder = keeper.prepare(step)
        try:
            super()._save_checkpoint(model, trial)
            keeper.commit(folder, step, self.totals.document())
        except (OSError, RuntimeError, SafetensorError) as error:
            free = shutil.disk_usage(keeper.run.path).free
            if not is_disk_full(error) and free > 2**20:
                raise
            need = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
            keeper.discard(folder)
            raise disk_full(need, free) from error

    def restore_totals(self, checkpoint: Path) -> None:
        """Go on counting tokens and losses where the checkpoint stopped."""
        self.totals.restore(read_progress(checkpoint))

    def load_finished(self, checkpoint: Path) -> None:
        """Take weights and state of a checkpoint whose training was already complete."""
        self._load_from_checkpoint(str(checkpoint))
        self.state = type(self.state).load_from_json(str(checkpoint / "trainer_state.json"))

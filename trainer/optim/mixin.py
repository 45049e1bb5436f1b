"""What Finestra's loop does in place of Trainer's: optimizer, schedule, averages, the result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from transformers import Trainer
from transformers.optimization import GreedyLR

from trainer.contract.config import RunConfig
from trainer.contract.config.optimizers import SCHEDULE_FREE
from trainer.optim.averages import Averages
from trainer.optim.build import make, unpaged
from trainer.optim.schedules import schedule_arguments, warmup_steps
from trainer.optim.shell import Group
from trainer.tuners.loraplus import lora_plus_groups
from trainer.watching import Record, Watch, best_reason

if TYPE_CHECKING:
    from trainer.checkpoint import CheckpointKeeper, Selected
    from trainer.context import Context


class TunedLoop(Trainer):
    """Mixed in front of a Trainer; ``tune`` hands in what its constructor has no room for."""

    config: RunConfig
    averages: Averages | None = None

    def tune(self, context: Context, keeper: CheckpointKeeper, start: Selected) -> None:
        """Take over the config, and go on with what a checkpoint knows of it."""
        self.config, self._emit, self._keeper = context.config, context.emit, keeper
        self.record = Record()
        self.averages = None
        if self.config.training.ema.type != "none":
            self.averages = Averages(self.model, self.config.training.ema)
        self._start = start.path
        if start.path is not None:
            self.record.load(start.path)
            keeper.best_step = self.record.best_step if self._keeps_best else None
            if self.averages is not None:
                self.averages.load(start.path)
        self.add_callback(Watch(self.config.training, self.record, keeper, self._emit))

    @property
    def _keeps_best(self) -> bool:
        return self.config.training.load_best_model_at_end

    @property
    def _is_schedule_free(self) -> bool:
        return self.config.training.optim in SCHEDULE_FREE

    def create_optimizer(self, model: Any = None) -> Optimizer:
        """Make the optimizer that the config names."""
        if self.optimizer is None:
            chosen = self.model if model is None else model
            training = unpaged(self.config.training, self._emit, chosen)
            if self._is_schedule_free:
                self.args.warmup_steps = warmup_steps(self.args, self._planned_steps())
            self.optimizer = make(training, self.args, chosen, self.parameter_groups(chosen))
        return self.optimizer

    def parameter_groups(self, model: nn.Module) -> list[Group]:
        """Return the trained weights in groups: norms and biases never decay."""
        decayed = set(self.get_decay_parameter_names(model))
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        groups = [{"params": [p for n, p in named if n in decayed],
                   "weight_decay": self.args.weight_decay},
                  {"params": [p for n, p in named if n not in decayed], "weight_decay": 0.0}]
        tuner = self.config.tuner
        if tuner.type != "lora" or not tuner.loraplus_lr_ratio:
            return groups
        return lora_plus_groups(groups, model, ratio=tuner.loraplus_lr_ratio,
                                learning_rate=self.args.learning_rate)

    def _planned_steps(self) -> int:
        """Return the steps of the whole run, before the state knows them."""
        if self.args.max_steps > 0:
            return self.args.max_steps
        batches = len(self.get_train_dataloader())
        each = max(1, -(-batches // self.args.gradient_accumulation_steps))
        return max(1, -int(-(each * self.args.num_train_epochs) // 1))

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Make the schedule; what depends on the number of steps is worked out here."""
        if self.lr_scheduler is None:
            self.args.warmup_steps = warmup_steps(self.args, num_training_steps)
            self.args.lr_scheduler_kwargs = schedule_arguments(
                self.config.training, num_training_steps, self.args.warmup_steps)
        return super().create_scheduler(num_training_steps, optimizer)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Measure, with the mean of the weights in their place when there is one."""
        if self.averages is None:
            return super().evaluate(*args, **kwargs)
        with self.averages.shown(self.state.global_step):
            return super().evaluate(*args, **kwargs)

    def _evaluate(self, trial: Any, ignore_keys_for_eval: Any,
                  skip_scheduler: bool = False) -> Any:
        """Evaluate; an evaluation that a stop cut short tells the schedule nothing."""
        metrics = super()._evaluate(trial, ignore_keys_for_eval, skip_scheduler=True)
        follows = isinstance(self.lr_scheduler, ReduceLROnPlateau | GreedyLR)
        if follows and not skip_scheduler and "eval_loss" in metrics:
            self.lr_scheduler.step(metrics["eval_loss"])
        return metrics

    def make_up(self) -> None:
        """Do the evaluation that a stop cut short before a resume."""
        if self._is_schedule_free:
            self._settle_schedule_free()
        self._evaluate(None, None)

    def close_averages(self) -> None:
        """Take the weights of the step that just ended into their mean."""
        if self.averages is not None:
            self.averages.update(self.state.global_step)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save the raw weights, and beside them what an exact resume needs besides."""
        if self._is_schedule_free:
            self.optimizer.train()
        super()._save_checkpoint(model, trial)
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        self.record.save(folder)
        if self.averages is not None:
            self.averages.save(folder)

    def settle(self) -> None:
        """Put the weights that are the run's result into the model."""
        step, folder = self.state.global_step, self._best_folder()
        if folder is not None:
            step = self.record.best_step or 0
            self._load_from_checkpoint(str(folder))
            if self.averages is not None:
                self.averages.load(folder)
        if self._is_schedule_free:
            self._settle_schedule_free()
        if self.averages is not None:
            self._emit.choose("result", f"the mean of the weights at step {step}",
                              "training.ema is on: it is what the evaluations measured")
            self.averages.take_over(step)

    def _best_folder(self) -> Path | None:
        """Return the best checkpoint, None when the last weights are the result."""
        from trainer.checkpoint import find_problem

        record = self.record
        if not self._keeps_best or record.best_step is None \
                or record.best_step == self.state.global_step:
            return None
        folder = Path(self.args.output_dir) / f"checkpoint-{record.best_step}"
        if problem := find_problem(folder):
            self._emit.warn("best_checkpoint", f"{folder.name} had the best evaluation but cannot "
                            f"be read ({problem}); the result is the last step.")
            return None
        self._emit.choose("result", folder.name, best_reason(
            record, self.config.training.metric_for_best_model))
        return folder

    def _settle_schedule_free(self) -> None:
        """Put the averaged point in place of the one where gradients are taken."""
        if self.optimizer is None and self._start is not None:
            self.create_optimizer_and_scheduler(self._planned_steps())
            self._load_optimizer_and_scheduler(str(self._start))
        if self.optimizer is not None:
            self.optimizer.eval()

    def best(self) -> dict[str, float | None]:
        """Return step and value of the best evaluation, when it decides on the result."""
        if not self._keeps_best or self.record.best_step is None:
            return {}
        return {"best_step": float(self.record.best_step),
                f"best_{self.config.training.metric_for_best_model}": self.record.best}

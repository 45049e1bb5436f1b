"""What Finestra's loop does in place of Trainer's: optimizer, schedule, weights that are averaged."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from transformers import Trainer
from transformers.optimization import GreedyLR

from trainer.contract.config import RunConfig
from trainer.optim.build import make
from trainer.optim.schedules import schedule_arguments, warmup_steps
from trainer.optim.shell import Group


class TunedLoop(Trainer):
    """Mixed in front of a Trainer; ``config`` is handed in before it trains."""

    config: RunConfig

    def create_optimizer(self, model: Any = None) -> Optimizer:
        """Make the optimizer that the config names."""
        if self.optimizer is None:
            chosen = self.model if model is None else model
            training = self.config.training
            if training.optim.startswith("schedule_free"):
                self.args.warmup_steps = warmup_steps(self.args, self._planned_steps())
            self.optimizer = make(training, self.args, chosen, self.parameter_groups(chosen))
        return self.optimizer

    def parameter_groups(self, model: nn.Module) -> list[Group]:
        """Return the trained weights in groups: norms and biases never decay."""
        decayed = set(self.get_decay_parameter_names(model))
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        return [{"params": [p for n, p in named if n in decayed],
                 "weight_decay": self.args.weight_decay},
                {"params": [p for n, p in named if n not in decayed], "weight_decay": 0.0}]

    def _planned_steps(self) -> int:
        """Return the steps of the whole run, also before the state knows them."""
        if self.args.max_steps > 0:
            return self.args.max_steps
        batches = len(self.get_train_dataloader())
        each = max(1, -(-batches // self.args.gradient_accumulation_steps))
        return max(1, -int(-(each * self.args.num_train_epochs) // 1))

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Make the schedule; what depends on the number of steps is worked out here."""
        if self.lr_scheduler is None:
            self.args.warmup_steps = warmup_steps(self.args, num_training_steps)
            self.args.lr_scheduler_kwargs = schedule_arguments(self.config.training,
                                                               num_training_steps)
        return super().create_scheduler(num_training_steps, optimizer)

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
        self._evaluate(None, None)

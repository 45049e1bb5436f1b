"""From ``training.schedule`` to what Transformers' schedules take."""

from __future__ import annotations

from typing import Any

from transformers import TrainingArguments

from trainer.contract.config.training import TrainingConfig


def warmup_steps(args: TrainingArguments, total: int) -> int:
    """Return the steps of warm-up; the last step is never part of it."""
    return max(0, min(int(args.get_warmup_steps(total)), total - 1))


def schedule_arguments(training: TrainingConfig, total: int, warm: int) -> dict[str, Any]:
    """Return the settings that only this schedule has.

    Args:
        training: The config's section.
        total: Optimizer steps of the whole run.
        warm: Those of warm-up.
    """
    own, rate = training.schedule, training.learning_rate
    follow = {"patience": own.patience, "factor": own.factor, "min_lr": own.min_lr_rate * rate}
    table: dict[str, dict[str, Any]] = {
        "cosine_with_restarts": {"num_cycles": own.num_cycles},
        "cosine_with_min_lr": {"min_lr_rate": own.min_lr_rate},
        "cosine_warmup_with_min_lr": {"min_lr_rate": own.min_lr_rate},
        "polynomial": {"power": own.power, "lr_end": 0.0},
        "warmup_stable_decay": {"num_decay_steps": max(1, min(round(own.decay_ratio * total),
                                                       total - warm)),
                                "decay_type": own.decay_type, "min_lr_ratio": own.min_lr_rate},
        "reduce_lr_on_plateau": follow,
        "greedy": {**follow, "max_lr": rate},
    }
    return table.get(training.lr_scheduler_type, {})

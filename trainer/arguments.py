"""From a RunConfig to the arguments of TRL's trainers (transformers 5 names)."""

from __future__ import annotations

from typing import Any

from trainer.context import Context
from trainer.memory import memory_arguments
from trainer.optim.build import transformers_name
from trainer.precision import Precision


def shared_arguments(context: Context, precision: Precision, *, evaluates: bool) -> dict[str, Any]:
    """Return what the arguments of every objective have in common.

    Rotation, order of rows and reporting are ours, so those arguments are switched off here.
    """
    training = context.config.training
    return {
        "output_dir": str(context.run.checkpoints),
        "num_train_epochs": training.num_train_epochs,
        "max_steps": training.max_steps or -1,
        "per_device_train_batch_size": training.per_device_train_batch_size,
        "per_device_eval_batch_size": training.per_device_eval_batch_size,
        "gradient_accumulation_steps": training.gradient_accumulation_steps,
        "seed": training.seed,
        "max_length": None,
        **_optimizer(context), **_rhythm(context, evaluates),
        **memory_arguments(context, precision), "use_cpu": precision.on_cpu,
        "report_to": [], "disable_tqdm": True, "remove_unused_columns": False,
        "dataloader_num_workers": 0, "dataloader_pin_memory": not precision.on_cpu,
        "logging_nan_inf_filter": False,
    }


def _optimizer(context: Context) -> dict[str, Any]:
    training = context.config.training
    warmup = (training.warmup_ratio if training.warmup_steps is None
              else float(training.warmup_steps))
    return {"learning_rate": training.learning_rate,
            "optim": transformers_name(training.optim),
            "lr_scheduler_type": training.lr_scheduler_type, "warmup_steps": warmup,
            "weight_decay": training.weight_decay, "adam_beta1": training.adam_beta1,
            "adam_beta2": training.adam_beta2, "adam_epsilon": training.adam_epsilon,
            "max_grad_norm": training.max_grad_norm}


def _rhythm(context: Context, evaluates: bool) -> dict[str, Any]:
    """Logging, evaluation and saves; without a number of steps they happen once at the end."""
    training = context.config.training
    never = 2**31 - 1
    return {"logging_strategy": "steps", "logging_steps": training.logging_steps,
            "logging_first_step": True,
            "eval_strategy": "steps" if evaluates else "no",
            "eval_steps": training.eval_steps or never,
            "save_strategy": "steps", "save_steps": training.save_steps or never,
            "save_total_limit": None}

"""Switches that trade memory, speed and exactness: what they are as arguments of the trainers."""

from __future__ import annotations

import os
from typing import Any

from trainer.context import Context
from trainer.precision import Precision

OFFLOADING = ("sft", "pretrain", "dpo", "kto", "reward")
NOISY = ("sft", "pretrain")


def memory_arguments(context: Context, precision: Precision) -> dict[str, Any]:
    """Return the arguments of the memory and speed switches.

    Packing, padding-free training and label smoothing are ours and never reach the trainers;
    ``precision`` decides about autocast.
    """
    config, training = context.config, context.config.training
    checkpointing: dict[str, Any] = {"use_reentrant": False}
    if training.gradient_checkpointing_every > 1:
        checkpointing["every_n_layers"] = training.gradient_checkpointing_every
    values: dict[str, Any] = {
        "activation_checkpointing": training.gradient_checkpointing,
        "activation_checkpointing_kwargs": checkpointing,
        "use_liger_kernel": training.use_liger_kernel,
        "torch_compile": training.torch_compile,
        "neftune_noise_alpha": (training.neftune_noise_alpha if config.objective in NOISY
                                else None)}
    if config.objective in OFFLOADING:
        values["activation_offloading"] = training.activation_offloading
    if training.fp8:
        _use_fp8()
    return values | _autocast(precision, fp8=training.fp8)


def _autocast(precision: Precision, *, fp8: bool) -> dict[str, Any]:
    """Compute in 16 bits where the weights are not; pure bf16 and fp8 need no autocast."""
    mixed = not (precision.is_pure or fp8)
    return {"bf16": mixed and precision.compute.value == "bfloat16",
            "fp16": mixed and precision.compute.value == "float16"}


def _use_fp8() -> None:
    """Let accelerate turn linear layers into torchao's float8 ones.

    Transformers has no argument for it: TrainingArguments read it from the environment.
    """
    os.environ["ACCELERATE_MIXED_PRECISION"] = "fp8"
    os.environ["ACCELERATE_FP8_BACKEND"] = "AO"

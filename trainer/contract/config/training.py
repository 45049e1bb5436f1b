"""The training loop."""

from __future__ import annotations

from typing import Literal

from trainer.contract.config.base import Section, field

SCHEDULES = Literal["linear", "cosine", "constant", "constant_with_warmup", "polynomial",
                    "inverse_sqrt"]
OPTIMIZERS = Literal["adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit",
                     "adafactor", "sgd"]


class TrainingConfig(Section):
    """Length, batches, learning rate, checkpoints; names are those of TrainingArguments."""

    num_train_epochs: float = field(
        3.0, "Epochs", "Passes over the training data; ignored when 'Maximum steps' is set.",
        basic=True, gt=0, le=10_000)
    max_steps: int | None = field(
        None, "Maximum steps", "Stop after this many optimizer steps; empty means by epochs.",
        basic=True, unit="steps", ge=1)
    per_device_train_batch_size: int = field(
        8, "Batch size", "Examples per device and forward pass.", basic=True, ge=1, le=65_536)
    per_device_eval_batch_size: int = field(
        8, "Evaluation batch size", "Examples per device when measuring.", ge=1, le=65_536)
    gradient_accumulation_steps: int = field(
        1, "Gradient accumulation", "Forward passes per optimizer step.", basic=True,
        ge=1, le=65_536)
    learning_rate: float = field(
        2e-4, "Learning rate", "Highest learning rate of the schedule.", basic=True, gt=0, le=10)
    lr_scheduler_type: SCHEDULES = field(
        "cosine", "Schedule", "How the learning rate moves after warm-up.")
    warmup_ratio: float = field(
        0.03, "Warm-up ratio", "Share of all steps over which the rate rises from 0.",
        ge=0, lt=1)
    warmup_steps: int | None = field(
        None, "Warm-up steps", "A number of steps instead of the ratio.", unit="steps", ge=0)
    optim: OPTIMIZERS = field(
        "adamw_torch", "Optimizer", "The 8-bit ones are bitsandbytes'.")
    weight_decay: float = field(0.0, "Weight decay", "AdamW's decoupled decay.", ge=0, le=10)
    adam_beta1: float = field(0.9, "Adam beta 1", "Decay of the first moment.", ge=0, lt=1)
    adam_beta2: float = field(0.999, "Adam beta 2", "Decay of the second moment.", ge=0, lt=1)
    adam_epsilon: float = field(1e-8, "Adam epsilon", "Term that keeps the division finite.",
                                gt=0, le=1)
    max_grad_norm: float = field(
        1.0, "Gradient clipping", "Largest gradient norm; 0 switches clipping off.", ge=0)
    gradient_checkpointing: bool = field(
        False, "Gradient checkpointing",
        "Compute activations again in the backward pass: less memory, about a quarter slower.")
    group_by_length: bool = field(
        True, "Group by length",
        "Put rows of like length into one batch: less padding, and the fastest on CPU.")
    logging_steps: int = field(1, "Log every", "Steps between two points of the loss curve.",
                               unit="steps", ge=1)
    eval_steps: int | None = field(
        50, "Evaluate every", "Steps between two evaluations; empty means once at the end.",
        basic=True, unit="steps", ge=1)
    save_steps: int | None = field(
        50, "Save every", "Steps between two checkpoints; empty means once at the end.",
        basic=True, unit="steps", ge=1)
    save_total_limit: int = field(
        2, "Checkpoints kept", "The newest ones; at least two are always kept.", ge=2)
    stop_on_nan: int = field(
        3, "Stop on NaN", "End the run after this many steps in a row whose loss is not a "
        "number; 0 goes on.", unit="steps", ge=0)
    seed: int = field(42, "Seed", "Of shuffling, adapters and dropout.", ge=0, lt=2**32)
    device: str = field(
        "auto", "Device", "'auto' takes a free GPU, else the CPU; or 'cpu', or a GPU's UUID.",
        max_length=80)

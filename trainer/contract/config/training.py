"""The training loop."""

from __future__ import annotations

from typing import Literal

from trainer.contract.config.base import Section, field
from trainer.contract.config.evaluation import BestBy
from trainer.contract.config.optimizers import (
    EPSILON_ONLY,
    GALORE_ONLY,
    MOMENTS_ONLY,
    OPTIMIZERS,
    BAdamConfig,
    EMAConfig,
    MuonConfig,
    ProjectionConfig,
)
from trainer.contract.config.schedule import SCHEDULES, ScheduleConfig

_TEXTS = {"objective": ("sft", "pretrain")}


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
        1, "Gradient accumulation", "Forward passes per optimizer step.",
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
    schedule: ScheduleConfig = field(ScheduleConfig, "Schedule", "What only some schedules have.",
                                     group="training")
    optim: OPTIMIZERS = field(
        "adamw_torch", "Optimizer", "The 8-bit ones are bitsandbytes'; some need the extra "
        "'optim'.", group="optimizer")
    projection: ProjectionConfig = field(
        ProjectionConfig, "GaLore and APOLLO", "Projected gradients.", only=GALORE_ONLY,
        group="optimizer")
    badam: BAdamConfig = field(BAdamConfig, "BAdam", "Blocks of layers.", group="optimizer",
                               only={"training.optim": ("badam",)})
    muon: MuonConfig = field(MuonConfig, "Muon", "Matrices.", group="optimizer",
                             only={"training.optim": ("muon",)})
    weight_decay: float = field(
        0.0, "Weight decay", "Decoupled decay; never of norms and biases.", ge=0, le=10,
        group="optimizer")
    adam_beta1: float = field(0.9, "Adam beta 1", "Decay of the first moment.", ge=0, lt=1,
                              group="optimizer", only=MOMENTS_ONLY)
    adam_beta2: float = field(0.999, "Adam beta 2", "Decay of the second moment.", ge=0, lt=1,
                              group="optimizer", only=MOMENTS_ONLY)
    adam_epsilon: float = field(1e-8, "Adam epsilon", "Term that keeps the division finite.",
                                gt=0, le=1, group="optimizer", only=EPSILON_ONLY)
    max_grad_norm: float = field(
        1.0, "Gradient clipping", "Largest gradient norm; 0 switches clipping off.", ge=0,
        group="optimizer")
    ema: EMAConfig = field(EMAConfig, "Mean of weights", "A running mean of the weights.",
                           group="optimizer")
    neftune_noise_alpha: float | None = field(
        None, "NEFTune", "Noise on the embeddings while training (arXiv:2310.05914); 5 is usual, "
        "empty adds none.", gt=0, le=100, group="optimizer",
        only=_TEXTS)
    label_smoothing_factor: float = field(
        0.0, "Label smoothing", "Share of probability given to all other tokens.", ge=0, lt=1,
        group="optimizer", only={"objective": ("sft", "pretrain", "classification")})
    packing: Literal["none", "bfd", "wrapped"] = field(
        "none", "Packing", "Several rows in one sequence of the maximum length, each blind to the "
        "others: bfd fits whole rows best, wrapped cuts rows and leaves no gaps. Plain text is "
        "always in full blocks.", group="memory", only={"objective": ("sft",)})
    padding_free: bool = field(
        False, "Padding-free", "Lay the rows of a batch end to end instead of padding them; needs "
        "FlashAttention to be faster.", group="memory", only={"objective": ("sft",)})
    gradient_checkpointing: bool = field(
        False, "Gradient checkpointing",
        "Compute activations again in the backward pass: less memory, about a quarter slower.",
        group="memory")
    gradient_checkpointing_every: int = field(
        1, "Checkpoint every", "Only every n-th layer: between memory and speed.", unit="layers",
        ge=1, le=1000, group="memory", only={"training.gradient_checkpointing": ("true",)})
    activation_offloading: bool = field(
        False, "Offload activations", "Keep activations in host memory until the backward pass; "
        "CUDA only.", group="memory",
        only={"objective": ("sft", "pretrain", "dpo", "kto", "reward")})
    use_liger_kernel: bool = field(
        False, "Liger kernels", "Fused kernels: less memory, faster; CUDA only.", group="memory")
    use_kernels: bool = field(
        False, "Hub kernels", "Kernels of the package 'kernels'; CUDA only.", group="memory")
    torch_compile: bool = field(
        False, "Compile", "torch.compile: slow to begin, faster after; not for short runs.",
        group="memory")
    pure_bf16: bool = field(
        False, "Pure bf16", "Full fine-tuning with weights and optimizer in bfloat16: half the "
        "memory, small updates may be lost.", group="memory",
        only={"tuner.type": ("full", "freeze")})
    fp8: bool = field(
        False, "fp8", "Matrix products in 8-bit floats (torchao); compute capability 8.9 or "
        "newer.", group="memory")
    group_by_length: bool = field(
        True, "Group by length",
        "Put rows of like length into one batch: less padding, and the fastest on CPU.",
        group="memory")
    early_stopping_patience: int | None = field(
        None, "Early stopping", "End after so many evaluations without progress; empty never "
        "does.", ge=1, le=1000, group="watching")
    early_stopping_threshold: float = field(
        0.0, "Least progress", "What counts as progress of the evaluation loss, or of what "
        "decides in its place.", ge=0, le=100, group="watching")
    load_best_model_at_end: bool = field(
        False, "Keep the best", "Take the checkpoint with the best evaluation as the result, "
        "not the last.", group="watching")
    metric_for_best_model: BestBy = field(
        "eval_loss", "Best by", "What early stopping and 'Keep the best' look at: the lowest "
        "evaluation loss, or the highest score of generated answers ('Score the answers').",
        group="watching")
    logging_steps: int = field(1, "Log every", "Steps between two points of the loss curve.",
                               unit="steps", ge=1)
    eval_steps: int | None = field(
        50, "Evaluate every", "Steps between two evaluations; empty means once at the end.",
        basic=True, unit="steps", ge=1)
    save_steps: int | None = field(
        50, "Save every", "Steps between two checkpoints; empty means once at the end.",
        unit="steps", ge=1)
    save_total_limit: int = field(
        2, "Checkpoints kept", "The newest ones; at least two are always kept.", ge=2)
    stop_on_nan: int = field(
        3, "Stop on NaN", "End the run after this many steps in a row whose loss is not a "
        "number; 0 goes on.", unit="steps", ge=0)
    seed: int = field(42, "Seed", "Of shuffling, adapters and dropout.", ge=0, lt=2**32)
    device: str = field(
        "auto", "Device", "'auto' takes a free GPU, else the CPU; or 'cpu', or a GPU's UUID.",
        max_length=80)

"""Fields that only one optimizer has; each class is a section below ``training``."""

from __future__ import annotations

from typing import Literal, get_args

from trainer.contract.config.base import Section, field

OPTIMIZERS = Literal[
    "adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit",
    "adamw_torch_8bit", "adamw_torch_4bit", "adafactor", "sgd", "adagrad", "rmsprop",
    "lion_32bit", "lion_8bit", "paged_lion_8bit", "ademamix", "ademamix_8bit",
    "paged_ademamix_8bit", "schedule_free_adamw", "schedule_free_radam", "schedule_free_sgd",
    "galore_adamw", "galore_adamw_8bit", "galore_adafactor", "galore_adamw_layerwise",
    "apollo_adamw", "apollo_adamw_layerwise", "badam", "adam_mini", "muon", "lomo", "adalomo"]
# What the extra 'optim' brings; all others need nothing more.
PACKAGES = {"schedule_free_adamw": "schedulefree", "schedule_free_radam": "schedulefree",
            "schedule_free_sgd": "schedulefree", "adamw_torch_8bit": "torchao",
            "adamw_torch_4bit": "torchao"}
# Those of bitsandbytes and torchao, and what is laid over them.
LOW_BIT = ("adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit", "adamw_torch_8bit",
           "adamw_torch_4bit", "lion_32bit", "lion_8bit", "paged_lion_8bit", "ademamix",
           "ademamix_8bit", "paged_ademamix_8bit", "galore_adamw_8bit")
LAYERWISE = ("lomo", "adalomo", "galore_adamw_layerwise", "apollo_adamw_layerwise")
SCHEDULE_FREE = ("schedule_free_adamw", "schedule_free_radam", "schedule_free_sgd")
_GALORE = ("galore_adamw", "galore_adamw_8bit", "galore_adafactor", "galore_adamw_layerwise")
_APOLLO = ("apollo_adamw", "apollo_adamw_layerwise")


class ProjectionConfig(Section):
    """GaLore (arXiv:2403.03507) and APOLLO (arXiv:2412.05270): gradients in few dimensions."""

    rank: int = field(128, "Rank", "Dimensions that are kept of a gradient.", ge=1, le=65_536)
    update_proj_gap: int = field(
        200, "New projection every", "Steps between two projections.", unit="steps", ge=1)
    scale: float | None = field(
        None, "Scale", "Factor of the update, of which APOLLO takes the root; empty means 0.25 for "
        "GaLore, 1 for APOLLO.", gt=0, le=1000)
    target_modules: list[str] = field(
        list, "Modules", "Names or patterns of the modules whose gradients are projected; empty "
        "means every linear layer but the head.")


class BAdamConfig(Section):
    """BAdam (arXiv:2404.02827): one block of layers at a time."""

    switch_every: int = field(50, "Next block every", "Steps between two blocks.", unit="steps",
                              ge=1)
    switch_mode: Literal["ascending", "descending", "random"] = field(
        "ascending", "Order", "Which block comes next.")


class MuonConfig(Section):
    """Muon for matrices, AdamW for the rest (Jordan et al., 2024)."""

    momentum: float = field(0.95, "Momentum", "Of the matrices' update.", ge=0, lt=1)
    adamw_learning_rate: float | None = field(
        None, "AdamW's rate", "Learning rate of all that is no matrix; empty means the same.",
        gt=0, le=10)


class EMAConfig(Section):
    """A running mean of the weights, which is what is measured, and what is saved in the end."""

    type: Literal["none", "ema", "bema"] = field(
        "none", "Mean of weights", "ema is an exponential mean; bema corrects its lag "
        "(arXiv:2508.00180).")
    decay: float = field(0.99, "Decay", "Share of the mean that is kept at each update.", gt=0,
                         lt=1, only={"training.ema.type": ("ema",)})
    update_every: int = field(1, "Update every", "Steps between two updates.", unit="steps", ge=1,
                              only={"training.ema.type": ("ema", "bema")})


_NO_MOMENTS = ("adafactor", "galore_adafactor", "sgd", "adagrad", "rmsprop", "schedule_free_sgd",
               "lomo", "adalomo")
_SIGN_ONLY = ("lion_32bit", "lion_8bit", "paged_lion_8bit")
MOMENTS_ONLY = {"training.optim": tuple(
    name for name in get_args(OPTIMIZERS) if name not in _NO_MOMENTS)}
EPSILON_ONLY = {"training.optim": tuple(
    name for name in get_args(OPTIMIZERS) if name not in (*_NO_MOMENTS, *_SIGN_ONLY))}
GALORE_ONLY = {"training.optim": (*_GALORE, *_APOLLO)}

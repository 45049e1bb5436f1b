"""How the learning rate moves, and the sweep that proposes one."""

from __future__ import annotations

from typing import Literal

from trainer.contract.config.base import Section, field

SCHEDULES = Literal["linear", "cosine", "cosine_with_restarts", "cosine_with_min_lr",
                    "cosine_warmup_with_min_lr", "polynomial", "constant",
                    "constant_with_warmup", "inverse_sqrt", "warmup_stable_decay",
                    "reduce_lr_on_plateau", "greedy"]
_KIND = "training.lr_scheduler_type"


class ScheduleConfig(Section):
    """What only some schedules have; names are those of Transformers."""

    num_cycles: float = field(
        1.0, "Cycles", "How often the cosine begins anew.", gt=0, le=1000,
        only={_KIND: ("cosine_with_restarts",)})
    min_lr_rate: float = field(
        0.1, "Lowest rate", "The rate that is left in the end, as a share of the highest.", ge=0,
        le=1, only={_KIND: ("cosine_with_min_lr", "cosine_warmup_with_min_lr",
                            "warmup_stable_decay", "reduce_lr_on_plateau", "greedy")})
    power: float = field(1.0, "Power", "Of the polynomial; 1 is linear.", gt=0, le=10,
                         only={_KIND: ("polynomial",)})
    decay_ratio: float = field(
        0.2, "Decay", "Share of the steps at the end over which the rate falls.", gt=0, le=1,
        only={_KIND: ("warmup_stable_decay",)})
    decay_type: Literal["linear", "cosine", "1-sqrt"] = field(
        "1-sqrt", "Form of decay", "How the rate falls at the end.",
        only={_KIND: ("warmup_stable_decay",)})
    patience: int = field(
        2, "Patience", "Evaluations without progress before the rate falls.", ge=1, le=1000,
        only={_KIND: ("reduce_lr_on_plateau", "greedy")})
    factor: float = field(
        0.5, "Factor", "By what the rate is multiplied when it falls.", gt=0, lt=1,
        only={_KIND: ("reduce_lr_on_plateau", "greedy")})


class LearningRateFinderConfig(Section):
    """A short sweep over learning rates, in place of training (arXiv:1506.01186)."""

    enabled: bool = field(
        False, "Find a learning rate", "Do not train: raise the rate from step to step, draw the "
        "loss over it, and propose one.")
    steps: int = field(60, "Steps", "Length of the sweep.", unit="steps", ge=10, le=10_000,
                       only={"lr_finder.enabled": ("true",)})
    lowest: float = field(1e-6, "Lowest rate", "Where the sweep begins.", gt=0, le=1,
                          only={"lr_finder.enabled": ("true",)})
    highest: float = field(1.0, "Highest rate", "Where it ends, unless the loss explodes before.",
                           gt=0, le=100, only={"lr_finder.enabled": ("true",)})

"""REINFORCE with a leave-one-out baseline (arXiv:2402.14740): what beats its siblings' mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.context import Context
from trainer.loops.rewarded import CommittedRLOOTrainer
from trainer.loops.rewarding import build_with, settings
from trainer.splits import Splits
from trainer.workbench import Workbench

if TYPE_CHECKING:
    from trl import RLOOConfig


def build(context: Context, bench: Workbench, splits: Splits) -> CommittedRLOOTrainer:
    """Put TRL's RLOOTrainer around the model, the prompts and the rewards."""
    return build_with(CommittedRLOOTrainer, arguments(context, bench, splits), context, bench,
                      splits)


def arguments(context: Context, bench: Workbench, splits: Splits) -> RLOOConfig:
    """Return TRL's arguments; answers are sampled by Transformers."""
    from trl import RLOOConfig

    rloo = context.config.rloo
    return RLOOConfig(
        **settings(context, bench, splits, beta=rloo.beta), epsilon=rloo.epsilon,
        normalize_advantages=rloo.normalize_advantages, num_iterations=rloo.num_iterations)

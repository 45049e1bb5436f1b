"""Group relative policy optimisation (arXiv:2402.03300): what is rewarded above its group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.context import Context
from trainer.loops.rewarded import CommittedGRPOTrainer
from trainer.loops.rewarding import build_with, settings
from trainer.splits import Splits
from trainer.workbench import Workbench

if TYPE_CHECKING:
    from trl import GRPOConfig


def build(context: Context, bench: Workbench, splits: Splits) -> CommittedGRPOTrainer:
    """Put TRL's GRPOTrainer around the model, the prompts and the rewards."""
    return build_with(CommittedGRPOTrainer, arguments(context, bench, splits), context, bench,
                      splits)


def arguments(context: Context, bench: Workbench, splits: Splits) -> GRPOConfig:
    """Return TRL's arguments; answers are sampled by Transformers."""
    from trl import GRPOConfig

    grpo = context.config.grpo
    return GRPOConfig(
        **settings(context, bench, splits, beta=grpo.beta),
        loss_type=grpo.loss_type, importance_sampling_level=grpo.importance_sampling_level,
        epsilon=grpo.epsilon, epsilon_high=grpo.epsilon_high, scale_rewards=grpo.scale_rewards,
        num_iterations=grpo.num_iterations)

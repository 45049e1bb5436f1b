"""A reward model (Bradley-Terry): the chosen answer gets the higher score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer import work
from trainer.context import Context
from trainer.loops.heads import headed, load_with_head
from trainer.loops.pairs import materials, settings
from trainer.loops.reward import CommittedRewardTrainer, ScoredCollator
from trainer.splits import Splits
from trainer.workbench import Workbench

if TYPE_CHECKING:
    from trl import RewardConfig


def build(context: Context, bench: Workbench, splits: Splits) -> CommittedRewardTrainer:
    """Put TRL's RewardTrainer around a model that gives one score."""
    given = materials(context, bench, splits, load_with_head(context, bench, 1))
    given["peft_config"] = headed(given["peft_config"])
    try:
        return CommittedRewardTrainer(
            args=arguments(context, bench, splits),
            data_collator=ScoredCollator(bench.tokenizer.pad_token_id), **given)
    except ValueError as error:
        raise work.check_targets(error) from error


def arguments(context: Context, bench: Workbench, splits: Splits) -> RewardConfig:
    """Return TRL's arguments for pairs that are already tokens."""
    from trl import RewardConfig

    return RewardConfig(
        **settings(context, bench, splits),
        center_rewards_coefficient=context.config.reward.center_rewards_coefficient)

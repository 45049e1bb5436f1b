"""Generalised knowledge distillation (arXiv:2306.13649): from the data's answers and one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.arguments import shared_arguments
from trainer.context import Context
from trainer.loops.distilling import CommittedGKDTrainer, PromptedCollator
from trainer.loops.rewarding import listening, require_room
from trainer.loops.teacher import build_taught
from trainer.splits import Splits
from trainer.workbench import Workbench

if TYPE_CHECKING:
    from trl.experimental.gkd import GKDConfig


def build(context: Context, bench: Workbench, splits: Splits) -> CommittedGKDTrainer:
    """Put TRL's GKDTrainer around the student, the teacher and the token rows."""
    asked = context.config.teacher.lmbda > 0 or context.config.teacher.seq_kd
    if asked:
        require_room(bench, splits, context.config.rollout.max_completion_length)
    loop = build_taught(CommittedGKDTrainer, context, bench, splits,
                        has_logits=True, args=arguments(context, bench, splits),
                        data_collator=PromptedCollator(bench.tokenizer.pad_token_id))
    loop.listen(listening(context, splits))
    return loop


def arguments(context: Context, bench: Workbench, splits: Splits) -> GKDConfig:
    """Return TRL's arguments for rows that are already tokens."""
    from trl.experimental.gkd import GKDConfig

    config = context.config
    return GKDConfig(
        **shared_arguments(context, bench.precision, evaluates=bool(splits.eval)),
        dataset_kwargs={"skip_prepare_dataset": True}, beta=config.teacher.beta,
        lmbda=config.teacher.lmbda, seq_kd=config.teacher.seq_kd,
        temperature=config.rollout.temperature,
        max_new_tokens=config.rollout.max_completion_length,
        disable_dropout=config.tuner.lora_dropout == 0)

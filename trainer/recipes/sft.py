"""Supervised fine-tuning: learn what the assistant says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer import work
from trainer.arguments import shared_arguments
from trainer.context import Context
from trainer.loop import CommittedSFTTrainer
from trainer.precision import Precision
from trainer.splits import Splits
from trainer.workbench import Workbench

if TYPE_CHECKING:
    from trl import SFTConfig


def build(context: Context, bench: Workbench, splits: Splits) -> CommittedSFTTrainer:
    """Put TRL's SFTTrainer around the model and the token rows."""
    model = work.load_trainable(context, bench)
    try:
        return CommittedSFTTrainer(
            model=model,
            args=arguments(context, bench.precision, evaluates=bool(splits.eval)),
            train_dataset=splits.train.dataset,
            eval_dataset=splits.eval.dataset,
            processing_class=bench.tokenizer, peft_config=work.choose_adapter(context))
    except ValueError as error:
        raise work.check_targets(error) from error


def arguments(context: Context, precision: Precision, *, evaluates: bool) -> SFTConfig:
    """Return TRL's arguments for rows that are already tokens."""
    from trl import SFTConfig

    return SFTConfig(**shared_arguments(context, precision, evaluates=evaluates), packing=False,
                     dataset_kwargs={"skip_prepare_dataset": True})

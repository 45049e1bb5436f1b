"""Kahneman-Tversky optimisation (arXiv:2402.01306): more of what is desired, less of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer import work
from trainer.context import Context
from trainer.loops.kto import CommittedKTOTrainer, NeighbourCollator
from trainer.loops.pairs import materials, settings
from trainer.loops.preference import frozen_copy
from trainer.splits import Splits
from trainer.workbench import Workbench

if TYPE_CHECKING:
    from trl import KTOConfig


def build(context: Context, bench: Workbench, splits: Splits) -> CommittedKTOTrainer:
    """Put TRL's KTOTrainer around the model and the judged answers.

    The reference is the model without its adapter, or a frozen copy when the base's own weights
    are trained.
    """
    model = work.load_trainable(context, bench)
    try:
        return CommittedKTOTrainer(
            ref_model=frozen_copy(context.config, model),
            args=arguments(context, bench, splits),
            data_collator=NeighbourCollator(bench.tokenizer.pad_token_id,
                                            max_length=context.config.data.max_length),
            **materials(context, bench, splits, model))
    except ValueError as error:
        raise work.check_targets(error) from error


def arguments(context: Context, bench: Workbench, splits: Splits) -> KTOConfig:
    """Return TRL's arguments for judged answers that are already tokens."""
    from trl import KTOConfig

    kto = context.config.kto
    return KTOConfig(**settings(context, bench, splits), beta=kto.beta,
                     desirable_weight=kto.desirable_weight,
                     undesirable_weight=kto.undesirable_weight)

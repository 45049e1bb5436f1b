"""Kahneman-Tversky optimisation (arXiv:2402.01306): more of what is desired, less of the rest."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from trainer import work
from trainer.arguments import shared_arguments
from trainer.context import Context
from trainer.kto import CommittedKTOTrainer, NeighbourCollator
from trainer.precision import Precision
from trainer.splits import Splits
from trainer.workbench import Workbench

if TYPE_CHECKING:
    from trl import KTOConfig


def build(context: Context, bench: Workbench, splits: Splits) -> CommittedKTOTrainer:
    """Put TRL's KTOTrainer around the model and the judged answers.

    The reference is the model without its adapter, or a frozen copy when every weight is trained.
    """
    model = work.load_trainable(context, bench)
    adapter = work.choose_adapter(context)
    try:
        return CommittedKTOTrainer(
            model=model, ref_model=copy.deepcopy(model) if adapter is None else None,
            args=arguments(context, bench.precision, evaluates=bool(splits.eval)),
            data_collator=NeighbourCollator(bench.tokenizer.pad_token_id,
                                            max_length=context.config.data.max_length),
            train_dataset=splits.train.dataset,
            eval_dataset=splits.eval.dataset,
            processing_class=bench.tokenizer, peft_config=adapter)
    except ValueError as error:
        raise work.check_targets(error) from error


def arguments(context: Context, precision: Precision, *, evaluates: bool) -> KTOConfig:
    """Return TRL's arguments for judged answers that are already tokens."""
    from trl import KTOConfig

    kto = context.config.kto
    return KTOConfig(**shared_arguments(context, precision, evaluates=evaluates), beta=kto.beta,
                     desirable_weight=kto.desirable_weight,
                     undesirable_weight=kto.undesirable_weight,
                     disable_dropout=context.config.tuner.lora_dropout == 0)

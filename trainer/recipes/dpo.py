"""Direct preference optimisation (arXiv:2305.18290): prefer the chosen answer."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from trainer import work
from trainer.arguments import shared_arguments
from trainer.context import Context
from trainer.loop import CommittedDPOTrainer
from trainer.precision import Precision
from trainer.splits import Splits
from trainer.workbench import Workbench

if TYPE_CHECKING:
    from trl import DPOConfig


def build(context: Context, bench: Workbench, splits: Splits) -> CommittedDPOTrainer:
    """Put TRL's DPOTrainer around the model and the token pairs.

    The reference is the model without its adapter, or a frozen copy when every weight is trained.
    """
    model = work.load_trainable(context, bench)
    adapter = work.choose_adapter(context)
    try:
        return CommittedDPOTrainer(
            model=model, ref_model=copy.deepcopy(model) if adapter is None else None,
            args=arguments(context, bench.precision, evaluates=bool(splits.eval)),
            train_dataset=splits.train.dataset,
            eval_dataset=splits.eval.dataset,
            processing_class=bench.tokenizer, peft_config=adapter)
    except ValueError as error:
        raise work.check_targets(error) from error


def arguments(context: Context, precision: Precision, *, evaluates: bool) -> DPOConfig:
    """Return TRL's arguments for pairs that are already tokens."""
    from trl import DPOConfig

    dpo = context.config.dpo
    return DPOConfig(**shared_arguments(context, precision, evaluates=evaluates), beta=dpo.beta,
                     loss_type=[dpo.loss_type], label_smoothing=dpo.label_smoothing,
                     disable_dropout=context.config.tuner.lora_dropout == 0)

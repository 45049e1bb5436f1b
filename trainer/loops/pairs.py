"""What the recipes of preferences are made of, beside the verbs of ``trainer.work``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer import work
from trainer.arguments import shared_arguments
from trainer.context import Context
from trainer.splits import Splits
from trainer.workbench import Workbench

if TYPE_CHECKING:
    from trainer.loops.preference import Loss, PairLoop


def materials(context: Context, bench: Workbench, splits: Splits, model: Any) -> dict[str, Any]:
    """Return what every trainer of TRL is given beside its arguments."""
    return {"model": model, "peft_config": work.choose_adapter(context),
            "train_dataset": splits.train.dataset, "eval_dataset": splits.eval.dataset,
            "processing_class": bench.tokenizer}


def settings(context: Context, bench: Workbench, splits: Splits) -> dict[str, Any]:
    """Return the arguments that all preference objectives share.

    Dropout is switched off as TRL does, unless the run asks for it.
    """
    return {**shared_arguments(context, bench.precision, evaluates=bool(splits.eval)),
            "disable_dropout": context.config.tuner.lora_dropout == 0}


def pair_loop(context: Context, bench: Workbench, splits: Splits, loss: Loss) -> PairLoop:
    """Put the loop of pairs around the model, for a loss that needs no reference."""
    from trl import DPOConfig

    from trainer.loops.preference import PairLoop

    model = work.load_trainable(context, bench)
    try:
        return PairLoop(loss=loss, args=DPOConfig(**settings(context, bench, splits)),
                        **materials(context, bench, splits, model))
    except ValueError as error:
        raise work.check_targets(error) from error

"""Simple preference optimisation (arXiv:2405.14734): the likelier answer a token is preferred."""

from __future__ import annotations

from trainer.context import Context
from trainer.loops.pairs import pair_loop
from trainer.loops.preference import PairLoop, simpo_loss
from trainer.splits import Splits
from trainer.workbench import Workbench


def build(context: Context, bench: Workbench, splits: Splits) -> PairLoop:
    """Put the loop of pairs around the model, with SimPO's loss."""
    return pair_loop(context, bench, splits, simpo_loss(context.config.simpo))

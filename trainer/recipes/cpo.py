"""Contrastive preference optimisation (arXiv:2401.08417): DPO against a uniform reference."""

from __future__ import annotations

from trainer.context import Context
from trainer.loops.pairs import pair_loop
from trainer.loops.preference import PairLoop, cpo_loss
from trainer.splits import Splits
from trainer.workbench import Workbench


def build(context: Context, bench: Workbench, splits: Splits) -> PairLoop:
    """Put the loop of pairs around the model, with CPO's loss."""
    return pair_loop(context, bench, splits, cpo_loss(context.config.cpo))

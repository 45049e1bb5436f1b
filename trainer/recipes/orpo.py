"""Odds ratio preference optimisation (arXiv:2403.07691): learn the answer, and prefer it."""

from __future__ import annotations

from trainer.context import Context
from trainer.loops.pairs import pair_loop
from trainer.loops.preference import PairLoop, orpo_loss
from trainer.splits import Splits
from trainer.workbench import Workbench


def build(context: Context, bench: Workbench, splits: Splits) -> PairLoop:
    """Put the loop of pairs around the model, with ORPO's loss."""
    return pair_loop(context, bench, splits, orpo_loss(context.config.orpo))

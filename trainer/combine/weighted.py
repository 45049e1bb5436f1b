"""What is combined, and how much of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.combine.errors import CombineError


@dataclass(frozen=True)
class Weighted:
    """A source of a combination.

    Attributes:
        folder: Its folder, such as a run's ``adapter`` or ``model``.
        weight: By what it is multiplied; below zero what it has learned is taken away.
        name: What it is called in messages and in the report.
    """

    folder: Path
    weight: float
    name: str = ""

    @property
    def label(self) -> str:
        """Its name; else that of the run or folder."""
        plain = self.folder.parent if self.folder.name in ("adapter", "model") else self.folder
        return self.name or plain.name


def require_weights(given: Sequence[Weighted]) -> None:
    """Refuse weights that are no numbers, or of which one is zero.

    Raises:
        CombineError: 'weight_not_finite', 'weights_zero', 'weight_zero'.
    """
    odd = [one.label for one in given if not math.isfinite(one.weight)]
    if odd:
        raise CombineError("weight_not_finite", f"The weight of '{odd[0]}' is no finite number.",
                           "Write a number such as 0.5.")
    none = [one.label for one in given if not one.weight]
    if len(none) == len(given):
        raise CombineError("weights_zero", "Every weight is 0, so nothing would be left.",
                           "Give at least two sources a weight other than 0.")
    if none:
        raise CombineError("weight_zero", f"The weight of '{none[0]}' is 0: it would take no part.",
                           "Leave it out, or give it another weight.")

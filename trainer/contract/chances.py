"""What the chances of differences between models say when several are told together; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from trainer.contract.kinds.evaluation import Verdict

ALPHA = 0.05


def together(chances: Sequence[float | None]) -> list[float | None]:
    """Return p-values that are right when all of them are told together, in the same order.

    The chance that any true null hypothesis among them is rejected stays below alpha (Holm 1979,
    "A simple sequentially rejective multiple test procedure"). What is None or NaN is passed by.
    """
    known = sorted((chance, place) for place, chance in enumerate(chances)
                   if chance is not None and not math.isnan(chance))
    result, least = list(chances), 0.0
    for rank, (chance, place) in enumerate(known):
        least = min(1.0, max(least, (len(known) - rank) * chance))
        result[place] = least
    return result


def verdict(difference: float, chance: float | None, *, higher_is_better: bool = True,
            alpha: float = ALPHA) -> Verdict:
    """Say whether the second model is better or worse, or that this cannot be told."""
    if chance is None or not chance < alpha or difference == 0:
        return "unclear"
    return "better" if (difference > 0) == higher_is_better else "worse"

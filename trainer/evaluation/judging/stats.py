"""How sure a share of wins is, and what is left of an agreement without chance.

The interval of a share of wins with ties as halves is Agresti and Min's (2005, "Simple improved
confidence intervals for comparing matched proportions", Statistics in Medicine 24): half a row is
added to each of four cells, which keeps it honest for few rows, and where all of them are alike.
Its p-value is the exact sign test of wins against losses. Kappa: Cohen 1960, "A coefficient of
agreement for nominal scales", Educational and Psychological Measurement 20.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from trainer.scoring.intervals import LEVEL
from trainer.scoring.paired import mcnemar


def win_interval(wins: int, ties: int, losses: int) -> tuple[float | None, float | None]:
    """Return the interval of the share of wins with ties as halves; (None, None) without rows."""
    n = wins + ties + losses
    if not n:
        return None, None
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
    difference = (wins - losses) / (n + 2)
    spread = math.sqrt(((wins + losses + 1) / (n + 2) - difference ** 2) / (n + 2))
    return (max(0.0, (1 + difference - z * spread) / 2),
            min(1.0, (1 + difference + z * spread) / 2))


def sign_test(wins: int, losses: int) -> float:
    """Return the exact two-sided p-value of so many wins and losses between equal models."""
    won = np.array([1.0] * wins + [0.0] * losses)
    return mcnemar(1 - won, won)


def kappa(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return Cohen's kappa of two raters; None without pairs, or where both always say the same.

    0 is what chance would give to raters who use each word as often as these do, 1 is perfect.
    """
    if not pairs:
        return None
    same = sum(one == other for one, other in pairs) / len(pairs)
    names = {name for pair in pairs for name in pair}
    chance = sum((sum(one == name for one, _ in pairs) / len(pairs))
                 * (sum(other == name for _, other in pairs) / len(pairs)) for name in names)
    return None if chance == 1 else (same - chance) / (1 - chance)

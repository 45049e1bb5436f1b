"""How sure a score is: Wilson's interval for shares, the bootstrap for everything else.

Wilson: E. B. Wilson 1927, "Probable inference, the law of succession, and statistical inference",
JASA 22. It is right for few rows and near 0 and 1, where the normal approximation is not (Brown,
Cai, DasGupta 2001). Bootstrap: Efron and Tibshirani 1993, "An Introduction to the Bootstrap",
chapter 13 (percentiles); of corpus scores such as BLEU rows are drawn and their counts added up
again (Koehn 2004, aclanthology.org/W04-3250).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from trainer.failures import Failure
from trainer.scoring.scores import Array, Scores

RESAMPLES = 1000
LEVEL = 0.95
# Cells of one block of counts, 8 bytes each.
_BLOCK = 1_000_000


@dataclass(frozen=True)
class Measured:
    """A score with its interval.

    Attributes:
        name: Such as ``rougeL``.
        value: The score; NaN when every row was left out.
        low: Lower end of the interval.
        high: Upper end.
        level: Of confidence, such as 0.95.
        method: ``wilson`` or ``bootstrap``.
        n: Rows that count.
        left_out: Rows that have nothing to compare with.
        higher_is_better: False for perplexity and bits per byte.
        detail: How it was computed, where that is not obvious.
    """

    name: str
    value: float
    low: float
    high: float
    level: float
    method: str
    n: int
    left_out: int
    higher_is_better: bool
    detail: str


def wilson(hits: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return Wilson's score interval of a share; (NaN, NaN) without rows."""
    if n == 0:
        return float("nan"), float("nan")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return (0.0 if hits == 0 else max(0.0, middle - half),
            1.0 if hits == n else min(1.0, middle + half))


def resampled(several: Sequence[Scores], *, resamples: int = RESAMPLES,
              seed: int = 0) -> list[Array]:
    """Return (resamples,) scores of each, all of the same draws of rows with replacement.

    Args:
        several: Scores of the same N rows, in the same order.
        resamples: How many draws.
        seed: The same seed gives the same draws for the same N.
    """
    rows = len(several[0].rows) if several else 0
    if not rows:
        return [np.full(resamples, np.nan) for _ in several]
    parts: list[list[Array]] = [[] for _ in several]
    for counts in _draws(rows, resamples, seed):
        for part, scores in zip(parts, several, strict=True):
            part.append(scores.formula(counts.astype(scores.sums.dtype, copy=False)
                                       @ scores.sums))
    return [np.concatenate(part) for part in parts]


def _draws(rows: int, resamples: int, seed: int) -> Iterator[Array]:
    """Yield (B, N) float64: how often each row was drawn."""
    chance = np.random.default_rng(seed)
    block = max(1, min(resamples, _BLOCK // rows))
    for start in range(0, resamples, block):
        counts = np.empty((min(block, resamples - start), rows))
        for row in counts:
            row[:] = np.bincount(chance.integers(0, rows, size=rows), minlength=rows)
        yield counts


def percentiles(values: Array, level: float = LEVEL) -> tuple[float, float]:
    """Return the interval that holds so much of the resampled scores."""
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def summarise(several: Sequence[Scores], *, level: float = LEVEL, resamples: int = RESAMPLES,
              seed: int = 0) -> list[Measured]:
    """Return each score with its interval; one pass of the bootstrap serves all that need it.

    Args:
        several: Scores of the same rows, in the same order.
        level: Of confidence.
        resamples: Draws of the bootstrap.
        seed: Of the draws.

    Raises:
        Failure: The scores are not of the same rows, or the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise Failure("metric_option", f"There is no interval of level {level}.",
                      "Give a level between 0 and 1, such as 0.95.")
    if any(not np.array_equal(scores.rows, several[0].rows) for scores in several):
        raise Failure("metric_rows", "These scores are not of the same rows.",
                      "Summarise the scores of one list of predictions at a time.")
    others = [scores for scores in several if not scores.share]
    drawn = {id(scores): values for scores, values in
             zip(others, resampled(others, resamples=resamples, seed=seed), strict=True)}
    return [_measured(scores, drawn.get(id(scores)), level) for scores in several]


def _measured(scores: Scores, drawn: Array | None, level: float) -> Measured:
    n = int(scores.counted.sum())
    if drawn is None:
        method, (low, high) = "wilson", wilson(float(scores.sums[:, 0].sum()), n, level)
    else:
        method, (low, high) = "bootstrap", percentiles(drawn, level)
    return Measured(scores.name, scores.value, low, high, level, method, n, len(scores.rows) - n,
                    scores.higher_is_better, scores.detail)

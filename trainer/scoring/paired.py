"""Whether one model is better than another on the same rows.

Right or wrong: McNemar's exact test (McNemar 1947, Psychometrika 12; Dietterich 1998). Everything
else: a permutation test in which every row's two results are exchanged or not, which for means is
the sign-flip test (Fisher 1935) and for corpus scores approximate randomization (Noreen 1989;
Riezler and Maxwell 2005, aclanthology.org/W05-0908); its p-value counts the observed order too
(Phipson and Smyth 2010). Interval of the difference: paired bootstrap (Koehn 2004). What
several comparisons at once say: ``trainer.contract.chances``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from trainer.contract.chances import ALPHA, verdict
from trainer.contract.kinds.evaluation import Verdict
from trainer.failures import Failure
from trainer.scoring.intervals import LEVEL, RESAMPLES, percentiles, resampled
from trainer.scoring.scores import Array, Scores

FLIPS = 10_000
# With so few rows that differ all 2 ** n exchanges are tried.
_ALL = 13
_BLOCK = 4_000_000


@dataclass(frozen=True)
class Comparison:
    """The second model against the first.

    Attributes:
        name: Of the score.
        before: The first model's score on the rows that both have.
        after: The second one's.
        low: Lower end of the interval of ``after - before``.
        high: Its upper end.
        p: Probability of a difference at least as large if there were none.
        test: ``mcnemar`` or ``permutation``.
        n: Rows that both have.
        higher_is_better: False for perplexity and bits per byte.
    """

    name: str
    before: float
    after: float
    low: float
    high: float
    p: float
    test: str
    n: int
    higher_is_better: bool

    @property
    def difference(self) -> float:
        """How much more the second model has."""
        return self.after - self.before

    def verdict(self, alpha: float = ALPHA) -> Verdict:
        """Say whether the second model is better or worse, or that this cannot be told."""
        return verdict(self.difference, self.p, higher_is_better=self.higher_is_better,
                       alpha=alpha)


def compare(before: Scores, after: Scores, *, resamples: int = RESAMPLES, flips: int = FLIPS,
            seed: int = 0) -> Comparison:
    """Compare two models' scores on the rows that both have; the interval holds 95 %.

    Raises:
        Failure: The scores are of different metrics, one has a row twice, or no row is in both.
    """
    before, after = paired(before, after)
    test, p = "permutation", float("nan")
    if before.share and after.share:
        test, p = "mcnemar", mcnemar(before.values, after.values)
    elif math.isfinite(before.value) and math.isfinite(after.value):
        p = permutation(before, after, flips=flips, seed=seed)
    first, second = resampled([before, after], resamples=resamples, seed=seed)
    with np.errstate(invalid="ignore"):
        low, high = percentiles(second - first, LEVEL)
    return Comparison(before.name, before.value, after.value, low, high, p, test,
                      len(before.rows), before.higher_is_better)


def paired(before: Scores, after: Scores) -> tuple[Scores, Scores]:
    """Return two models' scores of the rows that both have and that count in both, by row.

    Raises:
        Failure: The scores are of different metrics, one has a row twice, or no row is in both.
    """
    if before.name != after.name or before.sums.shape[1] != after.sums.shape[1]:
        raise Failure("metric_pair", f"'{before.name}' cannot be compared with '{after.name}'.",
                      "Score both models with the same metric and options.")
    kept = [np.flatnonzero(scores.counted) for scores in (before, after)]
    rows = [scores.rows[k] for scores, k in zip((before, after), kept, strict=True)]
    if any(len(np.unique(r)) < len(r) for r in rows):
        raise Failure("metric_rows", f"'{before.name}' has two scores of the same row.",
                      "Give one prediction a row.")
    _, left, right = np.intersect1d(rows[0], rows[1], assume_unique=True, return_indices=True)
    if not len(left):
        raise Failure("metric_pair", f"No row has a score '{before.name}' of both models.",
                      "Evaluate both on the same rows.")
    return _at(before, kept[0][left]), _at(after, kept[1][right])


def _at(scores: Scores, places: Array) -> Scores:
    return replace(scores, rows=scores.rows[places], values=scores.values[places],
                   sums=scores.sums[places])


def mcnemar(before: Array, after: Array) -> float:
    """Return McNemar's exact two-sided p-value of two (N,) arrays of 0 and 1.

    Only rows in which the models differ say something: under the null hypothesis each of them is
    as likely to be won by the one as by the other.
    """
    won, lost = int((after > before).sum()), int((after < before).sum())
    n, fewer = won + lost, min(won, lost)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    places = np.arange(fewer + 1)
    terms = logs[n] - logs[places] - logs[n - places] - n * math.log(2)
    return min(1.0, 2 * float(np.exp(terms).sum()))


def permutation(before: Scores, after: Scores, *, flips: int = FLIPS, seed: int = 0) -> float:
    """Return the two-sided p-value of exchanging the models' results row by row.

    Args:
        before: Of the first model.
        after: Of the second, the same rows in the same order.
        flips: Exchanges drawn; all are tried where 13 rows or fewer differ.
        seed: Of the draws.
    """
    change = after.sums.astype(np.float64) - before.sums
    change = change[change.any(axis=1)]
    if not len(change):
        return 1.0
    total = [scores.sums.sum(axis=0, dtype=np.float64) for scores in (before, after)]
    seen = float(abs(after.formula(total[1]) - before.formula(total[0])))
    beyond = tried = 0
    for exchanged in _exchanges(len(change), flips, seed):
        moved = exchanged @ change
        found = abs(after.formula(total[1] - moved) - before.formula(total[0] + moved))
        beyond += int((found >= seen - 1e-9 * max(1.0, seen)).sum())
        tried += len(exchanged)
    if len(change) <= _ALL:
        return beyond / tried
    return (1 + beyond) / (1 + tried)


def _exchanges(rows: int, flips: int, seed: int) -> Iterator[Array]:
    """Yield (B, N) float64 of 0 and 1: which rows are exchanged."""
    if rows <= _ALL:
        yield ((np.arange(2 ** rows)[:, None] >> np.arange(rows)) & 1).astype(np.float64)
        return
    chance = np.random.default_rng(seed)
    width = (rows + 7) // 8
    block = max(1, _BLOCK // rows)
    for start in range(0, flips, block):
        size = min(block, flips - start)
        drawn = chance.integers(0, 256, size=(size, width), dtype=np.uint8)
        yield np.unpackbits(drawn, axis=1, count=rows).astype(np.float64)

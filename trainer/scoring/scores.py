"""What a metric returns: numbers that can be added up, and how a score is made of the sums.

Every score here is a formula of sums over rows: a mean of (value, 1), BLEU of n-gram counts,
perplexity of (log-probabilities, tokens). So a bootstrap only adds up rows again, whatever the
metric, and needs no text (see ``trainer.scoring.intervals``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.failures import Failure
from trainer.scoring.predictions import Prediction

Array = NDArray[Any]
Formula = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of N rows.

    Attributes:
        name: Such as ``rougeL``.
        rows: (N,) int64, the rows of the dataset.
        values: (N,) float64, a row's own score; NaN where there is nothing to compare with.
        sums: (N, K), what is added up over rows; zeros where a row is left out.
        formula: (..., K) sums to (...) scores; NaN where nothing was added up.
        share: The values are 0 or 1 and the score is their mean.
        higher_is_better: False for perplexity and bits per byte.
        detail: How it was computed, where that is not obvious: a signature, a tokenizer.
    """

    name: str
    rows: Array
    values: Array
    sums: Array
    formula: Formula
    share: bool = False
    higher_is_better: bool = True
    detail: str = ""

    @property
    def value(self) -> float:
        """The score of all rows; NaN when every row is left out."""
        return float(self.formula(self.sums.sum(axis=0)))

    @property
    def counted(self) -> Array:
        """(N,) bool: which rows have something to compare with."""
        return ~np.isnan(self.values)


class Metric:
    """A group of scores that are computed together; ``name`` is how it is asked for."""

    name = ""

    def score(self, predictions: Sequence[Prediction]) -> list[Scores]:
        """Score predictions; what each metric defines."""
        raise NotImplementedError

    def formed(self, prediction: Prediction) -> bool:
        """Tell whether an answer has the form that this metric reads, right or wrong."""
        return True


def ratio(sums: Array) -> Array:
    """Return the first of two sums divided by the second."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sums[..., 1] > 0, sums[..., 0] / sums[..., 1], np.nan)


def rows_of(predictions: Sequence[Prediction]) -> Array:
    """Return (N,) int64: the rows that predictions belong to."""
    return np.fromiter((p.row for p in predictions), dtype=np.int64, count=len(predictions))


def mean(name: str, predictions: Sequence[Prediction], values: Sequence[float | None], *,
         share: bool = False, detail: str = "") -> Scores:
    """Return scores whose mean counts; None leaves a row out."""
    array = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    counted = ~np.isnan(array)
    sums = np.stack([np.where(counted, array, 0.0), counted.astype(np.float64)], axis=-1)
    return Scores(name, rows_of(predictions), array, sums, ratio, share=share, detail=detail)


def known(option: str, value: str, values: Sequence[str]) -> None:
    """Refuse a value that an option does not have.

    Raises:
        Failure: It is none of the values.
    """
    if value not in values:
        raise Failure("metric_option", f"There is no {option} '{value}'.",
                      f"Choose of: {', '.join(values)}.")


def needs_package(package: str) -> Failure:
    """Return the error for a package that is not installed."""
    return Failure("metric_package", f"This metric needs the package '{package}', which is not "
                   "installed.", "Run: pip install 'finestra[eval]'")

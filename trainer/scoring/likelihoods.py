"""What a model thinks of a text that it was given: perplexity, bits per byte, token accuracy.

Perplexity depends on the tokenizer, so that it compares models with the same one only; bits per
byte compares any two (Gao et al. 2020, "The Pile", arXiv:2101.00027, section 3.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from trainer.failures import Failure
from trainer.scoring.predictions import Likelihood, Prediction
from trainer.scoring.scores import Array, Formula, Metric, Scores, ratio, rows_of

# Rounding in bfloat16 may put a probability a little above 1.
_ABOVE_ONE = 0.01


class LikelihoodMetric(Metric):
    """Scores of the log-probabilities of the reference's tokens."""

    name = "likelihood"

    def score(self, predictions: Sequence[Prediction]) -> list[Scores]:
        """Return ``perplexity``, ``bits_per_byte``, ``token_accuracy``.

        Rows without log-probabilities are left out, of the last one also those that do not say
        which tokens were the likeliest.

        Raises:
            Failure: A number is no log-probability, or two lists are of different lengths.
        """
        for prediction in predictions:
            _check(prediction)
        return [_scores("perplexity", predictions, _of_tokens, exp_ratio, better=False),
                _scores("bits_per_byte", predictions, _of_bytes, ratio, better=False),
                _scores("token_accuracy", predictions, _hits, ratio, better=True)]


def exp_ratio(sums: Array) -> Array:
    """Return e to the power of a mean."""
    with np.errstate(over="ignore"):
        return np.exp(ratio(sums))


def _of_tokens(found: Likelihood) -> tuple[float, int]:
    return -sum(found.logprobs), len(found.logprobs)


def _of_bytes(found: Likelihood) -> tuple[float, int]:
    return -sum(found.logprobs) / math.log(2), found.n_bytes


def _hits(found: Likelihood) -> tuple[float, int]:
    return sum(found.likeliest), len(found.likeliest)


def _scores(name: str, predictions: Sequence[Prediction],
            sums_of: Callable[[Likelihood], tuple[float, int]], formula: Formula, *,
            better: bool) -> Scores:
    pairs = [sums_of(p.likelihood) if p.likelihood and p.likelihood.logprobs else (0.0, 0)
             for p in predictions]
    sums = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    sums[sums[:, 1] == 0] = 0
    return Scores(name, rows_of(predictions), formula(sums), sums, formula,
                  higher_is_better=better)


def _check(prediction: Prediction) -> None:
    found = prediction.likelihood
    if found is None:
        return
    if found.likeliest and len(found.likeliest) != len(found.logprobs):
        raise Failure("metric_lengths", f"Row {prediction.row} has {len(found.logprobs)} "
                      f"log-probabilities and {len(found.likeliest)} marks of likeliest tokens.")
    # The largest may hide a NaN, their sum does not.
    if not max(found.logprobs, default=0.0) <= _ABOVE_ONE or math.isnan(sum(found.logprobs)):
        raise Failure("metric_logprob", f"Row {prediction.row} has a log-probability that is no "
                      "number, or above 0.", "Give natural logarithms of probabilities.")

"""BLEU and chrF by sacrebleu, whose counts are kept by row: the corpus's score adds them up.

BLEU: Papineni et al. 2002 (aclanthology.org/P02-1040). chrF: Popović 2015 (W15-3049), chrF++: 2017
(W17-4770). Tokenizers, smoothing and signature: Post 2018 (W18-6319).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from trainer.failures import Failure
from trainer.scoring.predictions import Prediction
from trainer.scoring.scores import Array, Formula, Metric, Scores, known, needs_package, rows_of
from trainer.scoring.words import has_han

ORDER = 4
_BLOCK = 64
TOKENIZERS = ("auto", "13a", "zh", "char", "intl", "none")


class Bleu(Metric):
    """BLEU of the corpus, 0 to 100, as sacrebleu computes it: exponential smoothing, order 4."""

    name = "bleu"

    def __init__(self, *, tokenizer: str = "auto", lowercase: bool = False) -> None:
        """Choose a tokenizer; ``auto`` takes zh where most references are Chinese, else 13a.

        Raises:
            Failure: There is no such tokenizer, or sacrebleu is missing.
        """
        known("tokenizer", tokenizer, TOKENIZERS)
        self._metrics = _sacrebleu()
        self._tokenizer, self._lowercase = tokenizer, lowercase

    def score(self, predictions: Sequence[Prediction]) -> list[Scores]:
        """Return ``bleu``; rows without a reference are left out.

        A row's own value is BLEU with effective order, of use for sorting rows only.
        """
        tokenizer = self._tokenizer
        if tokenizer == "auto":
            tokenizer = "zh" if mostly_chinese(predictions) else "13a"
        # A text that ends in ' .' is no mistake of its author's here, hence no warning of it.
        metric = self._metrics.BLEU(tokenize=tokenizer, lowercase=self._lowercase, force=True)
        sums = _sums(metric, predictions, 2 + 2 * ORDER)
        detail = f"tokenizer {tokenizer}, {'lower case' if self._lowercase else 'mixed case'}, " \
                 f"exp smoothing, sacrebleu {_version()}"
        return [_scores("bleu", predictions, sums, (bleu, sentence_bleu), detail)]


class Chrf(Metric):
    """chrF of the corpus, 0 to 100, as sacrebleu computes it; with words of order 2 chrF++."""

    name = "chrf"

    def __init__(self, *, word_order: int = 0) -> None:
        """Choose whether n-grams of words count as well.

        Raises:
            Failure: The order is below 0 or above 4, or sacrebleu is missing.
        """
        if not 0 <= word_order <= ORDER:
            raise Failure("metric_option", f"chrF has no words of order {word_order}.",
                          "Choose 0 for chrF or 2 for chrF++.")
        self._metric = _sacrebleu().CHRF(word_order=word_order)

    def score(self, predictions: Sequence[Prediction]) -> list[Scores]:
        """Return ``chrf``; rows without a reference are left out."""
        sums = _sums(self._metric, predictions, 3 * self._metric.order)
        detail = f"characters up to {self._metric.char_order}, words up to " \
                 f"{self._metric.word_order}, sacrebleu {_version()}"
        return [_scores("chrf", predictions, sums, (chrf, chrf), detail)]


def _sacrebleu() -> Any:
    try:
        import sacrebleu.metrics
    except ImportError:
        raise needs_package("sacrebleu") from None
    return sacrebleu.metrics


def _version() -> str:
    import sacrebleu

    return str(sacrebleu.__version__)


def mostly_chinese(predictions: Sequence[Prediction]) -> bool:
    """Tell whether more than half of the rows with a reference have one with Chinese in it."""
    with_reference = [p for p in predictions if p.right]
    return 2 * sum(any(map(has_han, p.right)) for p in with_reference) > len(with_reference)


def _sums(metric: Any, predictions: Sequence[Prediction], width: int) -> Array:
    """Return (N, width): sacrebleu's counts of each row, zeros where there is no reference.

    A block at a time: sacrebleu holds the n-grams of all references that it is given.
    """
    sums = np.zeros((len(predictions), width), dtype=np.float64)
    chosen = [place for place, p in enumerate(predictions) if p.right]
    for start in range(0, len(chosen), _BLOCK):
        places = chosen[start:start + _BLOCK]
        right = [predictions[place].right for place in places]
        streams = list(zip_longest(*right))
        outputs = [predictions[place].output for place in places]
        sums[places] = metric._extract_corpus_statistics(outputs, streams)
    return sums


def _scores(name: str, predictions: Sequence[Prediction], sums: Array,
            formulas: tuple[Formula, Formula], detail: str) -> Scores:
    whole, of_row = formulas
    counted = np.fromiter((bool(p.right) for p in predictions), dtype=bool,
                          count=len(predictions))
    values = np.where(counted, np.nan_to_num(of_row(sums)), np.nan)
    return Scores(name, rows_of(predictions), values, sums, whole, detail=detail)


def bleu(sums: Array) -> Array:
    """Return BLEU of (..., 10) counts: length, reference length, hits and n-grams of order 1-4."""
    return _bleu(sums, effective=False)


def sentence_bleu(sums: Array) -> Array:
    """Return BLEU that leaves out orders for which an answer is too short."""
    return _bleu(sums, effective=True)


def _bleu(sums: Array, *, effective: bool) -> Array:
    said, reference = sums[..., 0], sums[..., 1]
    hits, total = sums[..., 2:2 + ORDER], sums[..., 2 + ORDER:]
    missed = (hits == 0) & (total > 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # The n-th order without a hit counts as half a hit, a quarter, an eighth ...
        smoothed = np.where(missed, 0.5 ** np.cumsum(missed, axis=-1), hits) / total
        logs = np.where(total > 0, np.log(smoothed), 0.0 if effective else -np.inf)
        orders = np.maximum((total > 0).sum(axis=-1), 1) if effective else ORDER
        short = np.where(said < reference, np.exp(1 - reference / said), 1.0)
        scores = 100 * np.where(said > 0, short, 0.0) * np.exp(logs.sum(axis=-1) / orders)
    scores = np.where(hits.any(axis=-1), scores, 0.0)
    return np.where(reference > 0, scores, np.nan)


def chrf(sums: Array) -> Array:
    """Return chrF of (..., 3 M) counts: n-grams of answer, of reference, shared, for each order."""
    said, reference, shared = np.moveaxis(
        sums.reshape(*sums.shape[:-1], sums.shape[-1] // 3, 3), -1, 0)
    counts = (said > 0) & (reference > 0)
    orders = np.maximum(counts.sum(axis=-1), 1)
    precision = _over(shared, said, counts).sum(axis=-1) / orders
    recall = _over(shared, reference, counts).sum(axis=-1) / orders
    below = 4 * precision + recall
    return np.where(reference.any(axis=-1), 100 * _over(5 * precision * recall, below, below > 0),
                    np.nan)


def _over(above: Array, below: Array, where: Array) -> Array:
    return np.divide(above, below, out=np.zeros_like(below, dtype=np.float64), where=where)

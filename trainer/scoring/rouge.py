"""ROUGE-1, -2 and -L: shared words of answer and reference (Lin 2004, aclanthology.org/W04-1013).

Words are those of the package rouge-score, and so are the numbers. Counting is done here: the
package's table for the longest common subsequence takes 3 GB for two texts of 100,000 characters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from trainer.scoring.predictions import Prediction
from trainer.scoring.scores import Metric, Scores, mean
from trainer.scoring.words import Splitter

NAMES = ("rouge1", "rouge2", "rougeL")
MOST_WORDS = 50_000
Three = tuple[float, float, float]


class Rouge(Metric):
    """F1 of shared words, pairs of words, and the longest common subsequence."""

    name = "rouge"

    def __init__(self, *, tokenizer: str = "auto", stem: bool = False) -> None:
        """Choose how texts become words; of ``words.TOKENIZERS``.

        Raises:
            Failure: There is no such tokenizer, or its package is missing.
        """
        self._splitter = Splitter(tokenizer, stem=stem)
        self._detail = f"tokenizer {tokenizer}, {'Porter stems' if stem else 'no stems'}"

    def score(self, predictions: Sequence[Prediction]) -> list[Scores]:
        """Return ``rouge1``, ``rouge2`` and ``rougeL``, 0 to 1; the best reference counts.

        Rows without a reference are left out. Of a text the first 50,000 words count.
        """
        found = [self._one(p) for p in predictions]
        return [mean(name, predictions, [None if row is None else row[place] for row in found],
                     detail=self._detail) for place, name in enumerate(NAMES)]

    def _one(self, prediction: Prediction) -> Three | None:
        if not (right := prediction.right):
            return None
        scores = []
        for reference in right:
            split = self._splitter.for_reference(reference)
            scores.append(rouge(split(reference)[:MOST_WORDS],
                                split(prediction.output)[:MOST_WORDS]))
        return scores[0] if len(scores) == 1 else (
            max(s[0] for s in scores), max(s[1] for s in scores), max(s[2] for s in scores))


def rouge(reference: Sequence[str], answer: Sequence[str]) -> Three:
    """Return the F1 of words, of pairs, and of the longest common subsequence."""
    if not reference or not answer:
        return 0.0, 0.0, 0.0
    pairs = _shared(list(pairwise(reference)), list(pairwise(answer)))
    both = len(reference) + len(answer)
    return (2 * _shared(reference, answer) / both, 2 * pairs / (both - 2) if both > 2 else 0.0,
            2 * common_subsequence(reference, answer) / both)


def _shared(left: Sequence[object], right: Sequence[object]) -> int:
    """Return how many items two lists share, each as often as it stands in both."""
    if len(set(left)) == len(left):
        return len(set(left).intersection(right))
    counts = Counter(left)
    return sum(min(counts[item], times) for item, times in Counter(right).items()
               if item in counts)


def common_subsequence(left: Sequence[str], right: Sequence[str]) -> int:
    """Return the length of the longest common subsequence, a row of the table as one integer.

    Hyyrö 2004, "Bit-parallel LCS-length computation revisited".
    """
    places: dict[str, int] = {}
    for place, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << place
    full = (1 << len(left)) - 1
    row = full
    for word in right:
        hit = row & places.get(word, 0)
        row = (row + hit | row - hit) & full
    return len(left) - row.bit_count()

"""How near answer and reference are to each other as vectors of a model.

The vectors come from outside, so that nothing here loads a model. The cosine of two vectors is
their product over their lengths (Salton and McGill 1983, "Introduction to Modern Information
Retrieval", 4.1); for sentences see Reimers and Gurevych 2019 (arXiv:1908.10084).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from trainer.failures import Failure
from trainer.scoring.predictions import Prediction
from trainer.scoring.scores import Array, Metric, Scores, mean

# N texts, none of them blank, to (N, H) numbers; a row of NaN for one that cannot be embedded.
Embed = Callable[[Sequence[str]], Array]
AT_ONCE = 256


class Embedding(Metric):
    """The cosine of the vectors of answer and reference, -1 to 1; the nearest reference counts."""

    name = "embedding"

    def __init__(self, *, embed: Embed | None = None, model: str = "") -> None:
        """Say what makes vectors; ``model`` is what it is called.

        Raises:
            Failure: Nothing makes vectors.
        """
        if embed is None:
            raise Failure("metric_embedding", "The metric 'embedding' needs a model that makes "
                          "vectors, and none is here.", "Name one in 'model'.")
        self._embed, self._detail = embed, model and f"by {model}"

    def score(self, predictions: Sequence[Prediction]) -> list[Scores]:
        """Return ``embedding``; rows without a reference are left out, a blank answer gets 0.

        Left out are also rows with a text that the model cannot embed.

        Raises:
            Failure: What came back are no vectors.
        """
        values = [value for start in range(0, len(predictions), AT_ONCE)
                  for value in self._some(predictions[start:start + AT_ONCE])]
        return [mean(self.name, predictions, values, detail=self._detail)]

    def _some(self, rows: Sequence[Prediction]) -> list[float | None]:
        texts = list(dict.fromkeys(text for p in rows if p.right
                                   for text in (p.output, *p.right) if text.strip()))
        vectors = dict(zip(texts, self._vectors(texts), strict=True))
        return [_nearest(p, vectors) for p in rows]

    def _vectors(self, texts: Sequence[str]) -> Array:
        """Return (N, H) float64 of length 1, or of zeros."""
        if not texts:
            return np.zeros((0, 1))
        try:
            found = np.asarray(self._embed(texts), dtype=np.float64)
        except (TypeError, ValueError) as error:
            if isinstance(error, Failure):
                raise
            found = np.zeros(0)
        if found.ndim != 2 or len(found) != len(texts) or not found.shape[1] \
                or np.isinf(found).any():
            raise Failure("metric_embedding", f"For {len(texts)} texts the model gave no vectors "
                          f"(shape {found.shape}).", "Choose a model that makes vectors.")
        largest = np.abs(found).max(axis=1, keepdims=True)
        found = np.divide(found, largest, out=found, where=largest > 0)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(np.divide(found, lengths, out=found, where=lengths > 0))


def _nearest(prediction: Prediction, vectors: dict[str, Array]) -> float | None:
    if not (right := prediction.right):
        return None
    said = vectors.get(prediction.output)
    if said is None:
        return 0.0
    found = [float(said @ vectors[text]) for text in right]
    known = [min(1.0, max(-1.0, value)) for value in found if value == value]
    return max(known) if known else None

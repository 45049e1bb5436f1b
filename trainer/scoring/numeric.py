r"""Whether an answer gives the right number, as GSM8K asks (Cobbe et al. 2021, arXiv:2110.14168).

The answer's number is the last one of what stands after ``####``, in the last ``\boxed{}`` or,
without such a mark, in all of it; the reference's stands after ``####`` or is all of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from trainer.rewards.exact_answer import LOOKED_AT, after_mark
from trainer.rewards.numbers import Number, as_number, last_number
from trainer.scoring.predictions import Prediction
from trainer.scoring.scores import Metric, Scores, mean


class Numeric(Metric):
    """1 when the answer's number equals one of the references by value: 1,234.0 is 1234."""

    name = "numeric"

    def score(self, predictions: Sequence[Prediction]) -> list[Scores]:
        """Return ``numeric``; rows whose reference is no number are left out."""
        return [mean(self.name, predictions, [_one(p) for p in predictions], share=True)]

    def formed(self, prediction: Prediction) -> bool:
        """Tell whether there is a number in the answer."""
        return said_number(prediction.output) is not None


def _one(prediction: Prediction) -> float | None:
    right = [number for text in prediction.right if (number := right_number(text)) is not None]
    if not right:
        return None
    said = said_number(prediction.output)
    return float(said is not None and any(said.equals(number) for number in right))


def right_number(reference: str) -> Number | None:
    """Return the number that a reference gives; None when it is text."""
    marked = after_mark(reference)
    return as_number((reference if marked is None else marked).strip())


def said_number(output: str) -> Number | None:
    """Return the number that an answer ends with; None when there is none."""
    output = output[-LOOKED_AT:]
    marked = after_mark(output)
    return last_number(output if marked is None else marked)

"""Multiple choice by log-likelihood, as lm-evaluation-harness scores it (``acc``, ``acc_norm``).

``acc``: the right choice has the highest log-likelihood. ``acc_norm``: the highest per character
of the choice, so that long choices are not at a disadvantage (Gao et al., EleutherAI/
lm-evaluation-harness, ``docs/task_guide.md``; first in Brown et al. 2020, arXiv:2005.14165, 2.4).
Of equals the first is taken, as ``numpy.argmax`` does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from trainer.failures import Failure
from trainer.scoring.predictions import Prediction
from trainer.scoring.scores import Metric, Scores, mean


class MultipleChoice(Metric):
    """Whether the likeliest of the given choices is the right one."""

    name = "multiple_choice"

    def score(self, predictions: Sequence[Prediction]) -> list[Scores]:
        """Return ``acc`` and ``acc_norm``; rows without choices are left out.

        Raises:
            Failure: The right choice is not among them, or a log-likelihood is no number.
        """
        return [mean(name, predictions, [_one(p, norm) for p in predictions], share=True)
                for name, norm in (("acc", False), ("acc_norm", True))]


def _one(prediction: Prediction, norm: bool) -> float | None:
    choices, right = prediction.choices, prediction.right_choice
    if not choices or right is None:
        return None
    if not 0 <= right < len(choices):
        raise Failure("metric_choice", f"Row {prediction.row} says that choice {right} is right, "
                      f"counted from 0, and has {len(choices)}.")
    if any(math.isnan(choice.logprob) for choice in choices):
        raise Failure("metric_logprob", f"Row {prediction.row} has a log-likelihood that is no "
                      "number.")
    found = [c.logprob / max(len(c.text), 1) if norm else c.logprob for c in choices]
    return float(found.index(max(found)) == right)

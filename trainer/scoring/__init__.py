"""Scores of answers, how sure they are, and whether one model is better than another.

``make`` turns a name and options into a metric; ``intervals.summarise`` adds an interval to what
it returns, ``paired.compare`` holds two models against each other, ``mistakes.kind_of`` says in
what way an answer is wrong. Everything is a pure function of predictions; nothing imports torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from trainer.failures import Failure
from trainer.scoring.intervals import Measured, summarise
from trainer.scoring.mistakes import Mistake, kind_of
from trainer.scoring.paired import Comparison, compare
from trainer.scoring.predictions import Choice, Likelihood, Prediction
from trainer.scoring.scores import Metric, Scores

__all__ = ["METRICS", "Choice", "Comparison", "Likelihood", "Measured", "Metric", "Mistake",
           "Prediction", "Scores", "compare", "kind_of", "make", "score", "summarise"]

_CLASSES = {"exact_match": ("texts", "ExactMatch"), "contains": ("texts", "Contains"),
            "regex": ("texts", "Regex"), "numeric": ("numeric", "Numeric"),
            "json": ("structured", "Json"), "rouge": ("rouge", "Rouge"),
            "bleu": ("translation", "Bleu"), "chrf": ("translation", "Chrf"),
            "classification": ("classes", "Classification"),
            "likelihood": ("likelihoods", "LikelihoodMetric"),
            "multiple_choice": ("choices", "MultipleChoice"),
            "tool_calls": ("tool_calls", "ToolCalls"), "code": ("code", "Code"),
            "embedding": ("embedding", "Embedding"), "python": ("python_file", "PythonFile")}
METRICS = tuple(_CLASSES)


def make(name: str, **options: Any) -> Metric:
    """Return the metric of a name.

    Raises:
        Failure: There is no such metric or option, or its package is not installed.
    """
    if name not in _CLASSES:
        raise Failure("metric_unknown", f"There is no metric '{name}'.",
                      f"Choose of: {', '.join(METRICS)}.")
    module, title = _CLASSES[name]
    kind = getattr(import_module(f"{__name__}.{module}"), title)
    try:
        inspect.signature(kind).bind(**options)
    except TypeError as error:
        raise Failure("metric_option", f"The metric '{name}' cannot be made: {error}.",
                      "docs/metrics.md has the options of each.") from None
    metric: Metric = kind(**options)
    return metric


def score(metrics: Sequence[Metric], predictions: Sequence[Prediction]) -> list[Scores]:
    """Return the scores of several metrics of the same predictions.

    Raises:
        Failure: Two predictions are of the same row, or a metric cannot read one.
    """
    if len({p.row for p in predictions}) != len(predictions):
        raise Failure("metric_rows", "Two predictions are of the same row.",
                      "Give one prediction a row.")
    return [scores for metric in metrics for scores in metric.score(predictions)]

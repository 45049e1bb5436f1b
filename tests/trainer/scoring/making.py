"""Predictions for tests."""

from __future__ import annotations

from typing import Any

from trainer.scoring import Prediction, Scores, make


def said(*pairs: tuple[str, Any], **more: Any) -> list[Prediction]:
    """Return predictions of (output, reference or references), rows from 1."""
    return [Prediction(row, "?", output, (right,) if isinstance(right, str) else tuple(right),
                       **more) for row, (output, right) in enumerate(pairs, 1)]


def only(name: str, predictions: list[Prediction], **options: Any) -> Scores:
    """Return the one score of a metric."""
    [scores] = make(name, **options).score(predictions)
    return scores


def values(scores: Scores) -> list[float | None]:
    """Return the scores of rows, None where one was left out."""
    return [None if value != value else float(value) for value in scores.values]

"""Whether an answer is JSON, and whether a schema allows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainer.rewards.json_schema import Schema, parse_answer
from trainer.scoring.predictions import Prediction
from trainer.scoring.scores import Metric, Scores, mean, needs_package


class Json(Metric):
    """1 when the whole answer is JSON (RFC 8259); a code fence may be around it.

    With a schema also whether that allows it: the reward ``json_schema`` decides.
    """

    name = "json"

    def __init__(self, *, schema: Any = None) -> None:
        """Prepare a schema, already parsed; None asks for JSON only.

        Raises:
            Failure: The package jsonschema is missing, or this is no schema.
        """
        try:
            self._schema = None if schema is None else Schema(schema)
        except ImportError:
            raise needs_package("jsonschema") from None

    def score(self, predictions: Sequence[Prediction]) -> list[Scores]:
        """Return ``json_valid``, and ``json_schema`` where there is a schema."""
        allowed = [float(self._schema.allows(p.output)) for p in predictions] \
            if self._schema else [0.0] * len(predictions)
        # What the schema allows is JSON, and need not be read again.
        valid = [float(yes == 1 or is_json(p.output))
                 for yes, p in zip(allowed, predictions, strict=True)]
        found = [mean("json_valid", predictions, valid, share=True)]
        if self._schema:
            found.append(mean("json_schema", predictions, allowed, share=True))
        return found

    def formed(self, prediction: Prediction) -> bool:
        """Tell whether the answer is JSON, and allowed by the schema."""
        return self._schema.allows(prediction.output) if self._schema \
            else is_json(prediction.output)


def is_json(text: str) -> bool:
    """Tell whether a text is one JSON value, perhaps in a code fence; NaN and Infinity are not."""
    try:
        parse_answer(text)
    except (ValueError, RecursionError):
        return False
    return True

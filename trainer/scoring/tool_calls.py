"""Whether the right tools were called, and with the right arguments.

Calls are compared by structure as in the Berkeley Function Calling Leaderboard (Patil et al. 2025):
the same calls in any order, arguments equal as JSON values. 1 equals 1.0, true does not equal 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainer.data.reading.rows import RowError
from trainer.data.shapes.toolcalls import parse_call_text, parse_calls
from trainer.failures import Failure
from trainer.scoring.predictions import Prediction
from trainer.scoring.scores import Metric, Scores, mean


class ToolCalls(Metric):
    """Whether an answer's calls are the right ones; where none is right, that none is made."""

    name = "tool_calls"

    def __init__(self, *, ordered: bool = False) -> None:
        """Say whether the order of calls counts."""
        self._ordered = ordered

    def score(self, predictions: Sequence[Prediction]) -> list[Scores]:
        """Return ``tool_name`` (the names are right) and ``tool_call`` (arguments as well).

        Rows without expected calls are left out; a call that cannot be read is wrong.

        Raises:
            Failure: A row's expected calls are no calls.
        """
        pairs = [self._one(p) for p in predictions]
        return [mean(name, predictions, [pair[place] for pair in pairs], share=True)
                for place, name in enumerate(("tool_name", "tool_call"))]

    def formed(self, prediction: Prediction) -> bool:
        """Tell whether there is a call that can be read."""
        return bool(_said(prediction))

    def _one(self, prediction: Prediction) -> tuple[float | None, float | None]:
        if prediction.expected_calls is None:
            return None, None
        try:
            wanted = _plain(parse_calls(list(prediction.expected_calls), "expected_calls"))
        except RowError as error:
            raise Failure("metric_calls", f"Row {prediction.row} {error}.") from None
        said = _said(prediction)
        if said is None:
            return 0.0, 0.0
        if not self._ordered:
            wanted, said = sorted(wanted), sorted(said)
        names = [name for name, _ in said] == [name for name, _ in wanted]
        return float(names), float(said == wanted)


def _said(prediction: Prediction) -> list[tuple[str, str]] | None:
    """Return the calls that were made; None when one of them cannot be read."""
    try:
        if prediction.calls is not None:
            return _plain(parse_calls(list(prediction.calls), "calls"))
    except (RowError, RecursionError):
        return None
    if prediction.output.lstrip()[:1] not in ("{", "["):
        return []
    try:
        return _plain(parse_call_text(prediction.output, "output"))
    except (RowError, RecursionError):
        return []


def _plain(calls: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return (name, arguments as text that is equal when the arguments are)."""
    return [(call["function"]["name"], _canonical(call["function"]["arguments"]))
            for call in calls]


def _canonical(value: Any) -> str:
    if isinstance(value, dict):
        inner = ((repr(key), _canonical(item)) for key, item in value.items())
        return "{" + ",".join(f"{key}:{item}" for key, item in sorted(inner)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_canonical, value)) + "]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return repr(value)

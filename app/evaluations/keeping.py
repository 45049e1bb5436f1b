"""Whether training has cost something: the same tasks before and after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from app.runs import Run
from trainer.contract.chances import together, verdict
from trainer.contract.kinds.evaluation import (
    Compared,
    EvaluationReport,
    Result,
    Source,
    Verdict,
    read_report,
)
from trainer.contract.rundir import RunDir

# Half of a 95 % interval, in standard errors.
_WIDTH = 1.959964


@dataclass(frozen=True)
class Kept:
    """One score before and after training.

    Attributes:
        before, after: Of the base and of what was trained.
        difference: ``after`` - ``before``, with its interval where that is known.
        p_adjusted: Chance of such a difference between equal models, all of the list told
            together.
        verdict: Of the trained model: 'worse' is what was forgotten.
        share: The scores are shares of rows that are right.
        paired: Whether both answered the same rows in one evaluation; else the intervals of two
            evaluations are compared, which sees only larger differences.
        runs: The evaluations that it is known from.
    """

    dataset: str
    metric: str
    source: Source
    before: float
    after: float
    difference: float
    low: float | None
    high: float | None
    p_value: float | None
    p_adjusted: float | None
    verdict: Verdict
    paired: bool
    n: int
    runs: tuple[str, ...]
    higher_is_better: bool = True
    share: bool = False

    def document(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        return asdict(self)


def forgetting(runs: Sequence[Run], tuned: str, base: str) -> list[Kept]:
    """Return what was measured of a trained model and of its base, what was lost most first.

    Args:
        runs: Evaluations, of any models; newer ones win.
        tuned: The trained model's name in them.
        base: The base's.
    """
    reports = [(run, report) for run in sorted(runs, key=lambda one: one.created_at, reverse=True)
               if (report := read_report(RunDir(run.dir))) is not None]
    found: dict[tuple[str, str], Kept] = {}
    for run, report in reports:
        for one in report.comparisons:
            key = (one.dataset, one.metric)
            if key not in found and {one.a, one.b} == {tuned, base} \
                    and (kept := _paired(run, report, one, tuned)) is not None:
                found[key] = kept
    before, after = _measured(reports, base), _measured(reports, tuned)
    for key in before.keys() & after.keys():
        if key not in found and (kept := _apart(before[key], after[key])) is not None:
            found[key] = kept
    return sorted(_together(list(found.values())), key=_loss)


def _paired(run: Run, report: EvaluationReport, one: Compared, tuned: str) -> Kept | None:
    """Return a comparison of one evaluation, turned so that the trained model comes second."""
    values = {result.model: result for result in report.results
              if (result.dataset, result.metric) == (one.dataset, one.metric)}
    turned = one.a == tuned
    before, after = (one.b, one.a) if turned else (one.a, one.b)
    if any(model not in values or values[model].value is None for model in (before, after)):
        return None
    ends = (one.low, one.high) if not turned else (_minus(one.high), _minus(one.low))
    return Kept(one.dataset, one.metric, one.source, _value(values[before]),
                _value(values[after]), -one.difference if turned else one.difference, *ends,
                one.p_value, None, "unclear", True, one.n, (run.id,),
                values[after].higher_is_better, values[after].share)


_Measured = tuple[Run, Result]


def _measured(reports: Sequence[tuple[Run, EvaluationReport]],
              model: str) -> dict[tuple[str, str], _Measured]:
    """Return the newest result of a model for what was measured."""
    found: dict[tuple[str, str], _Measured] = {}
    for run, report in reports:
        for one in report.results:
            if one.model == model and one.value is not None:
                found.setdefault((one.dataset, one.metric), (run, one))
    return found


def _apart(first: _Measured, second: _Measured) -> Kept | None:
    """Compare results of two evaluations by their intervals; None where they are not alike.

    The intervals are taken as those of normal distributions, and the rows as drawn twice: where
    they were the same, the chance that is told is too high, never too low.
    """
    (run, before), (later, after) = first, second
    if (before.n, before.detail) != (after.n, after.detail) or run.id == later.id:
        return None
    difference = _value(after) - _value(before)
    errors = [_error(one) for one in (before, after)]
    low = high = chance = None
    if errors[0] is not None and errors[1] is not None:
        error = math.hypot(errors[0], errors[1])
        low, high = difference - _WIDTH * error, difference + _WIDTH * error
        chance = math.erfc(abs(difference) / error / math.sqrt(2)) if error else \
            float(not difference)
    return Kept(after.dataset, after.metric, after.source, _value(before), _value(after),
                difference, low, high, chance, None, "unclear", False, after.n,
                (run.id, later.id), after.higher_is_better, after.share)


def _error(one: Result) -> float | None:
    return None if one.low is None or one.high is None else (one.high - one.low) / (2 * _WIDTH)


def _together(found: list[Kept]) -> list[Kept]:
    """Say of each what can be said when all are told together."""
    chances = together([one.p_value for one in found])
    return [replace(one, p_adjusted=chance, verdict=verdict(
        one.difference, chance, higher_is_better=one.higher_is_better))
        for one, chance in zip(found, chances, strict=True)]


def _loss(one: Kept) -> tuple[int, float, str]:
    """Sort what is surely lost first, then by how much, each by the size of what was before."""
    gain = one.difference if one.higher_is_better else -one.difference
    return (("worse", "unclear", "better").index(one.verdict),
            gain / (abs(one.before) or 1.0), f"{one.dataset} {one.metric}")


def _value(one: Result) -> float:
    assert one.value is not None
    return one.value


def _minus(value: float | None) -> float | None:
    return None if value is None else -value

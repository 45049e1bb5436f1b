"""Models by what was measured of them, of one evaluation or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from app.runs import Run
from trainer.contract.kinds.evaluation import (
    Compared,
    EvaluationReport,
    Result,
    Source,
    Verdict,
    read_report,
)
from trainer.contract.rundir import RunDir


@dataclass(frozen=True)
class Change:
    """A model's score beside that of the first model of its evaluation.

    Attributes:
        against: The first model.
        difference: This model's score minus the first one's; ``low`` and ``high`` its interval.
        p_adjusted: Chance of such a difference between equal models, all comparisons of the
            evaluation told together.
        verdict: 'better', 'worse' or 'unclear'.
    """

    against: str
    difference: float
    low: float | None
    high: float | None
    p_value: float
    p_adjusted: float
    verdict: Verdict
    test: str = ""


@dataclass(frozen=True)
class Cell:
    """One score of one model, and how it was found; ``best`` of its column, equals together."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    left_out: int
    detail: str
    run: str
    change: Change | None = None
    best: bool = False


@dataclass(frozen=True)
class Column:
    """What was measured: a metric at a dataset, or at a benchmark's task."""

    dataset: str
    metric: str
    source: Source = "data"
    share: bool = False
    higher_is_better: bool = True


@dataclass(frozen=True)
class Matrix:
    """Models by what was measured; what was not measured of a model has no cell."""

    models: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    cells: dict[tuple[str, str, str], Cell] = field(default_factory=dict)

    def cell(self, model: str, column: Column) -> Cell | None:
        """Return a model's cell; None where it was not measured."""
        return self.cells.get((model, column.dataset, column.metric))

    def document(self) -> dict[str, Any]:
        """Return it as REST shows it: a cell names its model and what was measured."""
        return {"models": list(self.models), "columns": [asdict(one) for one in self.columns],
                "cells": [{"model": model, "dataset": dataset, "metric": metric, **asdict(cell)}
                          for (model, dataset, metric), cell in self.cells.items()]}


def matrix(runs: Sequence[Run]) -> Matrix:
    """Put the results of one or several evaluations together; the newest wins.

    Models and columns are in the order in which the newest evaluation has them, then what only
    older ones have. Runs without a report are passed by.
    """
    models: dict[str, None] = {}
    columns: dict[tuple[str, str], Column] = {}
    cells: dict[tuple[str, str, str], Cell] = {}
    for run in sorted(runs, key=lambda one: one.created_at, reverse=True):
        report = read_report(RunDir(run.dir))
        if report is None:
            continue
        models |= dict.fromkeys(report.models)
        changes = _changes(report)
        for one in report.results:
            key = (one.model, one.dataset, one.metric)
            columns.setdefault((one.dataset, one.metric), Column(
                one.dataset, one.metric, one.source, one.share, one.higher_is_better))
            cells.setdefault(key, _cell(one, run, changes.get(key)))
    return _with_best(Matrix(tuple(models), tuple(columns.values()), cells))


def _cell(found: Result, run: Run, compared: Compared | None) -> Cell:
    change = None if compared is None else Change(
        compared.a, compared.difference, compared.low, compared.high, compared.p_value,
        compared.p_adjusted, compared.verdict, compared.test)
    return Cell(found.value, found.low, found.high, found.n, found.left_out, found.detail, run.id,
                change)


def _changes(report: EvaluationReport) -> dict[tuple[str, str, str], Compared]:
    """Return the comparisons with the first model by the other one."""
    return {(one.b, one.dataset, one.metric): one for one in report.comparisons
            if one.a == report.models[0]}


def _with_best(found: Matrix) -> Matrix:
    """Mark the best value of each column with several."""
    cells = dict(found.cells)
    for column in found.columns:
        keys = [(model, column.dataset, column.metric) for model in found.models]
        values = {key: value for key in keys
                  if key in cells and (value := cells[key].value) is not None}
        if len(values) < 2:
            continue
        top = (max if column.higher_is_better else min)(values.values())
        for key, value in values.items():
            if value == top:
                cells[key] = replace(cells[key], best=True)
    return Matrix(found.models, found.columns, cells)

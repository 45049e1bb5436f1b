"""What evaluations have found of a run, as its model card tells it; newest first, not too much."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.contract.kinds.evaluation import Compared, Result, read_report, report_file
from trainer.contract.rundir import RunDir

# Reports that are read, and scores that are told.
MOST_REPORTS, MOST_SCORES = 100, 40


@dataclass(frozen=True)
class Score:
    """A score of the run, and how it compares with the first model of its evaluation."""

    found: Result
    compared: Compared | None


def scores_of(run: RunDir) -> list[Score]:
    """Return what evaluations beside a run have found of it, each measure once, newest first."""
    found: dict[tuple[str, str], Score] = {}
    for folder in _newest(run.path.parent):
        report = read_report(folder)
        if report is None or run.id not in report.models:
            continue
        beside = {(one.dataset, one.metric): one for one in report.comparisons
                  if one.b == run.id and one.a == report.models[0]}
        for one in report.results:
            if one.model == run.id and one.value is not None:
                key = (one.dataset, one.metric)
                found.setdefault(key, Score(one, beside.get(key)))
    return list(found.values())[:MOST_SCORES]


def _newest(runs: Path) -> Iterator[RunDir]:
    """Yield the folders with a report, newest first."""
    dated = []
    for folder in runs.iterdir() if runs.is_dir() else ():
        try:
            dated.append((report_file(RunDir(folder)).stat().st_mtime_ns, folder))
        except OSError:
            continue
    yield from (RunDir(folder) for _, folder in sorted(dated, reverse=True)[:MOST_REPORTS])


def rows(scores: Sequence[Score]) -> Iterator[tuple[str, ...]]:
    """Yield a line of the card's table for each score; names may be paths."""
    for one in scores:
        found = one.found
        between = "" if found.low is None or found.high is None else \
            f"{_number(found.low, found)} to {_number(found.high, found)}"
        assert found.value is not None
        yield (found.dataset, found.metric, _number(found.value, found), between,
               f"{found.n:,}", *_beside(one))


def _beside(one: Score) -> tuple[str, str]:
    if one.compared is None:
        return "", ""
    return one.compared.a, (f"{_number(one.compared.difference, one.found, sign=True)} "
                            f"({one.compared.verdict})")


def _number(value: float, found: Result, *, sign: bool = False) -> str:
    if found.share:
        return f"{100 * value:{'+' if sign else ''}.1f} %"
    return f"{value:{'+' if sign else ''}.4g}"


def model_index(name: str, task: str, named: Sequence[tuple[str, Score]]) -> list[dict[str, Any]]:
    """Return the scores as the hub reads them (https://huggingface.co/docs/hub/model-cards).

    Args:
        name: Of the model.
        task: Such as 'text-generation'.
        named: Each score with its dataset's name as others may read it.
    """
    results = []
    for dataset, one in named:
        metric = {"type": one.found.metric.partition(",")[0], "value": one.found.value,
                  "name": one.found.metric}
        same = next((known for known in results if known["dataset"]["name"] == dataset), None)
        if same is None:
            same = {"task": {"type": task}, "dataset": {"type": _type(dataset), "name": dataset},
                    "metrics": []}
            results.append(same)
        same["metrics"].append(metric)
    return [{"name": name, "results": results}]


def _type(dataset: str) -> str:
    """Return a dataset's name as an identifier."""
    return re.sub(r"[^A-Za-z0-9._/-]+", "-", dataset).strip("-") or "custom"

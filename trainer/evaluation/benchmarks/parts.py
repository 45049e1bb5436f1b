"""What lm-evaluation-harness has found, as the report's results and as scores of rows.

A score's sums are taken only where they give lm-eval's own number again: whatever is told of rows
then agrees with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trainer.contract.kinds.evaluation import Result
from trainer.scoring.intervals import summarise
from trainer.scoring.scores import Array, Formula, Scores, ratio

# Rows of one task of a group; those of the next one follow.
_STRIDE = 10**7
_NO_SCORES = ("alias", "name", "sample_len", "sample_count")


def _perplexity(sums: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.exp(-ratio(sums))


def _bits(sums: Array) -> Array:
    return -ratio(sums) / math.log(2)


FORMULAS: dict[str, Formula] = {"mean": ratio, "perplexity": _perplexity, "bits": _bits}


@dataclass(frozen=True, eq=False)
class Rows:
    """What a score is made of, as it is kept.

    Attributes:
        rows: (N,) numbers of rows.
        sums: (N, 2), what is added up.
        formula: One of ``FORMULAS``.
    """

    rows: list[int]
    sums: list[list[float]]
    formula: str

    def scores(self, result: Result) -> Scores:
        """Return them as the metrics' own kind."""
        sums = np.array(self.sums, dtype=np.float64).reshape(-1, 2)
        values = FORMULAS[self.formula](sums)
        return Scores(result.metric, np.array(self.rows, dtype=np.int64), values, sums,
                      FORMULAS[self.formula], share=result.share,
                      higher_is_better=result.higher_is_better, detail=result.detail)

    def dump(self) -> dict[str, Any]:
        """Return them as JSON values."""
        return {"rows": self.rows, "sums": self.sums, "formula": self.formula}


@dataclass(frozen=True, eq=False)
class Part:
    """One score of a task or a group; ``asked`` where the config names it, so it is compared."""

    result: Result
    rows: Rows | None = None
    asked: bool = True

    def dump(self) -> dict[str, Any]:
        """Return it as JSON values; rows only of what is compared."""
        kept = self.rows.dump() if self.rows and self.asked else None
        return {"result": self.result.model_dump(mode="json"), "rows": kept, "asked": self.asked}

    @classmethod
    def load(cls, document: Mapping[str, Any]) -> Part:
        """Read what ``dump`` wrote; KeyError and ValueError where it is something else."""
        rows = document["rows"]
        return cls(Result.model_validate(document["result"]),
                   Rows(rows["rows"], rows["sums"], rows["formula"]) if rows else None,
                   bool(document["asked"]))


@dataclass(frozen=True)
class Told:
    """What one call of lm-eval returned.

    Attributes:
        model: As the config names it.
        results: Of lm-eval.
        groups: Names of groups to the tasks in them.
        notes: Name of a task to what is said of how it was asked.
        seed: Of the bootstrap.
    """

    model: str
    results: Mapping[str, Any]
    groups: Mapping[str, Sequence[str]]
    notes: Mapping[str, str]
    seed: int

    def parts(self) -> list[Part]:
        """Return every score of tasks, then those of groups; what is in a group is not compared."""
        tasks = {name: list(self._of_task(name)) for name in self.results["samples"]}
        groups = [self._of_group(name, tasks) for name in self.groups]
        scored = {part.result.dataset for parts in groups for part in parts}
        inside = {task for name in scored for task in self.groups[name]}
        inside |= {name for name in scored if any(
            set(self.groups[name]) < set(self.groups[other]) for other in scored)}
        found = [part for parts in (*groups, *tasks.values()) for part in parts]
        return [replace(part, asked=part.result.dataset not in inside) for part in found]

    def _of_task(self, name: str) -> Iterator[Part]:
        samples = self.results["samples"][name]
        for metric, filtered, value in _values(self.results["results"][name]):
            some = [one for one in samples if one["filter"] == filtered and metric in one]
            rows = _rows([int(one["doc_id"]) + 1 for one in some],
                         [one[metric] for one in some], value)
            yield self._part(name, (metric, filtered), value, (rows, len(some)))

    def _of_group(self, name: str, tasks: Mapping[str, list[Part]]) -> list[Part]:
        found = []
        for metric, filtered, value in _values(self.results["results"].get(name, {})):
            title = _title(metric, filtered)
            pieces = [part for task in self.groups[name] for part in tasks.get(task, [])
                      if part.result.metric == title]
            rows = _pooled([part.rows for part in pieces], value)
            count = sum(part.result.n for part in pieces)
            found.append(self._part(name, (metric, filtered), value, (rows, count)))
        return found

    def _part(self, name: str, which: tuple[str, str], value: float,
              made: tuple[Rows | None, int]) -> Part:
        rows, count = made
        higher = self.results["higher_is_better"].get(name, {}).get(which[0])
        share = bool(rows and rows.formula == "mean"
                     and all(one in ([0.0, 1.0], [1.0, 1.0]) for one in rows.sums))
        result = Result(model=self.model, dataset=name, metric=_title(*which), n=count,
                        value=value if math.isfinite(value) else None, share=share,
                        higher_is_better=higher is not False, source="benchmark",
                        detail=self._detail(name, rows))
        if rows is None or not rows.rows:
            return Part(result)
        measured = summarise([rows.scores(result)], seed=self.seed)[0]
        ends = {"low": measured.low, "high": measured.high}
        return Part(result.model_copy(update={
            key: end if math.isfinite(end) else None for key, end in ends.items()}), rows)

    def _detail(self, name: str, rows: Rows | None) -> str:
        shots = self.results["n-shot"].get(name)
        texts = [f"{shots} examples" if isinstance(shots, int) else "", self.notes.get(name, "")]
        if rows and rows.formula == "mean" and len(rows.rows) > 1 \
                and all(weight == 1 for _, weight in rows.sums):
            values = np.array([value for value, _ in rows.sums])
            texts.append(f"stderr {values.std(ddof=1) / math.sqrt(len(values)):.4f}")
        return ", ".join(text for text in texts if text)


def _title(metric: str, filtered: str) -> str:
    return metric if filtered == "none" else f"{metric},{filtered}"


def _values(scores: Mapping[str, Any]) -> Iterator[tuple[str, str, float]]:
    """Yield (metric, filter, value) of lm-eval's scores of one task."""
    for key, value in scores.items():
        metric, _, filtered = key.partition(",")
        if key in _NO_SCORES or not filtered or metric.endswith("_stderr") \
                or isinstance(value, str):
            continue
        yield metric, filtered, float(value)


def _rows(numbers: list[int], items: list[Any], value: float) -> Rows | None:
    """Return what a score is made of; None where it is more than sums over rows."""
    ways: tuple[tuple[str, Callable[[Any], list[float]]], ...] = (
        ("mean", lambda item: [float(item), 1.0]),
        ("mean", lambda item: [float(sum(item)), float(len(item))]),
        ("perplexity", lambda item: [float(item), 1.0]),
        ("perplexity", lambda item: [float(item[0]), float(item[1])]),
        ("bits", lambda item: [float(item[0]), float(item[1])]))
    for formula, sums_of in ways:
        try:
            rows = Rows(numbers, [sums_of(item) for item in items], formula)
        except (TypeError, ValueError, IndexError):
            continue
        if _gives(rows, value):
            return rows
    return None


def _pooled(several: Sequence[Rows | None], value: float) -> Rows | None:
    """Return the rows of a group's tasks as one, where the group's score is made of them."""
    known = [rows for rows in several if rows is not None]
    if not known or len(known) < len(several) or len({rows.formula for rows in known}) > 1:
        return None
    rows = Rows([place * _STRIDE + row for place, some in enumerate(known) for row in some.rows],
                [one for some in known for one in some.sums], known[0].formula)
    return rows if _gives(rows, value) else None


def _gives(rows: Rows, value: float) -> bool:
    sums = np.array(rows.sums, dtype=np.float64).reshape(-1, 2)
    if not np.isfinite(sums).all() or not len(sums):
        return False
    again = float(FORMULAS[rows.formula](sums.sum(axis=0)))
    return math.isclose(again, value, rel_tol=1e-9, abs_tol=1e-12)

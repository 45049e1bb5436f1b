"""Rows of an evaluation with the answers to them, the worst or the most changed first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from app.evaluations.predictions import (
    Index,
    Line,
    Lines,
    having,
    index_of,
    number_of,
    opened,
    text_of,
)
from app.evaluations.reports import predictions_file, report_of
from app.runs import Run, RunError
from trainer.contract.kinds.evaluation import EvaluationReport, Result

Order = Literal["worst", "changed", "row"]
Only = Literal["all", "right", "wrong", "gained", "lost"]


@dataclass(frozen=True)
class RowQuery:
    """Which rows are wanted.

    Attributes:
        dataset: As the report names it; '' is the first one with answers.
        metric: A score's name, such as 'numeric'; '' is the dataset's first one.
        models: One or two; none takes the first model and the last. Of two, the second is looked
            at beside the first.
        order: 'worst' has the worst score of the last of ``models`` first, 'changed' the largest
            difference of two, 'row' the dataset's order.
        mistake: Only wrong answers of this kind, of the last of ``models``; '' for any.
        only: 'right' and 'wrong' by the last of ``models``; 'gained' and 'lost' where it is better
            or worse than the first.
        search: Only rows in whose prompt, reference or answers this stands, whatever the case.
        offset, limit: Which part of what is found.
        longest: Characters of each text; what is longer is cut.
    """

    dataset: str = ""
    metric: str = ""
    models: tuple[str, ...] = ()
    order: Order = "worst"
    mistake: str = ""
    only: Only = "all"
    search: str = ""
    offset: int = 0
    limit: int = 50
    longest: int = 20_000


@dataclass(frozen=True)
class Answer:
    """What a model said to a row; ``mistake`` '' when nothing is wrong."""

    model: str
    prediction: str
    score: float | None
    mistake: str
    finish_reason: str
    tokens: int


@dataclass(frozen=True)
class ScoredRow:
    """A row and its answers; ``cut`` when a text is longer than was asked for."""

    row: int
    dataset: str
    prompt: str
    reference: str
    answers: tuple[Answer, ...]
    cut: bool = False


@dataclass(frozen=True)
class RowPage:
    """A part of the rows that were found, ``total`` in all; the rest says what was looked at."""

    total: int
    rows: tuple[ScoredRow, ...]
    dataset: str
    metric: str
    models: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        return asdict(self)


@dataclass(frozen=True)
class Histogram:
    """How many answers of each model have which score; bin i is ``edges[i]`` to the next."""

    dataset: str
    metric: str
    edges: tuple[float, ...]
    counts: dict[str, list[int]]

    def document(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        return asdict(self)


def rows(run: Run, query: RowQuery) -> RowPage:
    """Return rows of an evaluation.

    Raises:
        RunError: There is no report ('no_evaluation'), or it has not what the query names
            ('not_evaluated').
    """
    report = report_of(run)
    looked = _look(run, report, query)
    paths = [predictions_file(run, report, model) for model in looked.models]
    chosen = [one for one in _joined(looked) if _wanted(looked, query, one)]
    if query.search:
        held = [having(path, query.search) for path in paths]
        chosen = [one for one in chosen if _holds(one, held)]
    part = _order(looked, query, chosen)[query.offset:query.offset + query.limit]
    with opened(paths) as files:
        shown = _Texts(looked, files, query.longest)
        found = tuple(shown.row(one) for one in part)
    return RowPage(len(chosen), found, looked.dataset, looked.metric, looked.models)


def histogram(run: Run, dataset: str = "", metric: str = "", bins: int = 20) -> Histogram:
    """Count the scores of each model's answers; from 0 to 1 where all of them lie there.

    Raises:
        RunError: As ``rows``.
    """
    report = report_of(run)
    models = tuple(model for model in report.models if model in report.predictions)
    looked = _look(run, report, RowQuery(dataset, metric), models)
    values = {model: [value for at in index.of(looked.dataset)
                      if (value := index.score(looked.metric, at)) is not None]
              for model, index in zip(models, looked.indexes, strict=True)}
    every = [value for found in values.values() for value in found if math.isfinite(value)]
    low, high = min([0.0, *every]), max([1.0, *every])
    edges = tuple(low + (high - low) * at / bins for at in range(bins + 1))
    counts = {model: _counted(found, low, high, bins) for model, found in values.items()}
    return Histogram(looked.dataset, looked.metric, edges, counts)


def _counted(values: Sequence[float], low: float, high: float, bins: int) -> list[int]:
    counts = [0] * bins
    for value in values:
        if math.isfinite(value):
            counts[min(bins - 1, int((value - low) / (high - low) * bins))] += 1
    return counts


@dataclass(frozen=True)
class _Looked:
    """What a query looks at; ``top`` is the score of an answer that is right."""

    dataset: str
    metric: str
    models: tuple[str, ...]
    indexes: tuple[Index, ...]
    higher_is_better: bool
    top: float


@dataclass(frozen=True)
class _Found:
    """A row: the place of its line in each model's file, None where it has none, and the scores."""

    row: int
    places: tuple[int | None, ...]
    scores: tuple[float | None, ...]


def _look(run: Run, report: EvaluationReport, query: RowQuery,
          models: tuple[str, ...] = ()) -> _Looked:
    models = models or _models(run, report, query)
    indexes = tuple(index_of(predictions_file(run, report, model)) for model in models)
    known = list(dict.fromkeys(name for index in indexes for name in index.datasets))
    ordered = sorted(known, key=lambda name: report.datasets.index(name)
                     if name in report.datasets else len(report.datasets))
    dataset = _named(run, "dataset", query.dataset, ordered)
    measured = {one.metric: one for one in report.results if one.dataset == dataset}
    scored = {name for index in indexes for name in index.scores}
    metrics = [name for name in measured if name in scored]
    metrics += sorted(scored - set(metrics))
    metric = _named(run, "metric", query.metric, metrics)
    result: Result | None = measured.get(metric)
    top = 100.0 if metric in ("bleu", "chrf") else 1.0
    return _Looked(dataset, metric, models, indexes, result is None or result.higher_is_better,
                   top)


def _models(run: Run, report: EvaluationReport, query: RowQuery) -> tuple[str, ...]:
    known = [model for model in report.models if model in report.predictions]
    if not query.models:
        return tuple(dict.fromkeys((*known[:1], *known[-1:]))) or (_named(run, "model", "", []),)
    return tuple(_named(run, "model", model, known) for model in query.models[:2])


def _named(run: Run, what: str, name: str, known: Sequence[str]) -> str:
    """Return a name that is known, the first for ''."""
    if name in known:
        return name
    if known and not name:
        return known[0]
    raise RunError("not_evaluated", f"The evaluation '{run.id}' has no answers with the {what} "
                   f"'{name[:200]}'." if name else f"The evaluation '{run.id}' has no answers to "
                   "rows.", "What it has is in its document.")


def _joined(looked: _Looked) -> Iterator[_Found]:
    """Yield each row that a model has answered, in the dataset's order."""
    places = [{index.rows[at]: at for at in index.of(looked.dataset)}
              for index in looked.indexes]
    for row in sorted(set().union(*places)):
        at = tuple(one.get(row) for one in places)
        yield _Found(row, at, tuple(
            None if place is None else index.score(looked.metric, place)
            for index, place in zip(looked.indexes, at, strict=True)))


def _wanted(looked: _Looked, query: RowQuery, found: _Found) -> bool:
    if query.mistake:
        place = found.places[-1]
        if place is None or looked.indexes[-1].kind(place) != query.mistake:
            return False
    score, change = found.scores[-1], _change(looked, found)
    tests: dict[Only, bool] = {
        "all": True,
        "right": score is not None and looked.higher_is_better and score >= looked.top,
        "wrong": score is not None and not (looked.higher_is_better and score >= looked.top),
        "gained": change is not None and change > 0,
        "lost": change is not None and change < 0}
    return tests[query.only]


def _holds(found: _Found, held: Sequence[bytes]) -> bool:
    """Tell whether what is searched for stands in a row, by ``having`` of each model's file."""
    return any(place is not None and place < len(one) and one[place]
               for place, one in zip(found.places, held, strict=True))


def _change(looked: _Looked, found: _Found) -> float | None:
    """Return how much better the second model is at a row."""
    if len(found.scores) < 2 or found.scores[0] is None or found.scores[1] is None:
        return None
    difference = found.scores[1] - found.scores[0]
    return difference if looked.higher_is_better else -difference


def _order(looked: _Looked, query: RowQuery, found: list[_Found]) -> list[_Found]:
    """Sort rows; what has no score comes last, and equals stay in the dataset's order."""
    def worst(one: _Found) -> float:
        score = one.scores[-1]
        return math.inf if score is None else score if looked.higher_is_better else -score

    def changed(one: _Found) -> float:
        change = _change(looked, one)
        return math.inf if change is None else -abs(change)

    keys: dict[Order, Callable[[_Found], float]] = {
        "worst": worst, "changed": changed, "row": lambda one: 0.0}
    return sorted(found, key=keys[query.order])


class _Texts:
    """Reads what stands in the files of rows."""

    def __init__(self, looked: _Looked, files: Sequence[Lines | None], longest: int) -> None:
        self._looked, self._files, self._longest = looked, files, longest

    def row(self, found: _Found) -> ScoredRow:
        """Return a row with its answers."""
        lines = self._lines(found)
        whole: Line = next((line for line in lines if line), {})
        asked = [text_of(whole.get(name)) for name in ("prompt", "reference")]
        said = [self._answer(at, line) for at, line in enumerate(lines) if line]
        texts = [*asked, *(text_of((line or {}).get("prediction")) for line in lines)]
        return ScoredRow(found.row, self._looked.dataset, asked[0][:self._longest],
                         asked[1][:self._longest], tuple(said),
                         any(len(text) > self._longest for text in texts))

    def _answer(self, at: int, line: Line) -> Answer:
        scores = line.get("score")
        score = number_of(scores.get(self._looked.metric) if isinstance(scores, dict) else None)
        tokens = line.get("tokens")
        return Answer(
            self._looked.models[at], text_of(line.get("prediction"))[:self._longest],
            score if math.isfinite(score) else None,
            text_of(line.get("mistake")), text_of(line.get("finish_reason")),
            tokens if isinstance(tokens, int) else 0)

    def _lines(self, found: _Found) -> list[Line | None]:
        return [None if file is None or place is None else file.at(place)
                for file, place in zip(self._files, found.places, strict=True)]

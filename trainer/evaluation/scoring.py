"""From answers to scores, intervals, comparisons and mistakes; what fails is said and left out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from trainer.contract.chances import together, verdict
from trainer.contract.kinds.evaluation import Compared, MistakeCount, Result, Source
from trainer.evaluation.seam import Ask, Said
from trainer.failures import Failure
from trainer.scoring import Comparison, Measured, Metric, Prediction, Scores, compare
from trainer.scoring.mistakes import Mistake, grouped, kind_of
from trainer.scoring.predictions import Choice

ROWS_SHOWN = 100
# They can be told of any answer, right or wrong.
_OF_FORM = (Mistake.EMPTY, Mistake.REPETITION, Mistake.REFUSAL, Mistake.CUT)
Key = tuple[str, int]


@dataclass(frozen=True)
class Scored:
    """What a metric says of one model at one dataset."""

    model: str
    dataset: str
    metric: Metric
    predictions: Sequence[Prediction]
    scores: list[Scores]


@dataclass
class Board:
    """All that is known so far; ``notes`` are for people.

    ``found`` pairs each comparison with whether more of its score is better.
    """

    scored: list[Scored] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    found: list[tuple[Compared, bool]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def predictions_of(asks: Sequence[Ask], answers: Mapping[Key, Said]) -> list[Prediction]:
    """Return the answers to rows of one dataset as metrics read them."""
    return [_prediction(ask, answers[ask.key]) for ask in asks if ask.key in answers]


def _prediction(ask: Ask, said: Said) -> Prediction:
    choices = tuple(Choice(text, logprob) for text, logprob
                    in zip(ask.choices, said.choices, strict=False)) if said.choices else ()
    tools = tuple(str((one.get("function") or one).get("name") or "") for one in ask.tools)
    return Prediction(
        ask.row, ask.shown, said.text, ask.references, choices,
        ask.right_choice if choices else None, ask.label, tools, ask.expected_calls, said.calls,
        said.finish_reason, said.likelihood)


def score(board: Board, model: str, dataset: str, metrics: Sequence[Metric],
          predictions: Sequence[Prediction], check: Callable[[], None]) -> None:
    """Score one model at one dataset; a metric that fails is noted and loses no other.

    Args:
        board: Where scores and notes go.
        model: As the config names it.
        dataset: Likewise.
        metrics: What scores.
        predictions: Of that dataset.
        check: Called between metrics; may end the work.
    """
    for metric in metrics:
        check()
        try:
            scores = metric.score(predictions)
        except Failure as error:
            board.notes.append(f"The metric '{metric.name}' has failed for '{model}' at "
                               f"'{dataset}': {error.message} {error.advice}".strip())
            continue
        board.scored.append(Scored(model, dataset, metric, predictions, scores))


def result_of(model: str, dataset: str, one: Measured, share: bool) -> Result:
    """Return a score as the report has it."""
    return Result(model=model, dataset=dataset, metric=one.name, value=_number(one.value),
                  low=_number(one.low), high=_number(one.high), n=one.n, left_out=one.left_out,
                  share=share, higher_is_better=one.higher_is_better, detail=one.detail)


def compare_scores(board: Board, models: Sequence[str], dataset: str,
                   scores: Mapping[str, Scores], seed: int, source: Source = "data") -> None:
    """Compare each model's score with the first one's; those without a common row are left out."""
    first = scores.get(models[0])
    for model in models[1:]:
        other = scores.get(model)
        if first is None or other is None:
            continue
        try:
            found = compare(first, other, seed=seed)
        except Failure:
            continue
        if math.isfinite(found.p) and math.isfinite(found.difference):
            board.found.append((compared_of(found, dataset, models[0], model, source),
                                found.higher_is_better))


def compared_of(found: Comparison, dataset: str, a: str, b: str, source: Source) -> Compared:
    """Return a comparison as the report has it."""
    return Compared(
        dataset=dataset, metric=found.name, a=a, b=b, difference=found.difference,
        low=_number(found.low), high=_number(found.high), p_value=found.p,
        p_adjusted=found.p, verdict=found.verdict(), n=found.n, test=found.test,
        source=source)


def adjusted(found: Sequence[tuple[Compared, bool]]) -> list[Compared]:
    """Return comparisons with p-values and verdicts that hold when all are told together."""
    chances = together([one.p_value for one, _ in found])
    return [one.model_copy(update={"p_adjusted": chance, "verdict": verdict(
        one.difference, chance, higher_is_better=higher)})
        for (one, higher), chance in zip(found, chances, strict=True)]


def mistakes_of(one: Scored) -> tuple[list[MistakeCount], dict[int, str]]:
    """Return how many answers are wrong in which way, and the kind of each wrong row.

    By the metric's first score of right and wrong; where there is none, only what is wrong with
    any answer is told: empty, repeating, refusing, cut.
    """
    right = next((scores for scores in one.scores if scores.share), None)
    if right is not None:
        kinds = grouped(one.predictions, right.values.tolist(), one.metric)
    else:
        kinds = {kind: [] for kind in Mistake}
        for prediction in one.predictions:
            if (kind := kind_of(prediction)) in _OF_FORM:
                kinds[kind].append(prediction.row)
    name = (right or one.scores[0]).name
    counts = [MistakeCount(model=one.model, dataset=one.dataset, metric=name, kind=kind.value,
                           count=len(rows), rows=rows[:ROWS_SHOWN])
              for kind, rows in kinds.items() if rows]
    return counts, {row: kind.value for kind, rows in kinds.items() for row in rows}


def chosen_for_mistakes(several: Sequence[Scored]) -> Scored | None:
    """Return the metric by which mistakes are told: the first of right and wrong answers."""
    written = [one for one in several if one.scores
               and one.metric.name not in ("likelihood", "multiple_choice")]
    sure = [one for one in written if any(scores.share for scores in one.scores)]
    return next(iter([*sure, *written]), None)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None



"""The report and the predictions' files of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainer.contract.files import write_atomic, write_json
from trainer.contract.kinds.evaluation import Answered, EvaluationReport, Judged, report_file
from trainer.contract.rundir import RunDir
from trainer.evaluation.scoring import (
    Board,
    Scored,
    adjusted,
    chosen_for_mistakes,
    compare_scores,
    mistakes_of,
    result_of,
)
from trainer.evaluation.seam import Ask, Said
from trainer.evaluation.store import line_of
from trainer.scoring import Scores, summarise

Key = tuple[str, int]
Line = dict[str, Any]
Metrics = dict[str, float | None]


@dataclass(frozen=True)
class Answers:
    """What all models said to all rows.

    Attributes:
        models: As the config names them.
        datasets: Likewise.
        asks: In the order of the datasets and their rows.
        said: Model to its answers by row.
        answered: How each model did it.
    """

    models: Sequence[str]
    datasets: Sequence[str]
    asks: Sequence[Ask]
    said: Mapping[str, Mapping[Key, Said]]
    answered: Sequence[Answered] = field(default_factory=list)


def measure(board: Board, datasets: Sequence[str], models: Sequence[str], seed: int) -> None:
    """Add the results of what was scored, with intervals, and compare the models."""
    known = {(found.dataset, one.name) for found in board.scored for one in found.scores
             if one.counted.any()}
    _note_left_out(board, known)
    for (dataset, model), several in _by_place(board.scored).items():
        scores = [one for scored in several for one in scored.scores
                  if (dataset, one.name) in known]
        for one, measured in zip(scores, summarise(scores, seed=seed), strict=True):
            board.results.append(result_of(model, dataset, measured, one.share))
    for dataset in datasets:
        by_name: dict[str, dict[str, Scores]] = {}
        for found in (found for found in board.scored if found.dataset == dataset):
            for one in found.scores:
                by_name.setdefault(one.name, {})[found.model] = one
        for together in by_name.values():
            compare_scores(board, models, dataset, together, seed)


def _note_left_out(board: Board, known: set[tuple[str, str]]) -> None:
    """Say which metrics have nothing to compare with at which dataset; they have no results."""
    nothing: dict[str, list[str]] = {}
    for found in board.scored:
        if found.scores and not any((found.dataset, one.name) in known for one in found.scores):
            places = nothing.setdefault(found.metric.name, [])
            places += [found.dataset] if found.dataset not in places else []
    board.notes += [f"The metric '{metric}' has nothing to compare with at "
                    f"{', '.join(map(repr, places))}." for metric, places in nothing.items()]


def report_of(board: Board, answers: Answers, judged: Sequence[Judged] = ()) -> EvaluationReport:
    """Return the report of what is known."""
    counts = [count for several in _by_place(board.scored).values()
              if (one := chosen_for_mistakes(several)) for count in mistakes_of(one)[0]]
    return EvaluationReport(
        models=list(answers.models), datasets=list(answers.datasets), results=board.results,
        comparisons=adjusted(board.found), mistakes=counts, judged=list(judged),
        answered=list(answers.answered),
        predictions={model: file_name(number)
                     for number, model in enumerate(answers.models, start=1)
                     if answers.said.get(model)},
        notes=[*board.notes, *_unanswered(answers)])


def _by_place(scored: Sequence[Scored]) -> dict[tuple[str, str], list[Scored]]:
    found: dict[tuple[str, str], list[Scored]] = {}
    for one in scored:
        found.setdefault((one.dataset, one.model), []).append(one)
    return found


def _unanswered(answers: Answers) -> list[str]:
    """Say how many answers were cut, and which rows have none."""
    notes = []
    for model in answers.models:
        said = answers.said.get(model, {})
        if not said:
            continue
        cut = sum(one.finish_reason == "length" for one in said.values())
        if cut:
            notes.append(f"{cut:,} of {len(said):,} answers of '{model}' were cut at the longest "
                         "length (generation.max_new_tokens).")
        wrong = [(key, one.error) for key, one in said.items() if one.error]
        if wrong:
            (dataset, row), error = min(wrong)
            notes.append(f"'{model}' could not answer {len(wrong):,} of {len(said):,} rows, which "
                         f"count as empty; row {row} of '{dataset}': {error}")
    return notes


def file_name(number: int) -> str:
    """Return the name of a model's predictions, by its place in the config from 1."""
    return f"predictions-{number:02d}.jsonl"


def lines_of(board: Board, answers: Answers, model: str,
             judged: Mapping[Key, float | None] | None = None) -> list[Line]:
    """Return a model's predictions with each row's scores, in the order of datasets and rows."""
    scores: dict[Key, dict[str, float | None]] = {}
    mistakes: dict[Key, str] = {}
    for (dataset, name), several in _by_place(board.scored).items():
        if name != model:
            continue
        for one in several:
            for found in one.scores:
                for row, value in zip(found.rows.tolist(), found.values.tolist(), strict=True):
                    scores.setdefault((dataset, row), {})[found.name] = (
                        value if math.isfinite(value) else None)
        if told := chosen_for_mistakes(several):
            mistakes |= {(dataset, row): kind for row, kind in mistakes_of(told)[1].items()}
    for key, value in (judged or {}).items():
        scores.setdefault(key, {})["judge"] = value
    said = answers.said[model]
    return [{"row": ask.row, "dataset": ask.dataset, "prompt": ask.shown,
             "reference": _reference(ask), "prediction": said[ask.key].text,
             "score": scores.get(ask.key, {}), "mistake": mistakes.get(ask.key, ""),
             "finish_reason": said[ask.key].finish_reason, "tokens": said[ask.key].tokens,
             **({"calls": list(said[ask.key].calls or ())} if said[ask.key].calls else {}),
             **({"error": said[ask.key].error} if said[ask.key].error else {})}
            for ask in answers.asks if ask.key in said]


def _reference(ask: Ask) -> str | list[str] | None:
    if ask.choices and ask.right_choice is not None and not ask.references:
        return ask.choices[ask.right_choice]
    if len(ask.references) > 1:
        return list(ask.references)
    return ask.references[0] if ask.references else ask.label


def write(run: RunDir, report: EvaluationReport, lines: Mapping[str, Sequence[Line]]) -> None:
    """Write the predictions, then the report: where it lies, all is whole."""
    run.eval.mkdir(exist_ok=True)
    for model, name in report.predictions.items():
        write_atomic(run.eval / name, b"".join(map(line_of, lines[model])))
    write_json(report_file(run), report.dump())


def values_of(report: EvaluationReport) -> Metrics:
    """Return the scores by name for charts: METRIC/MODEL, of several datasets METRIC/MODEL/DATA."""
    found = [(one.metric, one.model, one.dataset, one.value) for one in report.results]
    found += [("judge", one.model, one.dataset, one.value) for one in report.judged]
    several = len({dataset for _, _, dataset, _ in found}) > 1
    return {"/".join([metric, model, *([dataset] if several else [])]): value
            for metric, model, dataset, value in found}

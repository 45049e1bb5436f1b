"""Evaluations as a trainer leaves them, written by hand."""

import json
from pathlib import Path

from app.runs import Run, RunState
from trainer.contract.files import write_json
from trainer.contract.kinds import parse_any
from trainer.contract.kinds.evaluation import (
    Compared,
    EvaluationReport,
    MistakeCount,
    Result,
    report_file,
)
from trainer.contract.rundir import RunDir

METRIC, DATASET = "numeric", "sums"


def line(row, score, said="", **values):
    """A line of a predictions file."""
    return {"row": row, "dataset": DATASET, "prompt": f"question {row}", "reference": str(row),
            "prediction": said or f"answer {row}", "score": {METRIC: score},
            "mistake": "" if score == 1 else "content", "finish_reason": "stop", "tokens": 3,
            **values}


def result(model, value, *, dataset=DATASET, metric=METRIC, **values):
    """A score of a model, with an interval around it."""
    return Result(model=model, dataset=dataset, metric=metric, value=value, **{
        "low": value - 0.1, "high": value + 0.1, "n": 4, "share": True, **values})


def compared(first, second, difference, *, dataset=DATASET, metric=METRIC, **values):
    """A comparison of two models."""
    return Compared(**{
        "dataset": dataset, "metric": metric, "a": first, "b": second, "difference": difference,
        "low": difference - 0.05, "high": difference + 0.05, "p_value": 0.01, "p_adjusted": 0.02,
        "verdict": "better" if difference > 0 else "worse", "n": 4, "test": "mcnemar", **values})


def evaluation(runs: Path, name: str, answers, *, created_at=1.0, **report):
    """Write the folder of an evaluation.

    Args:
        runs: The folder of runs.
        name: Its id.
        answers: Model to lines of its predictions.
        created_at: When it was queued.
        report: What of the report is not made of the lines.
    """
    models = list(answers) or ["starter"]
    folder = RunDir(runs / name)
    folder.create(parse_any({"kind": "evaluate", "name": name, "models": models,
                             "data": [DATASET]}), {"state": "completed"})
    folder.eval.mkdir()
    files = {}
    for at, (model, lines) in enumerate(answers.items(), 1):
        files[model] = f"predictions-{at:02d}.jsonl"
        text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in lines)
        (folder.eval / files[model]).write_text(text, encoding="utf-8")
    found = EvaluationReport(**{
        "models": models, "datasets": [DATASET], "predictions": files,
        "results": [result(model, sum(one["score"][METRIC] or 0 for one in lines) / len(lines))
                    for model, lines in answers.items() if lines], **report})
    write_json(report_file(folder), found.dump())
    return Run(name, name, RunState.COMPLETED, folder.path, objective="evaluate",
               model=", ".join(models), created_at=created_at)


def mistaken(model, kind, rows):
    """How many answers are wrong in a way."""
    return MistakeCount(model=model, dataset=DATASET, metric=METRIC, kind=kind, count=len(rows),
                        rows=rows)

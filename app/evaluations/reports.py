"""The report of an evaluation, and where the answers of each model lie."""

from __future__ import annotations

from pathlib import Path

from app.runs import ENDED, Run, RunError
from trainer.contract.kinds.evaluation import EvaluationReport, read_report
from trainer.contract.rundir import RunDir, is_safe_name


def report_of(run: Run) -> EvaluationReport:
    """Return what an evaluation has found.

    Raises:
        RunError: There is no report ('no_evaluation'): it is no evaluation, or has not ended.
    """
    report = read_report(RunDir(run.dir)) if run.objective == "evaluate" else None
    if report is not None:
        return report
    if run.objective != "evaluate":
        raise RunError("no_evaluation", f"The run '{run.id}' is no evaluation.",
                       "Evaluate it: finestra evaluate --model " + run.id)
    if run.state in ENDED:
        raise RunError("no_evaluation", f"The evaluation '{run.id}' is {run.state} and has "
                       "found nothing.", "Resume it: answers that are there are kept.")
    raise RunError("no_evaluation", f"The evaluation '{run.id}' is {run.state}; it has found "
                   "nothing yet.", "Wait for its end.")


def predictions_file(run: Run, report: EvaluationReport, model: str) -> Path:
    """Return where a model's answers lie; the file may be missing.

    Raises:
        RunError: The evaluation has no answers of that model ('not_evaluated').
    """
    name = report.predictions.get(model, "")
    if not is_safe_name(name):
        raise RunError("not_evaluated", f"The evaluation '{run.id}' has no answers of "
                       f"'{model[:200]}'.", "Its models are in its document.")
    return RunDir(run.dir).eval / name

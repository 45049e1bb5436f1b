"""What scripts read of a run: the command line's --json and REST give the same documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.evaluations.tables import document
from app.outcome import Result
from app.runs import ENDED, Run, RunError, RunState
from app.studio import Studio
from trainer.contract.config import load_yaml
from trainer.contract.files import read_json
from trainer.contract.rundir import RunDir

# A script may rely on these series, empty or not.
SERIES = ("loss", "eval_loss", "learning_rate", "grad_norm")


def run_error(studio: Studio, run: Run) -> dict[str, str] | None:
    """Return why a run ended without completing, or None.

    Code and advice are those of its last attempt, unless the run ended after that one: stopped
    in the queue.
    """
    if run.state not in ENDED or run.state is RunState.COMPLETED:
        return None
    attempt = studio.attempt(run.id)
    result = Result.read(read_json(attempt.result)) if attempt else None
    if result is None or result.message != run.reason:
        result = Result(str(run.state), message=run.reason)
    return {"code": result.code or str(run.state), "message": result.message or str(run.state),
            "field": "", "advice": result.advice}


def outcome_document(studio: Studio, run: Run) -> dict[str, Any]:
    """Return what ``finestra train --json`` prints; ``error`` is null unless the run went wrong."""
    return {"id": run.id, "name": run.name, "state": str(run.state), "dir": str(run.dir),
            "metrics": dict(run.latest), "error": run_error(studio, run)}


def checkpoint_documents(studio: Studio, run: Run) -> list[dict[str, Any]]:
    """Return the checkpoints, newest first, with the reason why one cannot be used."""
    return [{"name": info.path.name, "step": info.step, "size_bytes": info.size_bytes,
             "problem": info.problem} for info in studio.checkpoints(run.id)]


def export_document(run: Run) -> dict[str, Any] | None:
    """Return what an export has written, each format with how it compares; None for none.

    ``pieces`` are formats first, then what lies beside them; paths are relative to the run's
    folder ``export``.
    """
    folder = RunDir(run.dir).export
    index = read_json(folder / "export.json")
    if not isinstance(index, dict):
        return None
    report = read_json(folder / "parity.json")
    artefacts = report["artefacts"] if isinstance(report, dict) else []
    compared = dict(zip(index["formats"], artefacts, strict=False))
    pieces = [{"format": name, "path": piece["path"], "bytes": piece["bytes"],
               "files": [path for path, _, _ in piece["files"]], "notes": piece["notes"],
               "parity": compared.get(name)} for name, piece in index["pieces"].items()]
    return {"source": index["source"], "made_at": index["made_at"], "dir": str(folder),
            "formats": index["formats"], "pieces": pieces,
            "pushed": read_json(run.dir / "pushed.json") or {}}


def evaluation_document(run: Run) -> dict[str, Any] | None:
    """Return what an evaluation has found; None for none. Rows have routes of their own."""
    try:
        return document(run)
    except RunError:
        return None


def merge_document(run: Run) -> dict[str, Any] | None:
    """Return what a merge has put together, and how it compares; None for none."""
    found = read_json(run.dir / "merge.json")
    return found if isinstance(found, dict) else None


def show_document(studio: Studio, run: Run) -> dict[str, Any]:
    """Return a run with its config, checkpoints, warnings and error."""
    return {**run.document(), "config": load_yaml(studio.config_yaml(run.id)),
            "checkpoints": checkpoint_documents(studio, run),
            "warnings": [event.model_dump(include={"code", "message", "step"})
                         for event in studio.warnings(run.id)],
            "export": export_document(run), "merge": merge_document(run),
            "evaluation": evaluation_document(run), "error": run_error(studio, run)}


def metrics_document(studio: Studio, run: Run, names: Sequence[str] | None = None, *,
                     max_points: int | None = None) -> dict[str, Any]:
    """Return the series as ``[[step, value], ...]``, each step once; NaN is null.

    Args:
        studio: Where the run is known.
        run: The run.
        names: Which series; None means all, those of ``SERIES`` among them in any case.
        max_points: At most so many points a series.
    """
    series = studio.series(run.id, names, max_points=max_points)
    known = {} if names is not None else {name: series.get(name, []) for name in SERIES}
    return {"series": {**known, **series}}

"""``python -P -m trainer RUN_DIR``: the door of the trainer.

Reads the config, picks the recipe, turns every error into an EndEvent. Exit status: 0 when the
run completed or was stopped, 1 when it failed, 2 for a wrong command line.
"""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.checkpoint import Selected, select
from trainer.context import Context, Work, claim_attempt, read_settings
from trainer.contract.config import RunConfig
from trainer.contract.events import EndEvent, ResumeEvent
from trainer.contract.kinds import AnyConfig
from trainer.contract.redact import known_secrets, redact
from trainer.contract.rundir import RunDir
from trainer.emit import EventWriter
from trainer.failures import Failure, classify
from trainer.lean import NEVER, hidden, spare
from trainer.stop import Stop, Stopped
from trainer.streams import forgive

if TYPE_CHECKING:
    from trainer.work import Metrics

QUIET = {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "TRL_EXPERIMENTAL_SILENCE": "1",
          "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1"}


def main(run_dir: Path) -> int:
    """Work on the newest attempt of a run; returns the exit status."""
    os.environ.update(QUIET)
    run = RunDir(run_dir.resolve())
    attempt = claim_attempt(run)
    emit, stop = EventWriter(attempt.events, attempt.number), Stop()
    started = False
    try:
        stop.install()
        device, resume = read_settings(attempt)
        start = select(run, resume)
        emit(ResumeEvent(step=start.step, checkpoint=start.path.name if start.path else "",
                         reason=" ".join(start.skipped)))
        started = True
        for reason in start.skipped:
            emit.warn("checkpoint_skipped", reason)
        config = run.read_any()
        if isinstance(config, RunConfig):
            device = config.training.device if device == "auto" else device
            metrics = _train(Context(run, attempt, config, emit, stop, device, resume), start)
        else:
            device = config.device if device == "auto" else device
            metrics = _other(Work(run, attempt, config, emit, stop, device, resume))
        return _end(emit, EndEvent(outcome="completed", metrics=metrics))
    except Stopped:
        return _end(emit, EndEvent(outcome="stopped", code="stopped", message=_stopped(run)))
    except Exception as error:
        if not started:
            emit(ResumeEvent(step=0))
        return _end(emit, _failure(error))
    finally:
        stop.restore()
        emit.close()


def _other(work: Work[AnyConfig]) -> Metrics:
    """Do what is no training: the module of its kind, which imports what it needs."""
    kind = import_module(f"trainer.kinds.{work.config.kind}")
    metrics: Metrics = kind.run(work)
    return metrics


def _train(context: Context, start: Selected) -> Metrics:
    """Run the recipe; the libraries are imported here, after the first events are out."""
    context.emit.stage("loading", "Starting torch and the trainers")
    with hidden(NEVER):
        course = import_module("trainer.course")
        recipe = import_module(f"trainer.recipes.{context.config.objective}")
    metrics: Metrics = course.run(context, start, recipe.build)
    return metrics


def _stopped(run: RunDir) -> str:
    if (run.path / "export.partial").is_dir():
        return "Stopped as asked; what is finished of the export is kept, Resume goes on from it."
    if any(run.eval.glob("answers-*.jsonl")):
        return "Stopped as asked; the answers until here are kept, Resume goes on from them."
    newest = next((folder.name for _, folder in run.checkpoint_folders()), "")
    return (f"Stopped as asked; {newest} was saved, Resume goes on from it." if newest
            else "Stopped as asked, before there was anything to save.")


def _failure(error: Exception) -> EndEvent:
    verdict = classify(error)
    if not verdict.known or not isinstance(error, Failure):
        traceback.print_exception(error, file=sys.stderr)
    secrets = known_secrets()
    return EndEvent(outcome="failed", code=verdict.code, message=redact(verdict.message, secrets),
                    advice=redact(verdict.advice, secrets))


def _end(emit: EventWriter, event: EndEvent) -> int:
    print(f"{event.outcome}: {event.message} {event.advice}".rstrip(": "), flush=True)
    emit(event)
    return 1 if event.outcome == "failed" else 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1], "config.yaml").is_file():
        print("usage: python -m trainer RUN_DIR  (a folder with config.yaml)", file=sys.stderr)
        sys.exit(2)
    forgive()
    spare(RunDir(Path(sys.argv[1]).resolve()))
    sys.exit(main(Path(sys.argv[1])))

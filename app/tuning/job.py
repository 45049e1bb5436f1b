"""A run as OpenAI's clients see it: job, events, checkpoints. Everything is read from the run."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.outcome import Result
from app.runs import ENDED, Run, RunState
from trainer.contract import RunConfig
from trainer.contract import events as ev
from trainer.contract.commits import CheckpointInfo
from trainer.contract.files import read_json
from trainer.contract.redact import redact
from trainer.contract.rundir import RunDir

PREFIX, ABOUT = "ftjob-", "openai.json"
STATUS: dict[RunState, str] = {
    RunState.QUEUED: "queued", RunState.STARTING: "running", RunState.RUNNING: "running",
    RunState.STOPPING: "running", RunState.COMPLETED: "succeeded",
    RunState.STOPPED: "cancelled", RunState.FAILED: "failed", RunState.INTERRUPTED: "failed"}
METHODS = {"sft": "supervised", "dpo": "dpo", "grpo": "reinforcement"}
_FILE = re.compile(r"/openai/(file-[0-9a-f]{24})/")
_PATH = re.compile(r"(?:/[^'\"\n]*)?/openai/(file-[0-9a-f]{24})/[A-Za-z0-9.-]+")
_AUTO = {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"}


def told(text: str) -> str:
    """Return a text without secrets, and with the files' ids where it has their paths."""
    return _PATH.sub(r"\1", redact(text)).strip()


def files_of(config: RunConfig) -> tuple[str, str]:
    """Return the ids of the files that a run trains on and is measured on, '' for none."""
    found = [_FILE.search("".join(config.data.names(split)[:1])) for split in ("train", "eval")]
    return (found[0][1] if found[0] else "", found[1][1] if found[1] else "")


def said_of(run: Run) -> dict[str, Any]:
    """Return what was asked for and is in no config: metadata, numbers, the grader."""
    said = read_json(Path(run.dir) / ABOUT)
    return said if isinstance(said, dict) else {}


def trained_tokens(run: Run, config: RunConfig, data: list[ev.DataEvent]) -> int | None:
    """Return about how many tokens were learned; None before the end, or where none are counted.

    The tokens of an epoch, times the epochs, times the share of the steps that were done.
    """
    counted = next((one.trained_tokens for one in data if one.split == "train"), 0)
    training = config.training
    if run.state not in ENDED or not counted or training.max_steps is not None:
        return None
    return round(counted * training.num_train_epochs * run.progress.fraction)


def job_document(run: Run, config: RunConfig, tokens: int | None) -> dict[str, Any]:
    """Return a run as a fine-tuning job."""
    said, progress = said_of(run), run.progress
    method = METHODS.get(run.objective, "supervised")
    train, evaluation = files_of(config)
    numbers = said.get("hyperparameters") or _AUTO
    settings: dict[str, Any] = {"hyperparameters": numbers}
    if said.get("grader"):
        settings["grader"] = said["grader"]
    ended = int(run.ended_at or 0) or None
    eta = None
    if run.state is RunState.RUNNING and progress.eta_s is not None:
        eta = int(time.time() + progress.eta_s)
    return {
        "id": PREFIX + run.id, "object": "fine_tuning.job", "created_at": int(run.created_at),
        "finished_at": ended if run.state in ENDED else None, "model": run.model,
        "fine_tuned_model": run.id if run.state is RunState.COMPLETED else None,
        "organization_id": "", "result_files": [], "status": STATUS[run.state],
        "seed": config.training.seed, "trained_tokens": tokens, "training_file": train,
        "validation_file": evaluation or None, "hyperparameters": numbers,
        "method": {"type": method, method: settings}, "integrations": [],
        "metadata": said.get("metadata"), "user_provided_suffix": said.get("suffix"),
        "estimated_finish": eta, "error": _error(run)}


def _error(run: Run) -> dict[str, Any] | None:
    """Return why a run failed, with what to do about it; None when it did not."""
    if STATUS[run.state] != "failed":
        return None
    last = RunDir(run.dir).latest()
    result = Result.read(read_json(last.result)) if last else None
    text = f"{result.message} {result.advice}" if result and result.message else run.reason
    return {"code": (result.code if result else "") or str(run.state),
            "message": told(text), "param": None}


# Events


def event_documents(run: Run, after: str | None) -> Iterator[dict[str, Any]]:
    """Yield what a run has said, the newest first, from beyond an event's id.

    Args:
        run: The run.
        after: The id of the event that was seen last; None begins at the newest.
    """
    seen = _place(run, after)
    for attempt in reversed(RunDir(run.dir).attempts()):
        if seen and attempt.number > seen[0]:
            continue
        for line in reversed(_lines(attempt.events)):
            try:
                event = ev.from_line(line)
            except ValueError:
                continue
            place = (attempt.number, event.seq)
            if (seen is None or place < seen) and (said := _said(event)):
                yield _event(run, place, event.time, said)
    if seen is None or seen > (0, 0):
        yield _event(run, (0, 0), run.created_at,
                     ("info", f"Created fine-tuning job: {PREFIX}{run.id}", {}))


def _place(run: Run, event_id: str | None) -> tuple[int, int] | None:
    found = re.fullmatch(rf"ftevent-{re.escape(run.id)}-(\d{{1,9}})-(\d{{1,12}})", event_id or "")
    return (int(found[1]), int(found[2])) if found else None


def is_event_of(run: Run, event_id: str) -> bool:
    """Tell whether an id is one of this run's events."""
    return _place(run, event_id) is not None


def _lines(path: Path) -> list[bytes]:
    try:
        head, newline, _ = path.read_bytes().rpartition(b"\n")
    except OSError:
        return []
    return head.split(b"\n") if newline else []


Said = tuple[str, str, dict[str, Any]]


def _said(event: ev.AnyEvent) -> Said | None:
    """Return (level, sentence, data) of an event; None for what only a board shows."""
    match event:
        case ev.MetricsEvent():
            return "info", _measured(event), {"step": event.step, "total_steps": event.total_steps,
                                              **_renamed(event.values)}
        case ev.WarningEvent():
            return "warn", event.message, {"code": event.code, "step": event.step}
        case ev.EndEvent():
            failed = event.outcome == "failed"
            text = f"{event.message} {event.advice}".strip() or f"The job has {event.outcome}."
            return "error" if failed else "info", text, {"code": event.code or event.outcome}
        case ev.CheckpointEvent():
            done = "removed" if event.removed else "saved"
            return "info", f"Checkpoint {event.name} {done}.", {"step": event.step}
        case ev.StageEvent():
            return "info", f"Stage: {event.stage}. {event.message}".strip(), {}
        case ev.ChoiceEvent():
            return "info", f"{event.field} is {event.value}: {event.reason}.", {}
        case ev.DataEvent():
            return ("info", f"{event.used:,} of {event.rows:,} rows ({event.split}).",
                    event.model_dump(include={"rows", "used", "tokens", "trained_tokens"}))
        case ev.ResumeEvent() if event.step:
            return "info", f"Goes on from {event.checkpoint}.", {"step": event.step}
    return None


def _measured(event: ev.MetricsEvent) -> str:
    total = f"/{event.total_steps}" if event.total_steps else ""
    values = ", ".join(f"{name}={value:.4g}" for name, value in _renamed(event.values).items()
                       if value is not None)
    return f"Step {event.step}{total}: {values}"


def _renamed(values: dict[str, float | None]) -> dict[str, float | None]:
    """Return measures with OpenAI's names where it has one."""
    names = {"loss": "train_loss", "eval_loss": "valid_loss"}
    return {names.get(name, name): value for name, value in values.items()}


def _event(run: Run, place: tuple[int, int], at: float, said: Said) -> dict[str, Any]:
    level, text, data = said
    return {"id": f"ftevent-{run.id}-{place[0]}-{place[1]}", "object": "fine_tuning.job.event",
            "created_at": int(at), "level": level, "message": told(text), "data": data,
            "type": "metrics" if "total_steps" in data else "message"}


# Checkpoints


def checkpoint_document(run: Run, info: CheckpointInfo,
                        series: dict[str, dict[int, float | None]]) -> dict[str, Any] | None:
    """Return a committed checkpoint with what was measured at its step; None when it is gone."""
    try:
        created = info.path.stat().st_mtime
    except OSError:  # taken away by the run's rotation meanwhile
        return None
    names = {"train_loss": "loss", "valid_loss": "eval_loss",
             "train_mean_token_accuracy": "mean_token_accuracy",
             "valid_mean_token_accuracy": "eval_mean_token_accuracy"}
    values = {theirs: value for theirs, ours in names.items()
              if (value := series.get(ours, {}).get(info.step)) is not None}
    return {"id": f"ftckpt-{run.id}-{info.step}", "object": "fine_tuning.job.checkpoint",
            "created_at": int(created), "step_number": info.step,
            "fine_tuning_job_id": PREFIX + run.id, "metrics": {"step": info.step, **values},
            "fine_tuned_model_checkpoint": f"{run.id}/{info.path.name}"}

"""Run, RunState, TRANSITIONS: pure data, no database and no process."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class RunState(StrEnum):
    """Where a run is in its life."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


_S = RunState
TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    _S.QUEUED: frozenset({_S.STARTING, _S.STOPPED}),
    _S.STARTING: frozenset({_S.RUNNING, _S.STOPPING, _S.FAILED, _S.INTERRUPTED}),
    _S.RUNNING: frozenset({_S.STOPPING, _S.COMPLETED, _S.FAILED, _S.INTERRUPTED}),
    _S.STOPPING: frozenset({_S.STOPPED, _S.COMPLETED, _S.FAILED, _S.INTERRUPTED}),
    _S.STOPPED: frozenset({_S.QUEUED}),
    _S.FAILED: frozenset({_S.QUEUED}),
    _S.INTERRUPTED: frozenset({_S.QUEUED}),
    _S.COMPLETED: frozenset(),
}
ACTIVE = frozenset({_S.STARTING, _S.RUNNING, _S.STOPPING})
ENDED = frozenset({_S.COMPLETED, _S.STOPPED, _S.FAILED, _S.INTERRUPTED})
RESUMABLE = frozenset({_S.STOPPED, _S.FAILED, _S.INTERRUPTED})


class RunError(ValueError):
    """What was asked of a run cannot be done; ``code`` is stable, the text says what to do."""

    def __init__(self, code: str, message: str, advice: str = "") -> None:
        """Keep the code and the advice beside the message."""
        super().__init__(message)
        self.code, self.advice = code, advice


def check_transition(old: RunState, new: RunState) -> None:
    """Raise RunError('transition') unless TRANSITIONS allows it."""
    if new not in TRANSITIONS[old]:
        raise RunError("transition", f"A run that is {old} cannot become {new}.")


@dataclass(frozen=True)
class Progress:
    """How far a run is; ``stage`` is a trainer.contract.events.Stage or ''."""

    stage: str = ""
    step: int = 0
    total_steps: int = 0
    eta_s: float | None = None
    stage_done: int = 0
    stage_total: int = 0
    stage_unit: str = ""

    @property
    def fraction(self) -> float:
        """Share of the optimizer steps done, 0 to 1."""
        return min(1.0, self.step / self.total_steps) if self.total_steps else 0.0


@dataclass(frozen=True)
class Run:
    """A run as the index knows it; times are Unix seconds."""

    id: str
    name: str
    state: RunState
    dir: Path
    reason: str = ""
    objective: str = "sft"
    model: str = ""
    method: str = ""
    owner: str = "local"
    device: str = ""
    tags: tuple[str, ...] = ()
    notes: str = ""
    attempt: int = 0
    created_at: float = 0.0
    queued_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    progress: Progress = field(default_factory=Progress)
    latest: dict[str, float | None] = field(default_factory=dict)
    stop_requested: bool = False

    def document(self) -> dict[str, Any]:
        """Return the run as REST and ``--json`` show it in lists."""
        return {
            "id": self.id, "name": self.name, "state": str(self.state), "reason": self.reason,
            "dir": str(self.dir), "objective": self.objective, "model": self.model,
            "method": self.method, "owner": self.owner, "device": self.device,
            "tags": list(self.tags), "notes": self.notes, "attempts": self.attempt,
            "created_at": self.created_at, "started_at": self.started_at,
            "ended_at": self.ended_at,
            "progress": {"stage": self.progress.stage, "step": self.progress.step,
                         "total_steps": self.progress.total_steps,
                         "eta_s": self.progress.eta_s},
            "metrics": dict(self.latest),
        }

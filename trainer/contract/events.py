"""What a run says while it works: typed records, one JSON line each, in ``events.jsonl``."""

from __future__ import annotations

import json
import math
import time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Stage = Literal["loading", "reading", "tokenizing", "baseline", "training", "evaluating",
                "answering", "scoring", "judging", "benchmarking", "saving", "merging",
                "converting", "comparing", "pushing", "done"]


class Event(BaseModel):
    """What every event carries; (attempt, seq) orders them, clocks do not."""

    model_config = ConfigDict(extra="ignore")

    attempt: int = Field(default=0, ge=0, description="Attempt of the run, from 1.")
    seq: int = Field(default=0, ge=0, description="Number of the line within the attempt, from 1.")
    time: float = Field(default_factory=time.time, description="Unix time in seconds, to show.")


class StageEvent(Event):
    """The run entered a stage."""

    type: Literal["stage"] = "stage"
    stage: Stage
    message: str = ""


class ProgressEvent(Event):
    """How far the current stage is."""

    type: Literal["progress"] = "progress"
    stage: Stage
    done: int
    total: int
    unit: str = "steps"
    eta_s: float | None = None


class ChoiceEvent(Event):
    """A value that was chosen automatically, and why."""

    type: Literal["choice"] = "choice"
    field: str
    value: str
    reason: str


class DataEvent(Event):
    """What became of the rows of a split.

    ``used`` rows are learned in one epoch (of plain text: blocks; of a mixture, rows may count
    several times); ``dropped`` ones are too long.
    """

    type: Literal["data"] = "data"
    split: Literal["train", "eval"]
    rows: int
    used: int
    bad_rows: int = 0
    cut: int = 0
    dropped: int = 0
    filtered: int = 0
    duplicates: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    max_tokens: int = 0


class ResumeEvent(Event):
    """This attempt starts from the checkpoint at ``step`` (0: from the beginning)."""

    type: Literal["resume"] = "resume"
    step: int
    checkpoint: str = ""
    reason: str = ""


class MetricsEvent(Event):
    """Values measured at an optimizer step; NaN and infinities are written as null."""

    type: Literal["metrics"] = "metrics"
    step: int
    epoch: float | None = None
    total_steps: int | None = None
    eta_s: float | None = None
    values: dict[str, float | None]


class SampleEvent(Event):
    """An answer of the model as it is at ``step``; ``reward`` where answers are rewarded."""

    type: Literal["sample"] = "sample"
    step: int
    prompt: str
    reference: str = ""
    output: str
    reward: float | None = None


class CheckpointEvent(Event):
    """A checkpoint was committed, or removed by rotation."""

    type: Literal["checkpoint"] = "checkpoint"
    step: int
    name: str
    size_bytes: int = 0
    removed: bool = False


class WarningEvent(Event):
    """Something a person should know; the run goes on."""

    type: Literal["warning"] = "warning"
    code: str
    message: str
    step: int | None = None


class EndEvent(Event):
    """The trainer's last word."""

    type: Literal["end"] = "end"
    outcome: Literal["completed", "stopped", "failed"]
    code: str = ""
    message: str = ""
    advice: str = ""
    metrics: dict[str, float | None] = Field(default_factory=dict)


AnyEvent = Annotated[
    StageEvent | ProgressEvent | ChoiceEvent | DataEvent | ResumeEvent | MetricsEvent
    | SampleEvent | CheckpointEvent | WarningEvent | EndEvent,
    Field(discriminator="type"),
]
_ADAPTER: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)


def finite(value: float | None) -> float | None:
    """Return the value, or None when it is NaN or infinite (JSON has neither)."""
    return value if value is not None and math.isfinite(value) else None


def to_line(event: Event) -> str:
    """Write an event as one JSON line, newline included; never NaN (RFC 8259)."""
    values: dict[str, Any] = event.model_dump(mode="json")
    return json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"


def from_line(line: str | bytes) -> AnyEvent:
    """Read one line; pydantic.ValidationError (a ValueError) when it is no event."""
    return _ADAPTER.validate_json(line)

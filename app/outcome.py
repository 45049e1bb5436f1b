"""How an attempt ended: the trainer's last word, else what its exit status says."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from app.runs import RunState
from trainer.contract.events import EndEvent
from trainer.contract.redact import known_secrets, redact

START = "Press Resume to put it into the queue again."
RESUME = "Press Resume to go on from the last checkpoint."


@dataclass(frozen=True)
class Exit:
    """How the trainer's process went; ``status`` is that of ``Popen.returncode``.

    ``status`` is None for a trainer that was adopted: only a parent learns it.
    """

    status: int | None
    started: bool = True
    stop_requested: bool = False
    killed_by_us: bool = False
    out_of_memory: bool = False
    log_tail: str = ""


@dataclass(frozen=True)
class Result:
    """What ``result.json`` says."""

    outcome: str
    code: str = ""
    message: str = ""
    advice: str = ""
    exit_code: int | None = None
    signal: int | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    ended_at: float = field(default_factory=time.time)

    @property
    def state(self) -> RunState:
        """The state that the run ends in."""
        return RunState(self.outcome)

    def document(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return asdict(self)

    @classmethod
    def read(cls, value: Any) -> Result | None:
        """Read what ``document`` wrote; None for anything else."""
        if not isinstance(value, Mapping):
            return None
        outcome = value.get("outcome")
        if outcome not in ("completed", "stopped", "failed", "interrupted"):
            return None
        metrics = value.get("metrics")
        return cls(outcome=str(outcome), code=str(value.get("code", "")),
                   message=str(value.get("message", "")), advice=str(value.get("advice", "")),
                   exit_code=value.get("exit_code"), signal=value.get("signal"),
                   metrics=dict(metrics) if isinstance(metrics, Mapping) else {},
                   ended_at=float(value.get("ended_at") or time.time()))


def decide(end: EndEvent | None, gone: Exit, secrets: Iterable[str] = ()) -> Result:
    """Conclude from the trainer's EndEvent, if it wrote one, and from its exit.

    Args:
        end: The trainer's last word; an exception's text in it may quote a secret.
        gone: How its process went.
        secrets: Values to hide besides those of the environment.
    """
    result = _conclude(end, gone)
    hide = [*known_secrets(), *secrets]
    return replace(result, message=redact(result.message, hide),
                   advice=redact(result.advice, hide))


def _conclude(end: EndEvent | None, gone: Exit) -> Result:
    status = gone.status
    exit_code = status if status is not None and status >= 0 else None
    number = -status if status is not None and status < 0 else None
    if end is not None:
        values = {k: v for k, v in end.metrics.items() if v is None or math.isfinite(v)}
        return Result(end.outcome, end.code, end.message, end.advice, exit_code, number, values)
    if gone.stop_requested and not gone.started:
        return Result("stopped", "never_started", "Stopped before it started.")
    if not gone.started:
        return Result("interrupted", "never_started", "Never started.", START)
    if gone.stop_requested:
        message = ("The trainer did not stop in time and was killed; what came after the last "
                   "checkpoint is lost." if gone.killed_by_us
                   else "Stopped before the trainer could save.")
        code = "stop_killed" if gone.killed_by_us else "stop_unsaved"
        return Result("stopped", code, message, RESUME, exit_code, number)
    if status is None:
        return Result("interrupted", "supervisor_lost",
                      "The trainer went away while nobody watched it.", RESUME)
    if number is not None:
        return _killed(number, gone)
    quote = f" Its last words: {gone.log_tail}" if gone.log_tail else ""
    return Result("failed", "exit_status",
                  f"The trainer ended with exit status {status} and no outcome.{quote}",
                  "Read the log for the cause, then press Resume.", exit_code, None)


def _killed(number: int, gone: Exit) -> Result:
    if gone.out_of_memory:
        return Result("failed", "out_of_memory",
                      f"killed by signal {number}: the memory limit was reached",
                      "Use a smaller batch or a shorter maximum length, then press Resume.",
                      None, number)
    hint = " (often out of memory)" if number == signal.SIGKILL else f" ({_name(number)})"
    return Result("failed", "killed", f"killed by signal {number}{hint}", RESUME, None, number)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"

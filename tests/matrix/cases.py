"""One case of the matrix: refused with a reason, or trained for two steps."""

from __future__ import annotations

import contextlib
import io
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from app.devices import DeviceProbe
from app.home import Home
from app.preflight import Preflight
from tests.conftest import Lent
from tests.matrix.space import Values, nested, small
from trainer.contract import Problem, RunConfig
from trainer.contract.events import EndEvent, MetricsEvent, from_line
from trainer.contract.files import write_json
from trainer.contract.rundir import Attempt, RunDir
from trainer.data.children.workers import Limits

# What only the rows can tell, once they are tokens.
OF_ROWS = ("val_size",)


@dataclass
class Outcome:
    """What became of a case: trained, refused for its rows, or failed, with its last words."""

    kind: str
    values: Values
    message: str = ""
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


class Bench:
    """A home in which cases are tried, one after the other, in this process.

    All runs share one data worker, whose start takes as long as two steps.
    """

    def __init__(self, folder: Path) -> None:
        self.home = Home.open(folder)
        self.preflight = Preflight(self.home, DeviceProbe())
        self.worker = Lent(Limits(memory_mib=8192))
        self.count = 0

    def close(self) -> None:
        """End the data workers: the runs' and the preflight's."""
        self.preflight.data.close()
        self.worker.end()

    def check(self, values: Values) -> list[Problem]:
        """Return what the form says against a case."""
        return self.preflight.check(nested(small(values))).problems

    def try_out(self, values: Values) -> Outcome:
        """Train a case that the form lets through."""
        begin = time.monotonic()
        dry = self.preflight.check(nested(small(values)))
        if dry.problems or dry.config is None:
            said = [(p.field, p.code) for p in dry.problems]
            return Outcome("failed", values, f"planned, and refused now: {said}")
        kind, message = self._train(dry.config)
        return Outcome(kind, values, message, time.monotonic() - begin)

    def _train(self, config: RunConfig) -> tuple[str, str]:
        """Train two steps; returns (trained or failed, the last words)."""
        from trainer import splits
        from trainer.__main__ import main

        self.count += 1
        run = RunDir(self.home.runs / f"case-{self.count:04d}")
        run.create(config, {})
        attempt = run.new_attempt()
        write_json(attempt.settings, {"attempt": attempt.number, "device": "cpu",
                                      "resume": "none"})
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), \
                mock.patch.object(splits, "DataWorker", lambda limits: self.worker):
            main(run.path)
        wrong = verdict(attempt, run)
        if code := refused_by_rows(attempt):
            return "rows", code
        return ("failed", f"{wrong}\n{said.getvalue()[-1500:]}") if wrong else ("trained", "")


def refused_by_rows(attempt: Attempt) -> str:
    """Return the code when a run was refused for what its rows turned out to be, else ''."""
    end = from_line(attempt.events.read_bytes().splitlines()[-1])
    return end.code if isinstance(end, EndEvent) and end.code in OF_ROWS and end.advice else ""


def verdict(attempt: Attempt, run: RunDir) -> str:
    """Return what is wrong with a finished attempt, '' when it really trained two steps."""
    events = [from_line(line) for line in attempt.events.read_bytes().splitlines()]
    end = events[-1]
    if not isinstance(end, EndEvent) or end.outcome != "completed":
        return f"ended with {end}"
    losses = {event.step: event.values["loss"] for event in events
              if isinstance(event, MetricsEvent) and "loss" in event.values}
    if not losses or max(losses) < 2:
        return f"has losses of steps {sorted(losses)} only"
    if any(value is None or not math.isfinite(value) for value in losses.values()):
        return f"has losses {losses}"
    if not (run.adapter.is_dir() or run.model.is_dir()):
        return "left no weights"
    return ""

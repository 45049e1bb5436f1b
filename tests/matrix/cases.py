"""One case of the matrix: refused with a reason, or trained for two steps."""

from __future__ import annotations

import contextlib
import io
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from app.devices import DeviceProbe
from app.home import Home
from app.preflight import Preflight
from tests.matrix.space import Values, nested, small
from trainer.contract import Problem, RunConfig
from trainer.contract.config import default_of
from trainer.contract.config.fields import all_fields
from trainer.contract.events import EndEvent, MetricsEvent, from_line
from trainer.contract.files import write_json
from trainer.contract.rundir import Attempt, RunDir

ROUNDS = 12


@dataclass
class Outcome:
    """What became of a case.

    ``kind`` is trained, refused or failed; ``values`` what was trained in the end, after what was
    refused had been put back to its default; ``refusals`` each thing that was refused on the way,
    as (field, value, code).
    """

    kind: str
    values: Values
    refusals: list[tuple[str, str, str]] = field(default_factory=list)
    message: str = ""
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


class Bench:
    """A home in which cases are tried, one after the other, in this process."""

    def __init__(self, folder: Path) -> None:
        self.home = Home.open(folder)
        self.preflight = Preflight(self.home, DeviceProbe())
        self.count = 0

    def try_out(self, values: Values) -> Outcome:
        """Check a case; put back what is refused, until nothing is; then train it."""
        begin = time.monotonic()
        wanted, refusals = dict(values), []
        for _ in range(ROUNDS):
            dry = self.preflight.check(nested(small(wanted)))
            if not dry.problems:
                assert dry.config is not None
                kind, message = self._train(dry.config)
                return Outcome(kind, wanted, refusals, message, time.monotonic() - begin)
            if silent := [p for p in dry.problems if not p.message or not p.advice]:
                return Outcome("failed", wanted, refusals, f"refused without words: {silent}")
            refusals += [(p.field, repr(wanted.get(owner(p.field))), p.code)
                         for p in dry.problems]
            if not put_back(wanted, dry.problems):
                return Outcome("refused", wanted, refusals,
                               " ".join(f"{p.field}: {p.message}" for p in dry.problems))
        return Outcome("refused", wanted, refusals, "refused in every round")

    def _train(self, config: RunConfig) -> tuple[str, str]:
        """Train two steps; returns (trained or failed, the last words)."""
        from trainer.__main__ import main

        self.count += 1
        run = RunDir(self.home.runs / f"case-{self.count:04d}")
        run.create(config, {})
        attempt = run.new_attempt()
        write_json(attempt.settings, {"attempt": attempt.number, "device": "cpu",
                                      "resume": "none"})
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            main(run.path)
        wrong = verdict(attempt, run)
        return ("failed", f"{wrong}\n{said.getvalue()[-1500:]}") if wrong else ("trained", "")


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


def owner(path: str) -> str:
    """Return the field that a problem's path belongs to."""
    while path and path not in all_fields():
        path = path.rpartition(".")[0]
    return path


def put_back(values: Values, problems: list[Problem]) -> bool:
    """Give the fields that are complained of their defaults; False when none was another."""
    changed = False
    for path in {owner(problem.field) for problem in problems}:
        if path in values and values[path] != default_of(path):
            values[path] = default_of(path)
            changed = True
    return changed

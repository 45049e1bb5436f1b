"""What every part of one attempt needs, made once and handed in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from trainer.contract.config import RunConfig
from trainer.contract.files import read_json, write_json
from trainer.contract.kinds import AnyConfig
from trainer.contract.rundir import Attempt, RunDir
from trainer.emit import EventWriter
from trainer.failures import Failure
from trainer.stop import Stop

C_co = TypeVar("C_co", bound=AnyConfig, covariant=True)


@dataclass(frozen=True)
class Work(Generic[C_co]):
    """One attempt at a run of any kind: where it lies, what is asked, and where to speak.

    ``device`` is 'cpu', a GPU's UUID, or 'auto'; ``resume`` is 'auto', 'none' or 'checkpoint-N'.
    """

    run: RunDir
    attempt: Attempt
    config: C_co
    emit: EventWriter
    stop: Stop
    device: str = "cpu"
    resume: str = "auto"

    @property
    def runs(self) -> Path:
        """The folder that holds the runs, to look up run ids used as model names."""
        named = os.environ.get("FINESTRA_RUNS")
        return Path(named) if named else self.run.path.parent

    @property
    def home(self) -> Path | None:
        """The studio's home, where users' own datasets are registered; None outside a studio."""
        named = os.environ.get("FINESTRA_HOME")
        return Path(named) if named else None

    @property
    def on_cpu(self) -> bool:
        """Whether the supervisor gave this attempt the CPU."""
        return self.device == "cpu"


class Context(Work[RunConfig]):
    """One attempt at a run that trains."""


def claim_attempt(run: RunDir) -> Attempt:
    """Return the attempt that the supervisor prepared.

    Without a supervisor (``python -m trainer RUN_DIR`` by hand) a new attempt is made, on the
    device that the config names.
    """
    latest = run.latest()
    if latest is not None and latest.settings.is_file() and not latest.events.exists():
        return latest
    attempt = run.new_attempt()
    write_json(attempt.settings, {"attempt": attempt.number, "resume": "auto", "device": "auto"})
    return attempt


def read_settings(attempt: Attempt) -> tuple[str, str]:
    """Read (device, resume) from attempt.json.

    Raises:
        Failure: The file is missing or not what the supervisor writes.
    """
    settings = read_json(attempt.settings)
    if not isinstance(settings, dict):
        raise Failure("attempt_settings", f"{attempt.settings.name} is missing or unreadable.",
                      "Start the run through the studio or `finestra train`.")
    return str(settings.get("device", "cpu")), str(settings.get("resume", "auto"))

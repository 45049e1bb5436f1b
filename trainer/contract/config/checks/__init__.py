"""What cannot be combined, each with its reason. Pure functions of the config."""

from __future__ import annotations

from trainer.contract.config.checks import (
    general,
    measuring,
    memory,
    objectives,
    optimizing,
    rollout,
    tuner,
)
from trainer.contract.config.run import RunConfig
from trainer.contract.problems import Problem


def check(config: RunConfig) -> list[Problem]:
    """Return every combination of fields that cannot work."""
    rooms = (general, measuring, objectives, rollout, tuner, optimizing, memory)
    return [problem for room in rooms for rule in room.RULES for problem in rule(config)]

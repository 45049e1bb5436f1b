"""Memory and speed: what cannot be combined."""

from __future__ import annotations

from collections.abc import Callable

from trainer.contract.config.run import RunConfig
from trainer.contract.problems import Problem

RULES: tuple[Callable[[RunConfig], list[Problem]], ...] = ()

"""What can be learned of a template without marks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Rewrite:
    """How what the assistant says is found, and why so."""

    how: Literal["rewritten", "derived", "refused"]
    reason: str


def learn(source: str, special: re.Pattern[str], render: Callable[..., Any]) -> Rewrite:
    """Return how a template is read."""
    return Rewrite("derived", "The template has no marks; each answer is found between what is "
                   "rendered before it and its end.")

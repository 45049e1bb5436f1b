"""The words of training methods, one file an area; put together here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.board.i18n.methods import (
    benchmarking,
    board,
    chat,
    conversations,
    evaluating,
    exporting,
    measuring,
    migrate,
    models,
    objectives,
    optimizing,
    preference,
    rollout,
    scoring,
    serving,
    sft,
    shown,
    system,
    tuner,
)

_AREAS = (benchmarking, board, chat, conversations, evaluating, exporting, measuring, migrate,
          models, objectives, optimizing, preference, rollout, scoring, serving, sft, shown,
          system, tuner)


def together(name: str) -> dict[str, Any]:
    """Return a table of all areas: EN, ZH, FIELDS, MESSAGES, ADVICE or REASONS."""
    found: dict[str, Any] = {}
    for area in _AREAS:
        table: Mapping[str, Any] = getattr(area, name)
        found.update(table)
    return found

"""The words of evaluations."""

from __future__ import annotations

from app.board.i18n.methods import evaluating_errors

EN: dict[str, str] = {
    "objective.evaluate": "Evaluation",
}
ZH: dict[str, str] = {
    "objective.evaluate": "评估",
}
FIELDS: dict[str, tuple[str, str]] = {}
MESSAGES = evaluating_errors.MESSAGES
ADVICE = evaluating_errors.ADVICE
REASONS: dict[str, str] = {}

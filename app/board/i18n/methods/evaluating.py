"""The words of evaluations."""

from __future__ import annotations

from app.board.i18n.methods import (
    evaluating_en,
    evaluating_errors,
    evaluating_fields,
    evaluating_zh,
)

EN: dict[str, str] = {
    **evaluating_en.EN,
    "objective.evaluate": "Evaluation",
}
ZH: dict[str, str] = {
    **evaluating_zh.ZH,
    "objective.evaluate": "评估",
}
FIELDS: dict[str, tuple[str, str]] = {}
KIND_FIELDS = evaluating_fields.KIND_FIELDS
MESSAGES = evaluating_errors.MESSAGES
ADVICE = evaluating_errors.ADVICE
REASONS: dict[str, str] = {}

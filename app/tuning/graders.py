"""OpenAI's graders as our rewards; what would grade otherwise than it says is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.serving.openai_errors import ApiError

PARAM = "method.reinforcement.grader"
_OUTPUT = re.compile(r"\s*\{\{\s*sample\.output_text\s*\}\}\s*")
_FIELD = re.compile(r"\s*\{\{\s*item\.([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)\s*"
                    r"\}\}\s*")
_WHY = {
    "text_similarity": "text similarity is not measured here",
    "python": "code that comes with a request is never run: a Python reward needs the consent of "
              "whoever runs the studio, for a file that lies there",
    "score_model": "judges are set up in the studio, not in a request",
    "label_model": "judges are set up in the studio, not in a request",
    "multi": "several graders at once are not computed here",
    "endpoint": "addresses that come with a request are never asked"}


def reward_of(grader: Any) -> tuple[dict[str, Any], str]:
    """Return (an entry of ``rollout.rewards``, the field of the rows with the reference or '').

    Raises:
        ApiError: 400: the grader is none that is known, or cannot be computed here.
    """
    if not isinstance(grader, Mapping):
        raise ApiError(400, "missing_required_parameter", "Reinforcement needs a grader.", PARAM)
    kind = str(grader.get("type"))[:60]
    if kind != "string_check":
        reason = _WHY.get(kind, "it is unknown")
        raise ApiError(400, "unsupported_grader", f"The grader '{kind}' cannot be used: {reason}. "
                       "Use string_check.", f"{PARAM}.type")
    if not _OUTPUT.fullmatch(str(grader.get("input"))):
        raise ApiError(400, "unsupported_grader", "Only whole answers are graded: the input must "
                       "be '{{sample.output_text}}'.", f"{PARAM}.input")
    return _string_check(str(grader.get("operation")), grader.get("reference"))


def _string_check(operation: str, reference: Any) -> tuple[dict[str, Any], str]:
    if not isinstance(reference, str) or not reference.strip():
        raise ApiError(400, "missing_required_parameter", "A string_check needs a reference.",
                       f"{PARAM}.reference")
    field = _FIELD.fullmatch(reference)
    if field and operation == "eq":
        return {"name": "exact_answer"}, field[1]
    if "{{" in reference:
        raise ApiError(400, "unsupported_grader", "A reference of each row, such as "
                       "'{{item.answer}}', is compared by 'eq' only, and stands alone.",
                       f"{PARAM}.reference")
    text, whole = re.escape(reference), re.escape(reference.strip())
    patterns = {"eq": {"name": "format", "pattern": whole},
                "ne": {"name": "regex", "pattern": rf"\A(?!\s*{whole}\s*\Z)"},
                "like": {"name": "regex", "pattern": text},
                "ilike": {"name": "regex", "pattern": f"(?i){text}"}}
    if operation not in patterns:
        raise ApiError(400, "invalid_value", f"'{operation[:40]}' is no operation of "
                       "string_check: eq, ne, like, ilike.", f"{PARAM}.operation")
    return patterns[operation], ""

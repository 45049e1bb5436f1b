"""Errors as OpenAI writes them: ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

import json
from typing import Any

from trainer.contract.redact import redact
from trainer.engines.errors import EngineError

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
# What engines and endpoints call it, as OpenAI does.
_CODES = {"unknown_model": (404, "model_not_found"), "endpoint_error": (502, "endpoint_error")}
# What asking again does not change: a client that is told 503 would try, and wait.
_FINAL = frozenset({
    "not_completed", "gives_scores", "base_changed", "base_not_here", "bad_checkpoint",
    "unfinished_form", "adapter_bias", "adapters_first", "engine_cannot", "unknown_engine",
    "engine_not_installed", "adapter_refused", "remote_code"})


class ApiError(ValueError):
    """A question that is refused.

    Attributes:
        status: The HTTP status.
        code: Stable name.
        param: The field of the body that it is about, or None.
    """

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        """Keep status, code and field beside the message."""
        super().__init__(message)
        self.status, self.code, self.param = status, code, param

    def document(self) -> dict[str, Any]:
        """Return the body of the answer."""
        return error_document(self.status, self.code, str(self), self.param)

    def body(self) -> bytes:
        """Return the body of the answer as bytes."""
        return json.dumps(self.document(), ensure_ascii=False).encode("utf-8", "replace")


def error_document(status: int, code: str | None, message: str,
                   param: str | None = None) -> dict[str, Any]:
    """Return an error in OpenAI's shape, without secrets."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": redact(message), "type": kind, "param": param, "code": code}}


def from_engine(error: EngineError) -> ApiError:
    """Return what a client is told when a model cannot answer; logs stay here."""
    final = error.code in _FINAL or error.code.startswith("weights_")
    status, code = _CODES.get(error.code, (400 if final else 503, error.code))
    return ApiError(status, code, f"{error} {error.advice}".strip(),
                    "model" if status == 404 else None)


def message_in(body: Any) -> str:
    """Return the message of another server's error document, '' when it has none."""
    error = body.get("error", body) if isinstance(body, dict) else ""
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or ""
    return error if isinstance(error, str) else json.dumps(error, ensure_ascii=False)

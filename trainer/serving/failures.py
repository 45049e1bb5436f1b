"""What a request can be refused for, in OpenAI's shape."""

from __future__ import annotations

from typing import Any

from trainer.failures import classify

_ADVICE_OF_TRAINING = {
    "cuda_oom": "Ask for fewer or shorter answers at once, or hold the model in fewer bits.",
    "out_of_memory": "Ask for fewer or shorter answers at once, or use a smaller model.",
    "error": "The traceback is in the engine's log.",
}


class Refused(ValueError):
    """A request cannot be answered.

    Attributes:
        status: HTTP status.
        code: Stable name, as OpenAI has it where it has one.
        param: The field that is wrong, or None.
    """

    def __init__(self, message: str, *, code: str, status: int = 400,
                 param: str | None = None) -> None:
        """Keep status, code and field beside the message."""
        super().__init__(message)
        self.message, self.code, self.status, self.param = message, code, status, param

    def document(self) -> dict[str, Any]:
        """Return the error as OpenAI writes it."""
        kind = {401: "authentication_error"}.get(
            self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param,
                          "code": self.code}}


def explain(error: Exception) -> Refused:
    """Say what an error means to a client: ours are its own fault, the rest is not."""
    if isinstance(error, Refused):
        return error
    verdict = classify(error)
    advice = _ADVICE_OF_TRAINING.get(verdict.code, verdict.advice)
    known = isinstance(error, ValueError) and hasattr(error, "code")
    return Refused(f"{verdict.message} {advice}".strip(), code=verdict.code,
                   status=400 if known else 500)

"""Why a model cannot answer."""

from __future__ import annotations

from typing import Literal

Kind = Literal["base", "run", "checkpoint", "export", "endpoint"]


class EngineError(ValueError):
    """A model cannot answer.

    Attributes:
        code: Stable name, such as 'unknown_model', 'engine_died', 'device_busy'.
        advice: What to do next.
        log: The engine's last lines, where there is one.
    """

    def __init__(self, code: str, message: str, advice: str = "", log: str = "") -> None:
        """Keep code, advice and log beside the message."""
        super().__init__(message)
        self.code, self.advice, self.log = code, advice, log

"""Why something cannot be exported, in the words of a person."""

from __future__ import annotations

from collections.abc import Callable


class ExportError(ValueError):
    """An export is not possible, or was cancelled (code 'cancelled').

    Attributes:
        code: Stable name, such as 'family_unknown', 'disk_full', 'gguf_missing'.
        message: What happened and why.
        advice: What to do next.
    """

    def __init__(self, code: str, message: str, advice: str = "") -> None:
        """Keep the code and the advice beside the message."""
        super().__init__(message)
        self.code, self.message, self.advice = code, message, advice


# (bytes written, bytes in all, what is being written)
Progress = Callable[[int, int, str], None]
# True once the export is no longer wanted.
Cancel = Callable[[], bool]


def require_wanted(cancel: Cancel | None) -> None:
    """Go on, unless the export was cancelled.

    Raises:
        ExportError: It was ('cancelled').
    """
    if cancel is not None and cancel():
        raise ExportError("cancelled", "The export was cancelled. Nothing was left behind.")

"""Why adapters or models cannot be combined, in the words of a person."""

from __future__ import annotations

from trainer.export.errors import Cancel, ExportError


class CombineError(ExportError):
    """What was asked for has no right result, or was cancelled (code 'cancelled').

    It is an ``ExportError``, because what both write with raises that one.
    """


def require_wanted(cancel: Cancel | None) -> None:
    """Go on, unless it was cancelled.

    Raises:
        CombineError: It was ('cancelled').
    """
    if cancel is not None and cancel():
        raise CombineError("cancelled", "Combining was cancelled. Nothing was left behind.")

"""Text that a spreadsheet would take for a formula stays text."""

from __future__ import annotations

STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def escape_cell(text: str) -> str:
    """Return a cell's text with an apostrophe before it when a spreadsheet would run it."""
    return f"'{text}" if text.startswith(STARTS) else text

"""The encoding of a text that says nothing about it."""

from __future__ import annotations


def guess(sample: bytes, *, whole: bool) -> str:
    """Return Python's name of the likely encoding of a text without a byte order mark."""
    return "utf-8"

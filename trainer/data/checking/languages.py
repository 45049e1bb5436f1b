"""Which language a text is written in, by py3langid (extra ``data``)."""

from __future__ import annotations

from functools import cache
from typing import Any

from trainer.data.reading.rows import DatasetError

# The beginning of a text says enough, and long ones would take long.
LOOKED_AT = 1_000


@cache
def _classifier() -> Any:
    try:
        import py3langid
    except ImportError:
        raise DatasetError("language_filter_missing", "Filtering by language needs the package "
                           "py3langid.", "Install it: pip install 'finestra[data]'.") from None
    return py3langid


def language_of(text: str) -> str:
    """Return the ISO 639-1 code of a text's language; '' for a text without letters.

    Raises:
        DatasetError: ``language_filter_missing``: the package is not installed.
    """
    looked_at = text[:LOOKED_AT]
    if not any(character.isalpha() for character in looked_at):
        return ""
    return str(_classifier().classify(looked_at)[0])

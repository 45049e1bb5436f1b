"""Judged texts between marks that nobody can close who writes one of them.

A mark carries a code that is made of all the texts of the message. Whoever writes an answer would
have to know the code of the message that the answer will stand in, which changes with every letter
of it. The same texts always give the same message, so that a verdict can be kept by it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

Part = tuple[str, str]
_DIGITS = 16


def between_marks(parts: Sequence[Part]) -> tuple[str, str]:
    """Return (the texts between marks, the code of the marks).

    Args:
        parts: (what it is, text); the names are our own words.
    """
    clean = [(name, text.encode("utf-8", "replace").decode()) for name, text in parts]
    code = _code(clean)
    return "\n\n".join(f"<<<{name} {code}>>>\n{text}\n<<<end of {name} {code}>>>"
                       for name, text in clean), code


def _code(parts: Sequence[Part]) -> str:
    """Return hexadecimal digits that stand in none of the texts."""
    made = hashlib.sha256(json.dumps(parts).encode())
    while (code := made.hexdigest()[:_DIGITS]) in "".join(text for _, text in parts):
        made.update(b"again")
    return code

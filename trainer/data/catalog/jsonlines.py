"""Values as one line of JSON, whatever a reader has made of a file."""

from __future__ import annotations

import base64
import json
from typing import Any


def json_line(value: Any) -> bytes:
    r"""Return a value as one line of UTF-8 JSON with its ``\n``.

    NaN, huge integers and lone surrogates come back as they were; bytes become base64 text,
    dates and other values text.
    """
    import orjson

    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_APPEND_NEWLINE) \
            if _finite(value) else _slow(value)
    except (TypeError, ValueError):
        return _slow(value)


def _slow(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, default=_plain)
    try:
        return text.encode("utf-8") + b"\n"
    except UnicodeEncodeError:
        return json.dumps(value, default=_plain).encode("ascii") + b"\n"


def _finite(value: Any) -> bool:
    """Tell whether a value is free of NaN and infinities, which orjson would make null."""
    if isinstance(value, float):
        return value - value == 0
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    return True


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value)).decode("ascii")
    return str(value)

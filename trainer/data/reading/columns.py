"""Values of Arrow columns and of Excel cells as plain Python: what JSON could hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any


def plain_column(column: Any) -> list[Any]:
    """Return an Arrow array as a list of plain values."""
    values: list[Any] = column.to_pylist()
    if (fix := _fixer(column.type)) is None:
        return values
    return [None if value is None else fix(value) for value in values]


def _fixer(kind: Any) -> Callable[[Any], Any] | None:
    """Return what makes values of an Arrow type plain; None when they are already."""
    from pyarrow import types

    if types.is_dictionary(kind):
        return _fixer(kind.value_type)
    if (types.is_string(kind) or types.is_large_string(kind) or types.is_integer(kind)
            or types.is_boolean(kind) or types.is_null(kind)):
        return None
    if types.is_struct(kind):
        fields = [kind.field(at) for at in range(kind.num_fields)]
        return None if all(_fixer(field.type) is None for field in fields) else plain
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return None if _fixer(kind.value_type) is None else plain
    if types.is_map(kind):
        return _mapping
    return plain


def _mapping(pairs: Any) -> Any:
    """Return a map, which Arrow gives as pairs, as an object."""
    return {str(key): plain(value) for key, value in pairs}


def plain(value: Any) -> Any:
    """Return a value as text, number, truth, list or object; None for what is not a number."""
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return _text(value)


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return _of_bytes(value)
    if isinstance(value, Decimal):
        return _of_decimal(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    inner = getattr(value, "text", None)
    return inner if isinstance(inner, str) else str(value)


def _of_bytes(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return f"<{len(value):,} bytes>"


def _of_decimal(value: Decimal) -> int | float | None:
    if not value.is_finite():
        return None
    return int(value) if value == value.to_integral_value() else float(value)

"""Texts with a class, as a question and its answer."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from trainer.data.reading.rows import RowError, listed, shown

_VERDICTS = {"true": True, "1": True, "false": False, "0": False}


@lru_cache(maxsize=64)
def instruction(classes: tuple[str, ...]) -> str:
    """Return what the user asks of each text; the classes are named when they are known."""
    if not classes:
        return "Which class does the following text belong to? Answer with the class only."
    return (f"Which of these classes does the following text belong to: {', '.join(classes)}? "
            "Answer with the class only.")


def label_name(value: Any) -> str:
    """Return a label as the name of a class, '' when it is none (null, a fraction, a list)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return value.strip() if isinstance(value, str) else ""


def in_order(name: str) -> tuple[int, str]:
    """Return what names of classes are sorted by: numbers by their value."""
    return (int(name), "") if name.lstrip("-").isdecimal() else (0, name)


def verdict(value: Any) -> bool | None:
    """Return whether an answer is desired, None when a value does not surely say so.

    Sure are true and false, 1 and 0, and these as text.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value == 1 if value in (0, 1) else None
    word = value.strip().lower() if isinstance(value, str) else ""
    return _VERDICTS.get(word)


def class_name(values: dict[str, Any], column: str, classes: tuple[str, ...]) -> str:
    """Return the name of a row's class.

    Args:
        values: The row.
        column: Where its label is: a name of a class, or a whole number.
        classes: All names; a number that is none of them counts them from 0.

    Raises:
        RowError: ``missing_column``, ``empty_text``, ``wrong_type``, or ``unknown_class``.
    """
    value = values.get(column)
    if value is None:
        raise RowError("missing_column", column, f"has {'null in' if column in values else 'no'} "
                       f"'{column}'")
    name = label_name(value)
    if not name:
        code = "empty_text" if isinstance(value, str) else "wrong_type"
        raise RowError(code, column, f"has {shown(value)} in '{column}', not the name of a class")
    if not classes or name in classes:
        return name
    if type(value) is int and 0 <= value < len(classes):
        return classes[value]
    raise RowError("unknown_class", column, f"has the class {shown(name)} in '{column}'; the "
                   f"classes are {listed(list(classes))}")

"""What comes out of a data file: rows, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Severity = Literal["error", "warning"]


class DatasetError(ValueError):
    """A dataset cannot be used; ``code`` names the kind, the text says why and what to do."""

    def __init__(self, code: str, message: str, advice: str = "") -> None:
        """Keep the code, the message and the advice; ``str()`` gives both sentences."""
        super().__init__(f"{message} {advice}".strip())
        self.code, self.message, self.advice = code, message, advice


class Row(NamedTuple):
    """One row as the file has it; a tuple, because there are millions of them.

    ``number`` is what a person counts: the physical line in JSON Lines, else the record, from 1;
    a CSV's header is not counted. In a folder the numbers run on through its files.
    """

    number: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RowProblem:
    """What is wrong with one row. An ``error`` makes the row useless, a ``warning`` does not."""

    row: int
    column: str
    code: str
    message: str
    severity: Severity = "error"

    def document(self) -> dict[str, str | int]:
        """Return the problem as scripts see it."""
        return {"row": self.row, "column": self.column, "code": self.code,
                "message": self.message, "severity": self.severity}


class RowError(ValueError):
    """A row cannot be converted; becomes a RowProblem with the row's number."""

    def __init__(self, code: str, column: str, message: str) -> None:
        """Keep the column and the text without the row's number."""
        super().__init__(message)
        self.code, self.column, self.message = code, column, message


def shown(value: Any, limit: int = 60) -> str:
    """Show a value of a cell shortly, on one line."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def listed(names: list[str], limit: int = 12) -> str:
    """Name columns or files in a sentence: ``'a', 'b' and 3 more``."""
    text = ", ".join(f"'{name}'" for name in names[:limit])
    more = len(names) - limit
    return f"{text} and {more} more" if more > 0 else text or "none"

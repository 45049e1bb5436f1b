"""One row as a page shows it: its cells as they are, and what the model will see of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CELL_LIMIT = 20_000
SHOWN_CELLS = 200


@dataclass(frozen=True)
class Cell:
    """One column of a row; ``role`` is what the mapping makes of it, ``left_out`` characters."""

    column: str
    text: str
    role: str = ""
    left_out: int = 0


@dataclass(frozen=True)
class Piece:
    """A stretch of text that is treated alike."""

    text: str
    trained: bool = False
    special: bool = False
    cut: bool = False


@dataclass(frozen=True)
class Side:
    """What the model sees of a row, or of one answer of a pair; counts are in tokens."""

    name: str
    pieces: tuple[Piece, ...]
    tokens: int
    trained: int
    cut: int = 0
    dropped: bool = False


@dataclass(frozen=True)
class RowView:
    """A row, and why parts of it are missing; ``problem`` and ``error`` have code, text, advice.

    ``rows`` is the kind of rows that it is read as (``turns``, ``prompts``, ...), ``reference`` the
    right answer to a prompt, or the name of a text's class.
    """

    number: int
    cells: tuple[Cell, ...] = ()
    columns_left_out: int = 0
    problem: tuple[str, str, str] | None = None
    error: tuple[str, str, str] | None = None
    sides: tuple[Side, ...] = ()
    tools: tuple[str, ...] = ()
    label: bool | None = None
    reference: str = ""
    template: str = ""
    notes: tuple[str, ...] = field(default=())
    rows: str = ""

    def document(self) -> dict[str, Any]:
        """Return the row as REST shows it, without what ``preview`` has."""
        code, message, advice = self.problem or ("", "", "")
        return {"row": self.number,
                "columns": {cell.column: cell.text for cell in self.cells},
                "problem": {"code": code, "message": message, "advice": advice} if code else None,
                "label": self.label, "reference": self.reference}


def cells_of(values: Mapping[str, Any], mapping: Mapping[str, str]) -> tuple[tuple[Cell, ...], int]:
    """Return a row's first columns as text, and how many columns are left out."""
    roles: dict[str, str] = {}
    for role, column in mapping.items():
        if not role.endswith("_tag") or role == "kto_tag":
            roles.setdefault(str(column).partition("[")[0].partition(".")[0], role)
            roles[str(column)] = role
    shown = [_cell(str(name), value, roles.get(str(name), ""))
             for name, value in list(values.items())[:SHOWN_CELLS]]
    return tuple(shown), max(0, len(values) - SHOWN_CELLS)


def _cell(name: str, value: Any, role: str) -> Cell:
    words = value if isinstance(value, str) else json.dumps(
        value, ensure_ascii=False, indent=2, default=str)
    return Cell(name, words[:CELL_LIMIT], role, max(0, len(words) - CELL_LIMIT))


def split_special(text: str, specials: Sequence[str]) -> list[tuple[str, bool]]:
    """Return a text in stretches, and of each whether it is a special token."""
    found: list[tuple[str, bool]] = []
    rest = 0
    for start, end in _places(text, specials):
        if start > rest:
            found.append((text[rest:start], False))
        found.append((text[start:end], True))
        rest = end
    if rest < len(text):
        found.append((text[rest:], False))
    return found


def _places(text: str, specials: Sequence[str]) -> list[tuple[int, int]]:
    """Return where special tokens stand, the longest first where several begin."""
    import re

    named = sorted((s for s in specials if s), key=len, reverse=True)
    if not named:
        return []
    pattern = re.compile("|".join(map(re.escape, named)))
    return [match.span() for match in pattern.finditer(text)]

"""What a format's reader gets and gives: rows in batches, each with its place in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from trainer.data.reading.rowindex import Watch
from trainer.data.reading.rows import Row, RowProblem
from trainer.data.reading.sources import Part

Item = Row | RowProblem


class Batch(NamedTuple):
    """Rows that stand together.

    ``row`` is the number of the first line or record, ``following`` of the first after them;
    ``offset`` is a place to come back to, 0 for none.
    """

    row: int
    offset: int
    items: list[Item]
    following: int


@dataclass(frozen=True)
class Source:
    """One file, from the row ``row`` on, which stands at ``offset``; ``wanted`` may be later.

    Rows before ``wanted`` need not be made, only counted.
    """

    part: Part
    watch: Watch
    row: int = 1
    offset: int = 0
    base: int = 0
    wanted: int = 1


Reader = Callable[[Source], Iterator[Batch]]

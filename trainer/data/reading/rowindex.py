"""Where the rows of a dataset are: a sparse index, so that any row opens without a new reading."""

from __future__ import annotations

import json
import os
from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from trainer.data.reading.rows import DatasetError
from trainer.data.reading.sources import DatasetSpec, Stamp

_MAGIC = b"FINESTRA-ROWS-1\n"


class Place(NamedTuple):
    """A place from which rows can be read.

    ``row`` is the number of the first row there, ``base`` the rows before its file.
    ``offset`` is a byte in the file (a batch in Parquet and Arrow files); 0 is its beginning.
    """

    row: int
    part: int
    offset: int
    base: int


class RowIndex:
    """(row, file, offset) of about every block of a dataset, in the order of rows.

    ``stamp`` is that of the files which were indexed, ``rows`` the last row's number when
    ``complete``.
    """

    def __init__(self, stamp: Stamp = ()) -> None:
        """Begin an index without places."""
        self.stamp, self.rows, self.complete = stamp, 0, False
        self._rows, self._parts, self._offsets = array("q"), array("q"), array("q")
        self._starts: list[int] = []

    def __len__(self) -> int:
        """Return the number of places."""
        return len(self._rows)

    def begin_part(self, base: int) -> None:
        """Note that a file begins after so many rows."""
        self._starts.append(base)
        self.add(base + 1, 0)

    def add(self, row: int, offset: int) -> None:
        """Note where a row of the present file stands; a place of the same row is replaced."""
        part = len(self._starts) - 1
        if self._rows and self._rows[-1] >= row and self._parts[-1] == part:
            return
        self._rows.append(row)
        self._parts.append(part)
        self._offsets.append(offset)

    def nearest(self, row: int) -> Place:
        """Return the last known place at or before a row."""
        at = bisect_right(self._rows, row) - 1
        if at < 0:
            return Place(1, 0, 0, 0)
        part = self._parts[at]
        return Place(self._rows[at], part, self._offsets[at], self._starts[part])

    def part_of(self, row: int) -> tuple[int, int]:
        """Return (number of the file, the row's number in it)."""
        part = max(bisect_right(self._starts, row - 1) - 1, 0)
        return part, row - (self._starts[part] if self._starts else 0)

    def require(self, spec: DatasetSpec) -> None:
        """Refuse to be used for files that have changed since.

        Raises:
            DatasetError: ``stale_index``.
        """
        if self.stamp != spec.stamp():
            raise DatasetError("stale_index", f"'{spec.file_name}' has changed since it was "
                               "checked.", "Check it again.")

    def save(self, path: Path) -> None:
        """Write the index; a reader sees the old one or the new one."""
        head = json.dumps({"stamp": self.stamp, "rows": self.rows, "complete": self.complete,
                           "starts": self._starts, "places": len(self)}).encode()
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with open(temporary, "wb") as file:
            file.write(_MAGIC + head + b"\n")
            for numbers in (self._rows, self._parts, self._offsets):
                file.write(numbers.tobytes())
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: Path, spec: DatasetSpec | None = None) -> RowIndex:
        """Read an index; with ``spec``, refuse one of files that have changed since.

        Raises:
            DatasetError: ``bad_index`` when it is missing or broken, ``stale_index``.
        """
        try:
            index = cls._parsed(path.read_bytes())
        except (OSError, ValueError, KeyError, TypeError):
            raise DatasetError("bad_index", f"The row index '{path.name}' cannot be read.",
                               "Check the dataset again.") from None
        if spec is not None:
            index.require(spec)
        return index

    @classmethod
    def _parsed(cls, raw: bytes) -> RowIndex:
        if not raw.startswith(_MAGIC):
            raise ValueError("not an index")
        head, _, body = raw[len(_MAGIC):].partition(b"\n")
        values = json.loads(head)
        index = cls(tuple((str(p), int(s), int(t)) for p, s, t in values["stamp"]))
        index.rows, index.complete = int(values["rows"]), bool(values["complete"])
        index._starts = [int(base) for base in values["starts"]]
        size = int(values["places"]) * index._rows.itemsize
        if len(body) != 3 * size:
            raise ValueError("torn")
        for at, numbers in enumerate((index._rows, index._parts, index._offsets)):
            numbers.frombytes(body[at * size:(at + 1) * size])
        return index


@dataclass
class Watch:
    """What a reading has seen so far; the reader fills it in, the caller looks.

    ``encodings`` maps a file's name to its encoding, ``notes`` are sentences on what was done
    so that a file could be read. ``index`` is complete after a reading to the end from row 1.
    """

    bytes_done: int = 0
    bytes_total: int = 0
    encodings: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    index: RowIndex = field(default_factory=RowIndex)

    def note(self, sentence: str) -> None:
        """Keep a sentence once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def where(self, spec: DatasetSpec, row: int) -> str:
        """Name a row for a person: ``Row 7 of a.jsonl``, in a folder with the file's own row."""
        if not spec.is_folder:
            return f"Row {row} of {spec.file_name}"
        part, own = self.index.part_of(row)
        return where_in(spec, part, row, own)


def where_in(spec: DatasetSpec, part: int, row: int, own: int) -> str:
    """Name a row of a folder's file."""
    return f"Row {row} of {spec.file_name} (row {own} of {spec.parts[part].name})"

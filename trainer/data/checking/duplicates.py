"""Rows that say the same: a 64-bit hash of each, and which of them repeat an earlier one."""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import xxhash

from trainer.data.shapes.fast import texts_of
from trainer.data.shapes.messages import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SEPARATOR = "\x1f"
# So many hashes are sorted at once: the memory beside the hashes themselves.
PART_ROWS = 2**20


def hash_text(text: str) -> int:
    """Return the 64-bit hash (xxh3) of a text; halves of characters count as they are."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))


def hash_example(example: Example) -> int:
    """Return the 64-bit hash of all that is learned from an example.

    Rows that say the same have the same hash, whatever their other columns hold. Two of 20 million
    different rows share one with a probability of about 1 in 100,000.
    """
    texts = texts_of(example)
    extras = _extras(example)
    return hash_text(SEPARATOR.join((*texts, extras) if extras else texts))


def _extras(example: Example) -> str:
    """Return as text what an example says besides its texts: calls, tools and the label."""
    turns = [*example.messages, *example.chosen, *example.rejected]
    calls = [turn.tool_calls for turn in turns if turn.tool_calls]
    if not calls and not example.tools and example.label is None:
        return ""
    return json.dumps([calls, example.tools, example.label], sort_keys=True, default=str)


class RowHashes:
    """Hashes of rows in the file's order: 8 bytes a row, and 16 wherever the numbers jump."""

    def __init__(self) -> None:
        """Begin without rows."""
        self._hashes = array("Q")
        self._jumps_at, self._shifts = array("Q", [0]), array("Q", [1])
        self._shift = 1

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._hashes)

    def add(self, row: int, value: int) -> None:
        """Add a row with its hash; rows come with growing numbers."""
        count = len(self._hashes)
        if row - count != self._shift:
            self._shift = row - count
            self._jumps_at.append(count)
            self._shifts.append(self._shift)
        self._hashes.append(value)

    def _row(self, ordinal: int) -> int:
        return ordinal + self._shifts[bisect_right(self._jumps_at, ordinal) - 1]

    def repeats(self) -> Iterator[tuple[int, int]]:
        """Yield (row, first row that is the same) of each row that repeats one, in order."""
        import numpy as np

        if not self._hashes:
            return
        firsts = _firsts(np.frombuffer(self._hashes, dtype=np.uint64))
        for start in range(0, len(firsts), PART_ROWS):
            part = firsts[start:start + PART_ROWS]
            for offset in np.flatnonzero(part != np.arange(start, start + len(part))).tolist():
                yield self._row(start + offset), self._row(int(part[offset]))


def _firsts(hashes: NDArray[np.uint64]) -> NDArray[Any]:
    """Return for each hash the place of the first that equals it.

    hashes: (N,) uint64. Hashes are sorted in parts that share their lowest bits, so that the
    memory needed beside the result (4 bytes a row) does not grow with N.
    """
    import numpy as np

    count = len(hashes)
    firsts = np.arange(count, dtype=np.uint32 if count < 2**32 else np.uint64)
    parts = 1 << max(0, (count - 1) // PART_ROWS).bit_length()
    for part in range(parts):
        places = _places(hashes, part, parts - 1)
        if len(places) < 2:
            continue
        order = np.argsort(hashes[places], kind="stable")
        values = hashes[places[order]]
        begins = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
        if len(begins) == len(values):
            continue
        lengths = np.diff(np.append(begins, len(values)))
        firsts[places[order]] = np.repeat(places[order[begins]], lengths)
    return firsts


def _places(hashes: NDArray[np.uint64], part: int, mask: int) -> NDArray[Any]:
    """Return where the hashes with these lowest bits stand."""
    import numpy as np

    bits, wanted = np.uint64(mask), np.uint64(part)
    found = [np.flatnonzero((hashes[start:start + PART_ROWS] & bits) == wanted) + start
             for start in range(0, len(hashes), PART_ROWS)]
    return np.concatenate(found)

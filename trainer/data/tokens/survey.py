"""A first reading of a large dataset: how many rows there are, where, and which repeat others."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.data.reading.readers import read
from trainer.data.reading.rowindex import Watch
from trainer.data.reading.rows import Row, RowError, RowProblem
from trainer.data.shapes.convert import convert
from trainer.data.shapes.messages import Example
from trainer.data.shapes.recognise import Shape
from trainer.data.tokens.request import PrepareRequest, Say, every, sound_shape

INDEX = "rows.idx"
REPEATS = "repeats.bin"


def survey(params: Mapping[str, Any], say: Say) -> dict[str, int]:
    """Read a dataset once; writes INDEX and REPEATS into ``params['folder']``.

    Returns:
        ``rows`` that were read and the number of the ``last`` one.

    Raises:
        DatasetError: The file cannot be read.
    """
    request = PrepareRequest.from_document(params)
    spec = request.data.spec()
    shape = sound_shape(request.data, spec, request.objective)
    watch, tick, finder = Watch(), every(say), _finder(request)
    rows = last = 0
    for item in read(spec, max_samples=request.max_samples, watch=watch):
        rows, last = rows + 1, item.row if isinstance(item, RowProblem) else item.number
        tick(surveyed=rows, bytes_done=watch.bytes_done, bytes_total=watch.bytes_total)
        if finder is not None and isinstance(item, Row):
            _look(item, shape, finder)
    folder = Path(params["work_folder"])
    watch.index.save(folder / INDEX)
    (folder / REPEATS).write_bytes(array("q", finder.rows() if finder else []).tobytes())
    return {"rows": rows, "last": last}


def _look(row: Row, shape: Shape, finder: _Exact | _Near) -> None:
    try:
        finder.look(convert(row, shape))
    except RowError:
        return


@dataclass
class _Exact:
    """Finds rows that say the same as an earlier one."""

    hashes: Any

    def look(self, example: Example) -> None:
        from trainer.data.checking.duplicates import hash_example

        self.hashes.add(example.row, hash_example(example))

    def rows(self) -> list[int]:
        return [row for row, _ in self.hashes.repeats()]


@dataclass
class _Near:
    """Finds rows that say nearly the same as an earlier one."""

    finder: Any
    found: list[int] = field(default_factory=list)

    def look(self, example: Example) -> None:
        if self.finder.seen(example) is not None:
            self.found.append(example.row)

    def rows(self) -> list[int]:
        return self.found


def _finder(request: PrepareRequest) -> _Exact | _Near | None:
    if request.deduplicate == "exact":
        from trainer.data.checking.duplicates import RowHashes

        return _Exact(RowHashes())
    if request.deduplicate == "near":
        from trainer.data.checking.near import NearFinder

        return _Near(NearFinder(request.near_threshold))
    return None


def read_repeats(path: Path) -> frozenset[int]:
    """Return the numbers of the rows that repeat others, as ``survey`` wrote them."""
    rows = array("q")
    rows.frombytes(path.read_bytes())
    return frozenset(rows)


"""The answers of one model, found again without holding them: a file may be a gigabyte.

An index says where each line begins and what it scored; it is made once of an unchanged file, by
reading it a line at a time. Texts are read when they are asked for, line by line.
"""

from __future__ import annotations

import json
import math
import os
import stat
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import orjson

Line = dict[str, Any]
_KEPT = 32
_NOTHING = math.nan
_TEXTS = ("prompt", "reference", "prediction")


@dataclass
class Index:
    """Where the lines of a predictions file begin, and what each has scored.

    Attributes:
        offsets: Of each line, in bytes.
        rows: Of the dataset, from 1.
        datasets: Their names; ``dataset`` has the place in it of each line.
        mistakes: Kinds of wrong answers, '' among them; ``mistake`` has the place of each line.
        scores: Metric to the score of each line, NaN where there is none.
    """

    offsets: array[int] = field(default_factory=lambda: array("q"))
    rows: array[int] = field(default_factory=lambda: array("q"))
    datasets: list[str] = field(default_factory=list)
    dataset: array[int] = field(default_factory=lambda: array("H"))
    mistakes: list[str] = field(default_factory=list)
    mistake: array[int] = field(default_factory=lambda: array("H"))
    scores: dict[str, array[float]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return how many lines there are."""
        return len(self.offsets)

    def of(self, dataset: str) -> list[int]:
        """Return the places of a dataset's lines."""
        if dataset not in self.datasets:
            return []
        wanted = self.datasets.index(dataset)
        return [at for at, which in enumerate(self.dataset) if which == wanted]

    def score(self, metric: str, at: int) -> float | None:
        """Return a line's score; None where there is none."""
        values = self.scores.get(metric)
        value = _NOTHING if values is None else values[at]
        return None if math.isnan(value) else value

    def kind(self, at: int) -> str:
        """Return what kind of mistake a line is; '' for none."""
        return self.mistakes[self.mistake[at]]

    def add(self, offset: int, line: Line) -> None:
        """Add a line."""
        place = len(self)
        self.offsets.append(offset)
        self.rows.append(_whole(line.get("row")))
        self.dataset.append(_place(self.datasets, str(line.get("dataset") or "")))
        self.mistake.append(_place(self.mistakes, str(line.get("mistake") or "")))
        found = line.get("score")
        given = found if isinstance(found, dict) else {}
        for metric in given.keys() - self.scores.keys():
            self.scores[metric] = array("d", [_NOTHING] * place)
        for metric, values in self.scores.items():
            values.append(number_of(given.get(metric)))


def index_of(path: Path) -> Index:
    """Return the index of a predictions file; an empty one when there is no such file.

    Raises:
        OSError: It is there and cannot be read.
    """
    now = _now(path)
    return Index() if now is None else _index(now)


def having(path: Path, search: str) -> bytes:
    """Return 1 for each line in whose prompt, reference or answer a text stands, else 0.

    Whatever the case. An unchanged file is read once for a text, so that the next page of what
    was found, or another order of it, costs nothing.

    Raises:
        OSError: It is there and cannot be read.
    """
    now = _now(path)
    return b"" if now is None else _having(now, search.casefold())


@dataclass(frozen=True)
class _Now:
    """A file as it is now: a changed one is another one."""

    path: str
    changed_ns: int
    size: int


def _now(path: Path) -> _Now | None:
    """Return a file as it is; None where there is none, or something else in its place."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return _Now(str(path), found.st_mtime_ns, found.st_size) if stat.S_ISREG(found.st_mode) \
        else None


@lru_cache(maxsize=_KEPT)
def _index(now: _Now) -> Index:
    index = Index()
    for offset, line in _lines(now):
        index.add(offset, line)
    return index


@lru_cache(maxsize=_KEPT)
def _having(now: _Now, folded: str) -> bytes:
    return bytes(any(folded in text_of(line.get(name)).casefold() for name in _TEXTS)
                 for _, line in _lines(now))


def _lines(now: _Now) -> Iterator[tuple[int, Line]]:
    """Yield the lines that can be read, each with where it begins."""
    offset = 0
    with open(now.path, "rb") as file:
        for raw in file:
            if (line := parse(raw)) is not None:
                yield offset, line
            offset += len(raw)


def parse(raw: bytes) -> Line | None:
    """Return a line's values; None for what is torn or no object."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        # Halves of surrogates and NaN, which the standard library takes.
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


class Lines:
    """Reads lines of one open file by their places."""

    def __init__(self, file: IO[bytes], index: Index) -> None:
        """Read from ``file``, which ``index`` describes."""
        self._file, self._index = file, index

    def at(self, place: int) -> Line:
        """Return the line of that place; an empty one when the file was changed meanwhile."""
        self._file.seek(self._index.offsets[place])
        return parse(self._file.readline()) or {}


@contextmanager
def opened(paths: Sequence[Path]) -> Iterator[list[Lines | None]]:
    """Open predictions files together; None stands for one that is not there."""
    files: list[IO[bytes] | None] = []
    try:
        for path in paths:
            plain = path.is_file() and not path.is_symlink()
            files.append(path.open("rb") if plain else None)
        yield [Lines(file, index_of(path)) if file else None
               for file, path in zip(files, paths, strict=True)]
    finally:
        for file in files:
            if file is not None:
                file.close()


def text_of(value: Any) -> str:
    """Return a value of a line as text."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _place(names: list[str], name: str) -> int:
    """Return where a name stands, adding it; there are few."""
    if name in names:
        return names.index(name)
    if len(names) < 65535:
        names.append(name)
    return len(names) - 1


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) \
        and abs(value) < 2**62 else 0


def number_of(value: Any) -> float:
    """Return a score of a line; NaN for what is none."""
    try:
        return float(value) if isinstance(value, (int, float)) else _NOTHING
    except OverflowError:
        return _NOTHING

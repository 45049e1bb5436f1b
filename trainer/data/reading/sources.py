"""A dataset's files: which they are, and whether they can be read at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainer.data.reading.entry import DatasetEntry
from trainer.data.reading.rows import DatasetError, listed

Origin = Literal["shared", "user", "path"]
Stamp = tuple[tuple[str, int, int], ...]
TEXT_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".md")
SUFFIXES = (*TEXT_SUFFIXES, ".parquet", ".arrow", ".xlsx")
COMPRESSED = (".gz", ".zst")
ENDINGS = (*SUFFIXES, *COMPRESSED)


@dataclass(frozen=True)
class Part:
    """One file of a dataset.

    ``path`` is resolved, ``name`` is what a person calls the file: a link's own name.
    ``compression`` is '', 'gz' or 'zst'.
    """

    path: Path
    suffix: str
    compression: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        """Take the file's own name where none is given."""
        if not self.name:
            object.__setattr__(self, "name", self.path.name)


@dataclass(frozen=True)
class DatasetSpec:
    """A readable file, or a folder of such, with the meaning that a registry gives its columns.

    ``path`` is resolved (no symbolic links left). ``suffix`` is one of SUFFIXES. ``parts`` are
    the files in the order of reading; without any, ``path`` is the only one.
    """

    name: str
    path: Path
    suffix: str
    origin: Origin = "path"
    entry: DatasetEntry | None = None
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        """Make a single file its own part."""
        if not self.parts:
            ending = self.path.suffix.lower()
            compression = ending[1:] if ending in COMPRESSED else ""
            object.__setattr__(self, "parts", (Part(self.path, self.suffix, compression),))

    @property
    def file_name(self) -> str:
        """The name of the file, or of the folder, for messages."""
        return self.path.name if self.is_folder else self.parts[0].name

    @property
    def is_folder(self) -> bool:
        """Whether ``path`` is a folder of files."""
        return self.parts[0].path != self.path

    @property
    def compressed(self) -> bool:
        """Whether a file has to be decompressed."""
        return any(part.compression for part in self.parts)

    @property
    def ending(self) -> str:
        """The ending that a copy of the (first) file needs: ``.jsonl.gz``."""
        first = self.parts[0]
        return f"{first.suffix}.{first.compression}" if first.compression else first.suffix

    def size(self) -> int:
        """Return the bytes of all files; DatasetError when one is gone."""
        return sum(size for _, size, _ in self.stamp())

    def stamp(self) -> Stamp:
        """Return (path, size in bytes, mtime in ns) of every file: what changes when one does.

        Raises:
            DatasetError: A file is gone.
        """
        return tuple(_stamp(part.path) for part in self.parts)


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:
        raise _missing(path) from None
    return str(path), found.st_size, found.st_mtime_ns


def locate(path: Path, *, name: str, origin: Origin = "path",
           entry: DatasetEntry | None = None) -> DatasetSpec:
    """Check that a path is a file, or a folder of files, which can be read as a dataset.

    Raises:
        DatasetError: Missing, not a regular file, empty, of a format not supported, or a folder
            without files of one format.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        raise _missing(path) from None
    if stat.S_ISDIR(found.st_mode):
        from trainer.data.reading.folders import shards

        parts = shards(path)
        return DatasetSpec(name=name, path=path.resolve(), suffix=parts[0].suffix, origin=origin,
                           entry=entry, parts=parts)
    if not stat.S_ISREG(found.st_mode):
        raise DatasetError("not_a_file", f"'{path}' is not a regular file.", "Name a file.")
    part = part_of(path)
    if not found.st_size:
        raise DatasetError("empty", f"The file '{path.name}' is empty.",
                           "Choose a file with rows.")
    return DatasetSpec(name=name, path=part.path, suffix=part.suffix, origin=origin, entry=entry,
                       parts=(part,))


def part_of(path: Path) -> Part:
    """Return a file as a part; DatasetError when its format is not supported."""
    suffix, compression = format_of(path)
    return Part(path.resolve(), suffix, compression, path.name)


def _missing(path: Path) -> DatasetError:
    return DatasetError("missing_file", f"There is no file '{path}'.", "Check the path.")


def format_of(path: Path) -> tuple[str, str]:
    """Return (suffix, '' | 'gz' | 'zst') by the file's name; the file is not looked at.

    Raises:
        DatasetError: No format that can be read has this ending.
    """
    suffixes = [s.lower() for s in path.suffixes[-2:]]
    compression = suffixes.pop()[1:] if suffixes and suffixes[-1] in COMPRESSED else ""
    suffix = suffixes[-1] if suffixes else ""
    if suffix in SUFFIXES and not (compression and suffix not in TEXT_SUFFIXES):
        return suffix, compression
    kind = "".join(s.lower() for s in path.suffixes[-2:]) or "no ending"
    raise DatasetError("unsupported_format",
                       f"'{path.name}' ({kind}) is not a format that can be read.",
                       f"{_HINTS.get(suffix, '')}Convert it to one of {', '.join(SUFFIXES)}; "
                       "text formats may also end in .gz or .zst.")


_HINTS = {".xls": "Save it as .xlsx in Excel or LibreOffice. ",
          ".zip": "Unpack it and name the file inside. ",
          ".ndjson": "It is JSON Lines: rename it to .jsonl. ",
          ".feather": "It is an Arrow file: rename it to .arrow. "}


def outside(spec: DatasetSpec, roots: Iterable[Path]) -> Path | None:
    """Return the first of a dataset's files that lies in none of the folders; None when all do.

    Symbolic links are followed: a link that leads out of a folder does not lie in it.
    """
    known = [root.resolve() for root in roots]
    for path in (spec.path, *(part.path for part in spec.parts)):
        real = path.resolve()
        if not any(real.is_relative_to(root) for root in known):
            return path
    return None


def listed_files(folder: Path) -> str:
    """Name what a folder holds, for advice."""
    return listed(sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")), 8)

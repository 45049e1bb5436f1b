"""A dataset's file: which one it is, and whether it can be read at all."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainer.data.entry import DatasetEntry
from trainer.data.rows import DatasetError, listed

Origin = Literal["shared", "user", "path"]
SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".md")
COMPRESSED = ".gz"
ENDINGS = (*SUFFIXES, COMPRESSED)


@dataclass(frozen=True)
class DatasetSpec:
    """A readable file with the meaning that a registry gives its columns, if any.

    ``path`` is resolved (no symbolic links left). ``suffix`` is one of SUFFIXES.
    """

    name: str
    path: Path
    suffix: str
    compressed: bool = False
    origin: Origin = "path"
    entry: DatasetEntry | None = None

    @property
    def file_name(self) -> str:
        """The file's own name, for messages."""
        return self.path.name

    def stamp(self) -> tuple[str, int, int]:
        """Return (path, size in bytes, mtime in ns): what changes when the file does.

        Raises:
            DatasetError: The file is gone.
        """
        try:
            found = self.path.stat()
        except OSError:
            raise _missing(self.path) from None
        return str(self.path), found.st_size, found.st_mtime_ns


def locate(path: Path, *, name: str, origin: Origin = "path",
           entry: DatasetEntry | None = None) -> DatasetSpec:
    """Check that a path is a file which can be read as a dataset.

    Raises:
        DatasetError: Missing, a folder, not a regular file, empty, or of a format not supported.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        raise _missing(path) from None
    if stat.S_ISDIR(found.st_mode):
        files = sorted(p.name for p in path.iterdir() if p.is_file())
        raise DatasetError("is_folder", f"'{path}' is a folder, not a file.",
                           f"Name one of its files: {listed(files, 8)}.")
    if not stat.S_ISREG(found.st_mode):
        raise DatasetError("not_a_file", f"'{path}' is not a regular file.", "Name a file.")
    suffix, compressed = format_of(path)
    if not found.st_size:
        raise DatasetError("empty", f"The file '{path.name}' is empty.",
                           "Choose a file with rows.")
    return DatasetSpec(name=name, path=path.resolve(), suffix=suffix, compressed=compressed,
                       origin=origin, entry=entry)


def _missing(path: Path) -> DatasetError:
    return DatasetError("missing_file", f"There is no file '{path}'.", "Check the path.")


def format_of(path: Path) -> tuple[str, bool]:
    """Return (suffix, whether gzip-compressed) by the file's name; the file is not looked at.

    Raises:
        DatasetError: No format that can be read has this ending.
    """
    suffixes = [s.lower() for s in path.suffixes[-2:]]
    compressed = bool(suffixes) and suffixes[-1] == COMPRESSED
    suffix = "".join(suffixes[:-1][-1:] if compressed else suffixes[-1:])
    if suffix not in SUFFIXES:
        kind = "".join(suffixes) or "no ending"
        raise DatasetError("unsupported_format",
                           f"'{path.name}' ({kind}) is not a format that can be read.",
                           f"Convert it to one of {', '.join(SUFFIXES)}, each also with .gz.")
    return suffix, compressed

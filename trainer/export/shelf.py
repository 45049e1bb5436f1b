"""The folder of an export while it grows: finished pieces are kept, and the whole appears at once.

``export.partial/pieces.json`` names what is whole, with sizes and hashes; a new attempt goes on
from there. ``export/export.json`` is written last of all, before the folder is renamed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.contract.files import fsync_folder, read_json, write_json
from trainer.contract.rundir import RunDir
from trainer.manifest import file_hash

PIECES = "pieces.json"
SCRATCH = ".scratch"
INDEX = "export.json"


@dataclass
class Shelf:
    """The pieces of one export.

    ``pieces`` maps a format to what was written: its folder or file and the files in it, relative
    to the export, with bytes and SHA-256, and notes for a person.
    """

    run: RunDir
    fingerprint: str
    pieces: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def partial(self) -> Path:
        """Where it grows."""
        return self.run.path / "export.partial"

    @property
    def scratch(self) -> Path:
        """For what does not stay."""
        return self.partial / SCRATCH

    @classmethod
    def open(cls, run: RunDir, fingerprint: str) -> tuple[Shelf, bool]:
        """Go on with what an earlier attempt has left, if it was made of the same weights.

        Returns:
            (the shelf, whether something was thrown away).
        """
        shelf = cls(run, fingerprint)
        left = read_json(shelf.partial / PIECES)
        is_same = isinstance(left, dict) and left.get("fingerprint") == fingerprint
        if is_same:
            shelf.pieces = {name: piece for name, piece in left["pieces"].items()
                            if shelf._is_whole(piece)}
        thrown = shelf.partial.is_dir() and isinstance(left, dict) and not is_same
        shelf._sweep()
        shelf.partial.mkdir(parents=True, exist_ok=True)
        shelf._write()
        return shelf, thrown

    def _is_whole(self, piece: dict[str, Any]) -> bool:
        return all((path := self.partial / name).is_file() and path.stat().st_size == size
                   for name, size, _ in piece["files"])

    def _sweep(self) -> None:
        """Remove what belongs to no finished piece."""
        kept = {name for piece in self.pieces.values() for name, _, _ in piece["files"]}
        for path in sorted(self.partial.rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink():
                if not any(path.iterdir()):
                    path.rmdir()
            elif str(path.relative_to(self.partial)) not in kept:
                path.unlink()

    def add(self, name: str, path: Path, notes: list[str]) -> None:
        """Write down that a piece is whole."""
        files = [[str(each.relative_to(self.partial)), each.stat().st_size, file_hash(each)]
                 for each in _files(path)]
        self.pieces[name] = {"path": str(path.relative_to(self.partial)), "files": files,
                             "bytes": sum(size for _, size, _ in files), "notes": notes}
        self._write()

    def _write(self) -> None:
        write_json(self.partial / PIECES, {"fingerprint": self.fingerprint,
                                           "pieces": self.pieces})

    def finish(self, about: dict[str, Any]) -> Path:
        """Turn the growing folder into the export, at once; returns the folder."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        (self.partial / PIECES).unlink(missing_ok=True)
        write_json(self.partial / INDEX, {"version": 1, **about, "pieces": self.pieces})
        os.replace(self.partial, self.run.export)
        fsync_folder(self.run.path)
        return self.run.export


def _files(path: Path) -> Iterator[Path]:
    yield from [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


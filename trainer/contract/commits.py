"""Committed checkpoints: ``COMMITTED.json`` is written last and names every file and its size.

The Hugging Face Trainer does not write checkpoints atomically; a folder without a valid mark is
garbage from a crash. Small files and every file that needs pickle are also hashed, so that a
resume never unpickles what this trainer did not write (rule R2).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from trainer.contract.files import read_json, write_json

MARK = "COMMITTED.json"
SMALL_BYTES = 1_000_000
PICKLED = (".pt", ".pth", ".bin")


@dataclass(frozen=True)
class CheckpointInfo:
    """What is known of one checkpoint folder; ``problem`` is '' when it can be used."""

    step: int
    path: Path
    size_bytes: int
    problem: str = ""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> dict[str, Path]:
    return {str(p.relative_to(folder)): p for p in sorted(folder.rglob("*"))
            if p.is_file() and p.name != MARK}


def commit(folder: Path, step: int) -> int:
    """Write the mark; every file must already be complete. Returns the size in bytes."""
    files = {}
    for name, path in _files(folder).items():
        entry: dict[str, object] = {"size": path.stat().st_size}
        if path.stat().st_size <= SMALL_BYTES or path.suffix in PICKLED:
            entry["sha256"] = _sha256(path)
        files[name] = entry
    write_json(folder / MARK, {"version": 1, "step": step, "files": files})
    return sum(p.stat().st_size for p in _files(folder).values())


def find_problem(folder: Path, *, thorough: bool = True) -> str:
    """Say why a checkpoint cannot be used, or '' when every file is as it was committed.

    Args:
        folder: The checkpoint's folder.
        thorough: Hash the large pickles too, which reads them whole. A resume needs that; a look
            at what there is does not, and asks often.
    """
    mark = read_json(folder / MARK)
    if not isinstance(mark, dict) or not isinstance(mark.get("files"), dict):
        return "it was never committed (the save was cut short)"
    for name, entry in mark["files"].items():
        path = folder / name
        if path.is_symlink() or not path.resolve().is_relative_to(folder.resolve()):
            return f"{name} is a link out of the folder"
        if not path.is_file():
            return f"{name} is missing"
        size = path.stat().st_size
        if size != entry.get("size"):
            return f"{name} has {size} bytes, {entry.get('size')} were written"
        hashed = "sha256" in entry and (thorough or size <= SMALL_BYTES)
        if hashed and _sha256(path) != entry["sha256"]:
            return f"{name} was changed after it was written"
    unknown = [n for n, p in _files(folder).items()
               if n not in mark["files"] and p.suffix in PICKLED]
    return f"{unknown[0]} was not written by this run" if unknown else ""


def list_checkpoints(folders: list[tuple[int, Path]]) -> list[CheckpointInfo]:
    """Describe checkpoint folders given as (step, path); large files are not read."""
    return [CheckpointInfo(step, path, sum(p.stat().st_size for p in _files(path).values()),
                           find_problem(path, thorough=False)) for step, path in folders]

"""What every export function returns, and files that appear only when they are whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from trainer.contract.files import fsync_folder
from trainer.export.errors import ExportError

_TEXTS = ("*.json", "*.jinja", "*.txt", "tokenizer.model", "LICEN[CS]E*")
_NOT_TEXTS = ("config.json", "*.index.json")


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        path: The file or folder.
        bytes: Its size.
        notes: What a person should know: what was chosen, where answers may differ.
    """

    path: Path
    bytes: int
    notes: list[str] = field(default_factory=list)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Yield the path to write to; it becomes ``target`` when the block ends without an error.

    An older file of that name stays until then; nothing else is left behind after an error.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    fsync_folder(target.parent)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it becomes ``target`` when the block ends without an error.

    Raises:
        ExportError: There is a folder of that name already ('target_exists').
    """
    require_absent(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        _sync(partial)
        os.replace(partial, target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    fsync_folder(target.parent)


def require_absent(target: Path) -> None:
    """Check that nothing would be replaced.

    Raises:
        ExportError: There is something of that name ('target_exists').
    """
    if target.exists():
        raise ExportError("target_exists", f"There is a folder '{target.name}' already.",
                          "Delete it, or choose another name.")


def require_space(folder: Path, needed: int) -> None:
    """Check that the disk of a folder has room; the folder need not be there yet.

    Raises:
        ExportError: It has not ('disk_full').
    """
    there = next(path for path in (folder, *folder.resolve().parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise ExportError("disk_full", f"The file needs {needed / 1e9:.2f} GB, and the disk has "
                          f"{free / 1e9:.2f} GB.", "Free some space, or choose a smaller format.")


def copy_texts(source: Path, target: Path) -> None:
    """Copy what lies beside weights and config: tokenizer, chat template, ends, licence."""
    for path in sorted(source.iterdir()):
        if path.is_file() and any(path.match(one) for one in _TEXTS) and not any(
                path.match(one) for one in _NOT_TEXTS):
            shutil.copyfile(path, target / path.name)


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _sync(folder: Path) -> None:
    """Make the files below a folder, and their names, durable."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            fsync_folder(path)
        elif path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    fsync_folder(folder)

"""Writing files so that a crash leaves the old one or the new one, never half of one."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def fsync_folder(folder: Path) -> None:
    """Make renames inside the folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, data: str | bytes, *, mode: int = 0o644) -> None:
    """Write to a temporary file beside ``path``, sync it, rename it into place, sync the folder.

    Raises:
        OSError: The disk is full or the folder cannot be written; ``path`` is unchanged then.
    """
    raw = data.encode("utf-8") if isinstance(data, str) else data
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock file (0600) until the block ends; the kernel lets go when its holder dies.

    Raises:
        BlockingIOError: Somebody else holds it, and ``wait`` is False.
        OSError: It cannot be made, or the file system has no locks.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)


def write_json(path: Path, value: Any, *, mode: int = 0o644) -> None:
    """Write a JSON document atomically; ValueError for NaN."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    write_atomic(path, text + "\n", mode=mode)


def read_json(path: Path) -> Any:
    """Read a JSON document, or None when there is no such file or it is not JSON.

    Raises:
        OSError: There is a file that cannot be read: that does not mean that there is none.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError):
        return None

"""Prepared tokens that outlive a run: ``<home>/cache/tokens/<key>/``, bounded in size.

A folder is whole once ``meta.json``, written last, is in it. Folders are made beside and renamed
into place, so that two who prepare the same do not disturb each other. Whoever uses one holds a
shared lock on its ``.lock``; the least recently used ones that nobody holds make room.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.contract.files import read_json, write_json

META = "meta.json"
ROWS = "rows.arrow"
LOCK = ".lock"
LIMIT_BYTES = 20 * 2**30
_HALF = ".making-"
_STALE_S = 24 * 3600.0


@dataclass(frozen=True)
class Kept:
    """One prepared dataset in the cache: its folder, its meta.json, size and last use."""

    folder: Path
    meta: dict[str, Any]
    size_bytes: int
    used: float
    _hold: _Hold | None = field(default=None, repr=False, compare=False)

    @property
    def key(self) -> str:
        """The folder's name."""
        return self.folder.name


class _Hold:
    """A shared lock that is let go when nobody refers to it any more.

    It holds a descriptor and not a file object: in a cycle of references Python might end that one
    first, and warn of it.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def close(self) -> None:
        """Let the lock go."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


class TokenCache:
    """The folders of one cache.

    Args:
        root: ``<home>/cache/tokens``; it need not exist.
        limit_bytes: More than that is not kept, unless it is in use.
    """

    def __init__(self, root: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        """Look at nothing yet."""
        self.root, self._limit = root, limit_bytes

    def find(self, key: str) -> Kept | None:
        """Return what is kept under a key, held for as long as the answer lives; or None."""
        folder = self.root / key
        hold = _held(folder)
        if hold is None:
            return None
        found = _kept(folder, hold)
        if found is None:
            hold.close()
            return None
        os.utime(folder / META)
        return found

    @contextmanager
    def making(self, key: str) -> Iterator[Path]:
        """Give an empty folder to fill; it is removed unless ``keep`` took it.

        Raises:
            OSError: The disk is full or cannot be written.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{_HALF}{key[:16]}-", dir=self.root))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def keep(self, key: str, made: Path, meta: dict[str, Any]) -> Kept:
        """Put a filled folder in its place and return it held; another's of the same key wins.

        Raises:
            OSError: The disk is full or cannot be written.
        """
        (made / LOCK).touch()
        write_json(made / META, meta)
        target = self.root / key
        if self.find(key) is None:  # half of one, or damaged
            shutil.rmtree(target, ignore_errors=True)
        with suppress(OSError):  # someone else was faster: theirs is the same
            made.rename(target)
        found = self.find(key)
        if found is None:
            raise OSError(f"'{target}' vanished while it was written")
        self.shrink()
        return found

    def list(self) -> list[Kept]:
        """Return what is kept, the least recently used first."""
        folders = [p for p in self.root.iterdir() if not p.name.startswith(".")] \
            if self.root.is_dir() else []
        found = [kept for p in folders if (kept := _kept(p)) is not None]
        return sorted(found, key=lambda kept: kept.used)

    def shrink(self) -> None:
        """Remove what is least recently used and not held, until the rest fits; and old halves."""
        kept = self.list()
        size = sum(item.size_bytes for item in kept)
        for item in kept:
            if size <= self._limit:
                break
            if _remove(item.folder):
                size -= item.size_bytes
        for half in self.root.glob(f"{_HALF}*"):
            with suppress(OSError):
                if time.time() - half.stat().st_mtime > _STALE_S:
                    shutil.rmtree(half, ignore_errors=True)


def _held(folder: Path) -> _Hold | None:
    """Open a folder's lock, shared; None when there is no such folder or it is being removed."""
    try:
        hold = _Hold(os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC))
        fcntl.flock(hold.descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return None
    return hold


def _kept(folder: Path, hold: _Hold | None = None) -> Kept | None:
    """Read a folder; None unless it is whole: as large as its meta says."""
    meta = read_json(folder / META)
    try:
        size = (folder / ROWS).stat().st_size
        used = (folder / META).stat().st_mtime
    except OSError:
        return None
    if not isinstance(meta, dict) or meta.get("size_bytes") != size:
        return None
    return Kept(folder, meta, size, used, hold)


def _remove(folder: Path) -> bool:
    """Remove a folder that nobody holds; tell whether it is gone."""
    try:
        with open(folder / LOCK, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
    except OSError:
        return False
    return True

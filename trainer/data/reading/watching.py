"""An open file that is watched while it is read: how far, and whether something writes to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from trainer.data.reading.rowindex import Watch
from trainer.data.reading.rows import DatasetError
from trainer.data.reading.sources import Part


class Guard:
    """Compares an open file with what it was when it was opened, and fills in a Watch."""

    def __init__(self, part: Part, file: IO[bytes], watch: Watch) -> None:
        """Remember what the file is now."""
        self._part, self._file, self._watch = part, file, watch
        self._seen = _state(os.fstat(file.fileno()))
        self._before = watch.bytes_done
        self.size = self._seen[0]

    def look(self, done: int) -> None:
        """Tell that so many bytes of the file were read.

        Raises:
            DatasetError: ``changed_while_reading``.
        """
        if _state(os.fstat(self._file.fileno())) != self._seen:
            raise changed(self._part.name)
        self._watch.bytes_done = self._before + min(done, self.size)

    def finish(self) -> None:
        """Refuse a file that is no longer what it was, or no longer the one at its path.

        Raises:
            DatasetError: ``changed_while_reading``.
        """
        self.look(self.size)
        found = os.fstat(self._file.fileno())
        try:
            now = os.stat(self._part.path)
        except OSError:
            raise changed(self._part.name) from None
        if (now.st_dev, now.st_ino) != (found.st_dev, found.st_ino):
            raise changed(self._part.name)


def changed(name: str) -> DatasetError:
    """Return the error for a file that something writes to."""
    return DatasetError("changed_while_reading", f"'{name}' was changed while it was read.",
                        "Wait until it is complete, then try again.")


def _state(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns


@contextmanager
def opened_raw(part: Part) -> Iterator[IO[bytes]]:
    """Open a file for reading its bytes as they are.

    Raises:
        DatasetError: It cannot be read; also while the caller reads inside the block.
    """
    try:
        with open(part.path, "rb") as file:
            yield file
    except OSError as error:
        why = error.strerror or str(error)
        raise DatasetError("unreadable", f"'{part.path}' cannot be read: {why}.",
                           "Check the file and its permissions.") from None

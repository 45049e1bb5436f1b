"""A list of records in one private file of the home: read often, changed seldom, by any process."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.home import Home
from trainer.contract.files import locked, read_json, write_json
from trainer.contract.problems import RecordError as RecordError

Record = dict[str, Any]


class RecordFile:
    """Records in ``HOME/NAME`` (0600), read again only when the file has changed."""

    def __init__(self, home: Home, name: str) -> None:
        """Look at nothing yet."""
        self.home, self.path = home, home.root / name
        self._seen: tuple[tuple[int, int, int], list[Record]] = ((0, 0, 0), [])

    def read(self) -> list[Record]:
        """Return the records; the same object until the file changes, so leave it as it is.

        Raises:
            RecordError: The file is damaged ('damaged_file').
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return []
        # Files are renamed into place: every change is another inode or another time.
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if self._seen[0] != stamp:
            self._seen = (stamp, self._parse())
        return self._seen[1]

    def _parse(self) -> list[Record]:
        records = read_json(self.path)
        if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
            raise RecordError("damaged_file", f"'{self.path.name}' in the home folder cannot be "
                              "read.", "Restore it from a backup, or delete it and begin again.")
        return records

    @contextmanager
    def changing(self, action: str, subject: str, who: str) -> Iterator[list[Record]]:
        """Yield a copy of the records, and write it back when the block ends well.

        Whatever happens, the audit log has one line more.

        Args:
            action: What the audit log calls it.
            subject: What it is done to.
            who: Who does it.
        """
        lock = self.path.with_name(f".{self.path.name}.lock")
        with self.home.audited(action, subject, who), locked(lock):
            records = copy.deepcopy(self.read())
            yield records
            write_json(self.path, records, mode=0o600)

    def used_path(self) -> Path:
        """Return the file beside it that has what is noted often and may be lost."""
        return self.path.with_name(f"{self.path.stem}_used.json")

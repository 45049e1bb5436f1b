"""The trainer's log: capped on disk, and read as plain text.

The trainer writes to the file itself, not through a pipe: nothing it waits for can die. The
supervisor only watches the size.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

CAP_BYTES = 64_000_000
KEPT_BYTES = 16_000_000
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class LogCap:
    """Keeps a log that somebody else appends to below a size."""

    def __init__(self, path: Path, *, cap_bytes: int = CAP_BYTES,
                 kept_bytes: int = KEPT_BYTES) -> None:
        """Watch ``path``; its end of ``kept_bytes`` moves to ``log.1.txt`` at each cut."""
        self.path, self.cap_bytes, self.kept_bytes = path, cap_bytes, kept_bytes
        self._disk_full = False
        self._dropped = 0

    @property
    def disk_full(self) -> bool:
        """Whether the disk was full when last looked at."""
        return self._disk_full

    @disk_full.setter
    def disk_full(self, value: bool) -> None:
        if self._disk_full and not value:
            self._note("the disk was full for a while; lines are missing here")
        self._disk_full = value

    def check(self) -> bool:
        """Cut the log when it is too long; returns whether it was cut."""
        try:
            size = self.path.stat().st_size
            if size <= self.cap_bytes or not self.path.is_file():
                return False
            with self.path.open("rb") as file:
                file.seek(size - self.kept_bytes)
                kept = file.read(self.kept_bytes)
            # The writer's descriptor appends, so it goes on at the new end.
            os.truncate(self.path, 0)
            self._dropped += size - len(kept)
            self._note(f"log truncated: {self._dropped:,} bytes dropped, "
                       f"the last {len(kept):,} are in log.1.txt")
            (self.path.parent / "log.1.txt").write_bytes(kept)
        except OSError:
            return False
        return True

    def _note(self, text: str) -> None:
        try:
            with self.path.open("ab") as file:
                file.write(f"\n[Finestra: {text}]\n".encode())
        except OSError:
            return


def clean(raw: bytes) -> str:
    r"""Turn terminal output into text: no escapes, a line as the last ``\r`` left it."""
    text = _ESCAPES.sub(b"", raw).decode("utf-8", errors="replace").replace("\r\n", "\n")
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return _CONTROLS.sub("", "\n".join(lines))


def read_tail(path: Path, max_bytes: int) -> bytes:
    """Return the end of a file, from the first whole line on; b'' when it is missing."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            raw = file.read(max_bytes)
    except OSError:
        return b""
    cut = size > max_bytes and b"\n" in raw
    return raw[raw.index(b"\n") + 1:] if cut else raw


def lines_with(lines: Iterable[str], text: str) -> list[str]:
    """Return the lines that hold a text, whatever its case."""
    wanted = text.casefold()
    return [line for line in lines if wanted in line.casefold()]


def last_lines(path: Path, count: int = 3, max_chars: int = 600) -> str:
    """Return the last lines that say something, for an error message."""
    lines = [line.strip() for line in clean(read_tail(path, 16_384)).split("\n")]
    return " | ".join([line for line in lines if line][-count:])[-max_chars:]

"""On which addresses an engine's processes listen, as the kernel has it; proc(5)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from trainer.contract.identity import find_by_environ

# Every process of an engine has it in its environment: its id.
MARK = "FINESTRA_ENGINE_ID"

_LISTEN = "0A"
LOOPBACK4 = "0100007F"
_LOOPBACK6 = "00000000000000000000000001000000"
_MAPPED = "0000000000000000FFFF00000100007F"


def _listeners() -> Iterator[tuple[str, int, str]]:
    """Yield (address as the kernel writes it, port, inode) of every listening TCP socket."""
    for name in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in (line.split() for line in lines):
            if fields[3] == _LISTEN:
                address, _, port = fields[1].rpartition(":")
                yield address, int(port, 16), fields[9]


def _sockets(pid: int) -> set[str]:
    """Return the inodes of a process's sockets; those that are closed meanwhile are left out."""
    found = set()
    with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with suppress(OSError):
                target = os.readlink(entry.path)
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found


def listening(engine_id: str) -> list[tuple[bool, int]]:
    """Return (whether only this machine reaches it, port) of each port an engine has opened."""
    mine: set[str] = set()
    for process in find_by_environ({MARK: engine_id}):
        mine |= _sockets(process.pid)
    return sorted({(address in (LOOPBACK4, _LOOPBACK6, _MAPPED), port)
                   for address, port, inode in _listeners() if inode in mine})

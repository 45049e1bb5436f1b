"""Who a process is: pid, start time and boot; a pid alone may belong to a stranger by now."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

PROC = Path("/proc")


@cache
def boot_id() -> str:
    """Return the kernel's id of this boot."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True)
class Stat:
    """What /proc/PID/stat says (proc(5)); ``start`` is in clock ticks since boot."""

    state: str
    session: int
    start: int


def read_stat(pid: int) -> Stat | None:
    """Read /proc/PID/stat, or None when there is no such process."""
    try:
        raw = (PROC / str(pid) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command is in brackets and may hold anything, brackets too.
    rest = raw[raw.rindex(b")") + 2:].split()
    return Stat(state=rest[0].decode(), session=int(rest[3]), start=int(rest[19]))


@dataclass(frozen=True)
class Identity:
    """One process of one boot."""

    pid: int
    start: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Return the identity of a living process."""
        stat = read_stat(pid)
        return cls(pid, stat.start, boot_id()) if stat else None

    @classmethod
    def mine(cls) -> Identity:
        """Return the identity of this process."""
        identity = cls.of(os.getpid())
        assert identity is not None
        return identity

    @classmethod
    def read(cls, value: Any) -> Identity | None:
        """Read what ``document`` wrote; None for anything else."""
        if not isinstance(value, Mapping):
            return None
        pid, start, boot = value.get("pid"), value.get("start"), value.get("boot")
        if isinstance(pid, int) and isinstance(start, int) and isinstance(boot, str) and pid > 0:
            return cls(pid, start, boot)
        return None

    def document(self) -> dict[str, Any]:
        """Return the identity as plain data."""
        return asdict(self)

    def alive(self) -> bool:
        """Tell whether this very process still runs; a zombie does not."""
        if self.boot != boot_id():
            return False
        stat = read_stat(self.pid)
        return stat is not None and stat.start == self.start and stat.state not in "ZX"

    def open(self) -> int | None:
        """Return a pidfd of this very process (the caller closes it), or None when it is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        # Compared after opening: from here on the handle cannot come to mean a stranger.
        stat = read_stat(self.pid)
        if self.boot != boot_id() or stat is None or stat.start != self.start:
            os.close(handle)
            return None
        return handle

    def signal(self, number: int) -> bool:
        """Send a signal to this process and to no other; False when it is gone."""
        handle = self.open()
        if handle is None:
            return False
        try:
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True


def _pids() -> Iterator[int]:
    for entry in os.scandir(PROC):
        if entry.name.isdecimal():
            yield int(entry.name)


def _environ(pid: int) -> frozenset[bytes]:
    try:
        return frozenset((PROC / str(pid) / "environ").read_bytes().split(b"\0"))
    except OSError:
        return frozenset()


def find_by_environ(marks: Mapping[str, str]) -> list[Identity]:
    """Return the living processes that were started with all these environment variables."""
    wanted = {os.fsencode(f"{key}={value}") for key, value in marks.items()}
    found = []
    for pid in _pids():
        identity = Identity.of(pid)
        if identity and wanted <= _environ(pid) and identity.alive():
            found.append(identity)
    return found


def find_session(leader: Identity) -> list[Identity]:
    """Return the living processes of a session.

    Only asked while the leader still holds its pid (alive or a zombie): else the number might
    name another session by now.
    """
    stat = read_stat(leader.pid)
    if leader.boot != boot_id() or stat is None or stat.start != leader.start:
        return []
    found = []
    for pid in _pids():
        stat, identity = read_stat(pid), Identity.of(pid)
        if stat and identity and stat.session == leader.pid and identity.alive():
            found.append(identity)
    return found


def sweep(marks: Mapping[str, str], leader: Identity | None = None, *,
          limit_s: float = 10.0) -> int:
    """Kill every process of a run: its session, and whoever carries its marks.

    Returns:
        How many processes were killed.
    """
    killed: set[Identity] = set()
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        members = set(find_by_environ(marks)) | set(find_session(leader) if leader else [])
        members.discard(Identity.mine())
        if not members:
            break
        for member in members:
            with contextlib.suppress(PermissionError):
                if member.signal(signal.SIGKILL):
                    killed.add(member)
        time.sleep(0.02)
    return len(killed)

"""Memory: how much there is, and whether the kernel has killed for it. Reads /proc and cgroups."""

from __future__ import annotations

from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def _own_group() -> Path | None:
    try:
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                return _CGROUP / line[3:].lstrip("/")
    except OSError:
        return None
    return None


def oom_kills() -> int:
    """Return how often this cgroup (v2) has been killed for memory; 0 when it cannot be read."""
    group = _own_group()
    try:
        text = (group / "memory.events").read_text() if group else ""
    except OSError:
        return 0
    counts = dict(line.split() for line in text.splitlines() if len(line.split()) == 2)
    return int(counts.get("oom_kill", 0))


def _meminfo() -> dict[str, int]:
    values = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        values[name] = int(rest.split()[0]) * 1024
    return values


def _limit() -> tuple[int, int] | None:
    """Return (limit, used) of the own cgroup in bytes, or None when it has no limit."""
    group = _own_group()
    try:
        if group is None:
            return None
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        return None if limit == "max" else (int(limit), used)
    except (OSError, ValueError):
        return None


def total_and_free_mib() -> tuple[int, int]:
    """Return the memory a run on the CPU can have: that of the machine, or of its container."""
    values = _meminfo()
    total, free = values["MemTotal"], values["MemAvailable"]
    if (limited := _limit()) is not None:
        total, free = min(total, limited[0]), min(free, max(0, limited[0] - limited[1]))
    return total // 2**20, free // 2**20

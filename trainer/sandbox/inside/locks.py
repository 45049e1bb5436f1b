"""What a process may do from now on: limits for all, and a lock for programs of a model.

The lock is Linux's own, asks for no rights, and cannot be taken off: Landlock (docs.kernel.org/
userspace-api/landlock.html) for files, seccomp (``inside.calls``) for everything else.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
import sys
import sysconfig
from collections.abc import Iterable

from trainer.sandbox.inside import calls

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
_READ_FILE, _READ_DIR, _WRITE_FILE = 1 << 2, 1 << 3, 1 << 1
# All that a version of Landlock can refuse to do with files; the last one stands for later ones.
_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1,
          5: (1 << 16) - 1}
_NEEDED = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/localtime",
           "/etc/ld.so.cache", "/dev/urandom", "/dev/zero")
_SET_PDEATHSIG, _SET_NO_NEW_PRIVS = 1, 38


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("place", ctypes.c_int32)]


def bound(memory_mib: int) -> None:
    """Set the limits that every child has: memory, and no core files."""
    ceiling = memory_mib * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def missing() -> str:
    """Return '' where programs can be locked in, else why not, as a clause."""
    if not sys.platform.startswith("linux"):
        return "only Linux has what it takes"
    if calls.machine() is None:
        return f"processors of the kind {os.uname().machine} are not known here"
    if _version() < 1:
        return "its kernel has no Landlock, which came with Linux 5.13"
    return ""


def lock_in(memory_mib: int, seconds: float, parent: int) -> str:
    """Allow nothing from now on but computing, and reading what Python consists of.

    To be called before there is a second thread.

    Args:
        memory_mib: Of this process.
        seconds: Of processor time, from now on.
        parent: The process with which this one ends.

    Returns:
        '' or why it cannot be done, as a clause; then nothing may run here.
    """
    if why := missing():
        return why
    libc = ctypes.CDLL(None, use_errno=True)
    bound(memory_mib)
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = math.ceil(used.ru_utime + used.ru_stime + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (most, most + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return "its parent has ended"
    if libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return _failed("no_new_privs")
    return _close_files(libc) or calls.drop_rights(libc) or calls.refuse(libc)


def _failed(what: str) -> str:
    return f"the kernel refuses {what} ({os.strerror(ctypes.get_errno())})"


def _version() -> int:
    version: int = ctypes.CDLL(None, use_errno=True).syscall(
        ctypes.c_long(CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return version


def _close_files(libc: ctypes.CDLL) -> str:
    """Leave only Python's own files to be read, and /dev/null to be written to."""
    version = _version()
    rules = _Ruleset(_FILES[min(version, 5)], 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = libc.syscall(ctypes.c_long(CREATE_RULESET), ctypes.byref(rules),
                           ctypes.c_size_t(size), ctypes.c_uint32(0))
    if ruleset < 0:
        return _failed("Landlock")
    for place in readable():
        _allow(libc, ruleset, place, _READ_FILE)
    _allow(libc, ruleset, os.devnull, _READ_FILE | _WRITE_FILE)
    restricted = libc.syscall(ctypes.c_long(RESTRICT_SELF), ctypes.c_int(ruleset),
                              ctypes.c_uint32(0))
    os.close(ruleset)
    return _failed("Landlock") if restricted != 0 else ""


def _allow(libc: ctypes.CDLL, ruleset: int, place: str, what: int) -> None:
    """Open a place; one that is not there needs no opening."""
    if not os.path.exists(place):
        return
    opened = os.open(place, os.O_PATH | os.O_CLOEXEC)
    rule = _Beneath(what | (_READ_DIR if os.path.isdir(place) else 0), opened)
    libc.syscall(ctypes.c_long(ADD_RULE), ctypes.c_int(ruleset), ctypes.c_int(1),
                 ctypes.byref(rule), ctypes.c_uint32(0))
    os.close(opened)


def readable() -> Iterable[str]:
    """Return what a program needs for its imports, and the empty folder it works in."""
    paths = sysconfig.get_paths()
    found = {*_NEEDED, os.getcwd(), *(paths[name] for name in (
        "stdlib", "platstdlib", "purelib", "platlib"))}
    for prefix in (sys.prefix, sys.base_prefix):
        found |= {os.path.join(prefix, "lib"), os.path.join(prefix, "lib64")}
    return sorted(place for place in found if place.strip("/"))

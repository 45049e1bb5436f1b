"""Between the studio and an engine: ``python -I -S guard.py GRACE_S COMMAND...``.

It holds the engine's standard input open as long as its own is open. When that ends - the studio
let go, or died however it died - the engine's input ends too, it is told to end, and after
``GRACE_S`` its whole session is killed; Python's resource trackers, which then give shared memory
back, have a moment to do so. It ends as the engine did. The standard library alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
_TRACKER = b"multiprocessing.resource_tracker"
_TIDY_S = 2.0


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it is gone; prctl(2)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _kill(session: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, number)


def _members(session: int) -> dict[int, bytes]:
    """Return the living processes of a session with their command lines; proc(5)."""
    found = {}
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError, IndexError, ValueError):
            with open(f"/proc/{name}/stat", "rb") as file:
                state, _, _, its_session = file.read().rpartition(b")")[2].split()[:4]
            if int(its_session) == session and state not in (b"Z", b"X"):
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    found[int(name)] = file.read()
    return found


def end_session(session: int) -> None:
    """Kill a session, the trackers of its shared memory last; they end by themselves.

    The leader must not have been waited for yet, so that the number still means this session.
    """
    deadline = time.monotonic() + _TIDY_S
    while (members := _members(session)) and time.monotonic() < deadline:
        for pid, command in members.items():
            if _TRACKER not in command:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    _kill(session, signal.SIGKILL)


def _until(poll: select.poll, wanted: int, limit_s: float | None = None) -> bool:
    """Wait until a descriptor has ended; False when the time is over or another one was first."""
    found = poll.poll(None if limit_s is None else limit_s * 1000)
    return any(handle == wanted for handle, _ in found)


def watch(child: subprocess.Popen[bytes], grace_s: float) -> int:
    """Wait for the engine or for the end of our input; return its status as Popen has it."""
    ended = os.pidfd_open(child.pid)
    both, alone = select.poll(), select.poll()
    both.register(ended, select.POLLIN)
    both.register(sys.stdin.fileno(), select.POLLIN | select.POLLHUP)
    alone.register(ended, select.POLLIN)
    while not _until(both, ended):
        if os.read(sys.stdin.fileno(), 4096):
            continue
        assert child.stdin is not None
        child.stdin.close()
        _kill(child.pid, signal.SIGTERM)
        _until(alone, ended, grace_s)
        break
    end_session(child.pid)
    return child.wait()


def main(argv: Sequence[str]) -> int:
    """Start the engine and stay until it has ended."""
    grace_s, command = float(argv[0]), list(argv[1:])
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True,
                                 preexec_fn=die_with_parent)
    except OSError as error:
        print(f"'{command[0]}' cannot be started: {error.strerror}", file=sys.stderr)
        return 127
    status = watch(child, grace_s)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL) if -status not in (9, 19) else None
        os.kill(os.getpid(), -status)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""System calls that a locked-in process may not make: seccomp (docs.kernel.org/userspace-api/).

What is refused: other processes, programs and signals to them; sockets; memory that no limit
counts; rights and dates of files; whatever changes the machine. Threads are allowed.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import NamedTuple

# (x86-64, ARM64); None where there is no such call.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198), "fork": (57, None), "vfork": (58, None), "execve": (59, 221),
    "execveat": (322, 281), "ptrace": (101, 117), "tkill": (200, 130), "kcmp": (312, 272),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_send_signal": (424, 424), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440), "process_mrelease": (448, 448),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194),
    "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180),
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None),
    "utimensat": (280, 88), "truncate": (76, 45), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15),
    "fremovexattr": (199, 16), "setxattrat": (463, 463), "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "sched_setparam": (142, 118), "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122), "sched_setattr": (314, 274), "setpriority": (141, 140),
    "ioprio_set": (251, 30), "migrate_pages": (256, 238), "move_pages": (279, 239),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "quotactl": (179, 60),
    "personality": (135, 92), "syslog": (103, 116), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427)}
# Allowed of itself only: argument 0 has to be this process.
_OWN = {"kill": (62, 129), "tgkill": (234, 131)}
_PRLIMIT, _CLONE, _FCNTL = (302, 261), (56, 220), (72, 25)
_CLONE3, _CLONE_THREAD = 435, 0x10000
# fcntl's F_SETOWN, F_SETSIG, F_SETOWN_EX: signals to others by way of a file.
_SIGNALLING = (8, 10, 15)
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_SECCOMP = (317, 277)
_CAPSET = (126, 91)
_X32 = 0x40000000

Block = list[tuple[int, int, int, int]]


class _Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8),
                ("k", ctypes.c_uint32)]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("filter", ctypes.POINTER(_Instruction))]


class Machine(NamedTuple):
    """A kind of processor: its number for the kernel, its place in the tables here."""

    arch: int
    place: int


def machine() -> Machine | None:
    """Return the kind of this processor; None when its calls are not known here."""
    return {"x86_64": Machine(0xC000003E, 0),
            "aarch64": Machine(0xC00000B7, 1)}.get(os.uname().machine)


def refuse(libc: ctypes.CDLL) -> str:
    """Refuse the calls from now on; return '' or why that cannot be done.

    A refused call fails with EPERM, as if the user might not.
    """
    kind = machine()
    assert kind is not None
    code = program(kind, os.getpid())
    filled = (_Instruction * len(code))(*(_Instruction(*one) for one in code))
    given = _Program(len(code), filled)
    # 1, 1: a filter, for all threads.
    done = libc.syscall(ctypes.c_long(_SECCOMP[kind.place]), ctypes.c_uint(1), ctypes.c_uint(1),
                        ctypes.byref(given))
    return "" if done == 0 else f"the kernel refuses seccomp ({os.strerror(ctypes.get_errno())})"


def drop_rights(libc: ctypes.CDLL) -> str:
    """Give up root's rights for good where there are any; return '' or why that failed."""
    kind = machine()
    assert kind is not None
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    done = libc.syscall(ctypes.c_long(_CAPSET[kind.place]), header, (ctypes.c_uint32 * 6)())
    return "" if done == 0 else "rights cannot be given up"


def program(kind: Machine, pid: int) -> Block:
    """Return the filter as instructions (code, jump if true, jump if false, number)."""
    at = kind.place
    found: Block = [(0x20, 0, 0, 4), (0x15, 1, 0, kind.arch), (0x06, 0, 0, _KILL), (0x20, 0, 0, 0)]
    if at == 0:
        found += [(0x35, 0, 1, _X32), (0x06, 0, 0, _ERRNO | errno.EPERM)]
    for pair in _REFUSED.values():
        if (number := pair[at]) is not None:
            found += [(0x15, 0, 1, number), (0x06, 0, 0, _ERRNO | errno.EPERM)]
    # Without clone3, whose flags a filter cannot see, the C library takes clone.
    found += [(0x15, 0, 1, _CLONE3), (0x06, 0, 0, _ERRNO | errno.ENOSYS)]
    for own in _OWN.values():
        found += _only(own[at], 0, (pid,))
    found += _only(_PRLIMIT[at], 0, (0, pid))
    found += _if(_CLONE[at], [_argument(0), (0x45, 0, 1, _CLONE_THREAD), (0x06, 0, 0, _ALLOW),
                              (0x06, 0, 0, _ERRNO | errno.EPERM)])
    found += _if(_FCNTL[at], [_argument(1), *((0x15, len(_SIGNALLING) - place, 0, command)
                                              for place, command in enumerate(_SIGNALLING)),
                              (0x06, 0, 0, _ALLOW), (0x06, 0, 0, _ERRNO | errno.EPERM)])
    return [*found, (0x06, 0, 0, _ALLOW)]


def _argument(place: int) -> tuple[int, int, int, int]:
    """Load the lower half of an argument."""
    return 0x20, 0, 0, 16 + 8 * place


def _if(number: int, block: Block) -> Block:
    """Run a block, which ends with a verdict, for one call."""
    return [(0x15, 0, len(block), number), *block]


def _only(number: int, argument: int, values: tuple[int, ...]) -> Block:
    """Allow a call with some values of an argument only."""
    tests: Block = [(0x15, len(values) - place, 0, value) for place, value in enumerate(values)]
    return _if(number, [_argument(argument), *tests, (0x06, 0, 0, _ERRNO | errno.EPERM),
                        (0x06, 0, 0, _ALLOW)])

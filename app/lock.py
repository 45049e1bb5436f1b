"""One HTTP server per home, held by flock: the kernel lets go when the holder dies."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from trainer.contract.files import read_json
from trainer.contract.identity import Identity

_NO_LOCKING = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


class LockError(ValueError):
    """The home cannot be served now; ``code`` is 'server_running' or 'no_locking'."""

    def __init__(self, code: str, message: str) -> None:
        """Keep the code beside the message."""
        super().__init__(message)
        self.code = code


class ServerLock:
    """The right to serve a home; a context manager."""

    def __init__(self, path: Path) -> None:
        """Take nothing yet."""
        self.path = path
        self._handle = -1

    def __enter__(self) -> ServerLock:
        """Take the lock.

        Raises:
            LockError: Another server holds it (its pid and host are named), or the file system
                has no locks.
        """
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(handle, 4096, 0)
            os.close(handle)
            raise self._refusal(error, holder) from None
        record = {**Identity.mine().document(), "host": socket.gethostname(),
                  "since": time.time()}
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(record).encode(), 0)
        self._handle = handle
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Let go."""
        if self._handle >= 0:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = -1

    def holder(self) -> str:
        """Return who serves the home, '' when nobody does; takes nothing, so it is in no way."""
        record = read_json(self.path)
        identity = Identity.read(record)
        return _named(record) if identity is not None and identity.alive() else ""

    def _refusal(self, error: OSError, holder: bytes) -> LockError:
        home = self.path.parent
        if error.errno in _NO_LOCKING:
            return LockError("no_locking", f"The file system of '{home}' has no file locks "
                             f"({error.strerror}). Choose a home on a local disk with --home.")
        try:
            who = _named(json.loads(holder))
        except ValueError:
            who = _named(None)
        return LockError("server_running", f"Another server already serves '{home}': {who}. "
                         "Open that one, stop it, or choose another home with --home.")


def _named(record: Any) -> str:
    """Say who wrote a lock's record."""
    if isinstance(record, dict) and {"pid", "host"} <= set(record):
        return f"pid {record['pid']} on {record['host']}"
    return "an unknown process"

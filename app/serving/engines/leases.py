"""Which engines run, as files: so that orphans are found, and other processes see who is busy.

``engines/ID.json`` names an engine's owner and process; ``engines/ID.lock`` is locked while it
answers, and the kernel lets go of it however its owner ends. Its temporary folder goes with them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.devices import CPU, Device, DeviceProbe
from app.home import Home
from trainer.contract.files import read_json, write_json
from trainer.contract.identity import Identity
from trainer.engines.process import end_remains, temporary_of

BUSY = "An engine is answering"


def folder_of(home: Home) -> Path:
    """Return the folder of leases and logs, made 0700."""
    folder = home.root / "engines"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


class Lease:
    """One engine's files; whoever makes it owns the engine."""

    def __init__(self, home: Home, engine_id: str, about: dict[str, Any]) -> None:
        """Write the lease before there is a process, so that none is ever without.

        Raises:
            OSError: The disk is full or the home cannot be written.
        """
        self.id = engine_id
        self.scratch = folder_of(home) / engine_id
        self._about = {**about, "owner": Identity.mine().document(), "since": time.time()}
        self.temporary = temporary_of(engine_id)
        self.temporary.mkdir(mode=0o700)
        self._lock = os.open(self._file("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.keep(None)

    def _file(self, ending: str) -> Path:
        return self.scratch.with_name(f"{self.id}.{ending}")

    def keep(self, process: Identity | None) -> None:
        """Write down the engine's process."""
        write_json(self._file("json"), {**self._about, "id": self.id,
                                        "process": process.document() if process else None},
                   mode=0o600)

    def set_busy(self, busy: bool) -> None:
        """Show other processes whether it is answering; a file system without locks shows none."""
        if self._lock >= 0:
            with contextlib.suppress(OSError):
                fcntl.flock(self._lock, fcntl.LOCK_EX if busy else fcntl.LOCK_UN)

    def end(self) -> None:
        """Kill whatever is left of the engine and remove its small files."""
        _end(self.scratch.parent, self.id)
        handle, self._lock = self._lock, -1
        if handle >= 0:
            os.close(handle)


def _end(folder: Path, engine_id: str, process: Identity | None = None) -> None:
    end_remains(engine_id, process)
    # The lease tells the next studio what is left, so it goes after that.
    for path in folder.glob(f"{engine_id}.*"):
        if path.suffix != ".log":
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Known:
    """What a lease file says of an engine."""

    id: str
    device: str
    label: str
    owner: Identity | None
    process: Identity | None
    busy: bool


def known(home: Home) -> Iterator[Known]:
    """Yield the engines of a home, of every process."""
    for path in sorted(folder_of(home).glob("*.json")):
        value = read_json(path)
        if isinstance(value, dict):
            yield Known(path.stem, str(value.get("device") or ""), str(value.get("label") or ""),
                        Identity.read(value.get("owner")), Identity.read(value.get("process")),
                        _is_locked(path.with_suffix(".lock")))


def _is_locked(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


def devices_of_others(home: Home) -> set[str]:
    """Return the devices that have an engine of another process, which lives."""
    me = Identity.mine()
    return {engine.device for engine in known(home)
            if engine.owner and engine.owner != me and engine.owner.alive()}


def end_orphans(home: Home) -> list[str]:
    """End the engines whose owner is gone; returns what they were called."""
    ended = []
    for engine in list(known(home)):
        if engine.owner is not None and engine.owner.alive():
            continue
        _end(folder_of(home), engine.id, engine.process)
        ended.append(engine.label)
    return ended


class EngineProbe(DeviceProbe):
    """Devices as training sees them: a GPU whose engine is answering is not free just now."""

    def __init__(self, home: Home, probe: DeviceProbe | None = None) -> None:
        """Look through another probe, an ordinary one unless told."""
        super().__init__()
        self._home, self._probe = home, probe or DeviceProbe()

    def list(self) -> list[Device]:
        """Return the GPUs, then the CPU."""
        devices = self._probe.list()
        if all(device.key == CPU for device in devices):
            return devices
        busy = {engine.device: engine.label for engine in known(self._home) if engine.busy}
        return [replace(device, problem=device.problem or f"{BUSY}: {busy[device.key]}")
                if device.key in busy else device for device in devices]

"""What a run needs, looked at without starting one."""

from __future__ import annotations

import fcntl
import platform
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from app.devices import DeviceProbe
from app.home import Home, HomeError
from app.lock import ServerLock
from app.migrations import NewerSchema
from app.rebuild import open_store
from app.runs import RunState
from app.scheduler import Scheduler
from app.store import CorruptIndex
from trainer.contract.models import ModelError, read_folder
from trainer.contract.places import starter

# The floors that a published hole set.
FLOORS = {"torch": "2.6", "transformers": "5.2.1", "gradio": "6.25", "starlette": "1.0.1",
          "trl": "1.16", "peft": "0.21", "bitsandbytes": "0.50"}
ENOUGH_DISK_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    name: str
    ok: bool
    detail: str
    advice: str = ""

    def document(self) -> dict[str, Any]:
        """Return the check as scripts see it."""
        return asdict(self)


def examine() -> list[Check]:
    """Look at everything; what fails does not keep the rest from being looked at."""
    checks = [Check("python", sys.version_info >= (3, 11), platform.python_version(),
                    "Install Python 3.11 or newer.")]
    checks += [_package(name, floor) for name, floor in FLOORS.items()]
    checks.append(_starter())
    checks += [Check("device", not device.problem, f"{device.name}, {device.free_mib:,} of "
                     f"{device.total_mib:,} MiB free {device.problem}".strip(),
                     "Look at the driver with nvidia-smi.") for device in DeviceProbe().list()]
    try:
        home = Home.open()
    except HomeError as error:
        return [*checks, Check("home", False, str(error))]
    free = shutil.disk_usage(home.root).free
    checks.append(Check("home", free > ENOUGH_DISK_BYTES,
                        f"{home.root}, {free / 2**30:,.1f} GiB free", "Free some disk space."))
    index = _index(home)
    return [*checks, index, *([_queue(home)] if index.ok else []), _server(home)]


def _numbers(text: str) -> tuple[int, ...]:
    parts = text.split("+")[0].split(".")
    return tuple(int(part) for part in parts if part.isdecimal())


def _package(name: str, floor: str) -> Check:
    try:
        found = version(name)
    except PackageNotFoundError:
        return Check(name, False, "not installed", f"Run `pip install {name}`.")
    return Check(name, _numbers(found) >= _numbers(floor), found,
                 f"Install {name} {floor} or newer.")


def _starter() -> Check:
    try:
        facts = read_folder(starter())
    except ModelError as error:
        return Check("starter", False, str(error), error.advice)
    return Check("starter", True, f"{facts.parameters:,} parameters")


def _index(home: Home) -> Check:
    try:
        store = open_store(home)
        store.quick_check()
        count = len(store.records())
        store.close()
    except (NewerSchema, CorruptIndex) as error:
        return Check("index", False, str(error), "Start `finestra serve` once: it rebuilds it.")
    return Check("index", True, f"{count} runs")


def _queue(home: Home) -> Check:
    """Settle what ended, as every command does, and say what is in the way; start nothing."""
    store = open_store(home)
    scheduler = Scheduler(home, store)
    try:
        scheduler.guard(scheduler.reconcile)
        waiting = len(store.records([RunState.QUEUED]))
    finally:
        scheduler.close()
        store.close()
    error = scheduler.last_error
    return Check("queue", not error, error or f"{waiting} waiting",
                 "Look at the folder of the run that is named.")


def _server(home: Home) -> Check:
    try:
        with tempfile.TemporaryFile(dir=home.tmp) as scratch:
            fcntl.flock(scratch, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return Check("server", False, f"no file locks in '{home.root}': {error.strerror}",
                     "Choose a home on a local disk.")
    holder = ServerLock(home.lock).holder()
    return Check("server", True, f"one serves this home: {holder}" if holder else "none is running")

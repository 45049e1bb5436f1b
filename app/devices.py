"""Devices: GPUs by NVML, by UUID and never by number; the CPU always.

NVML can hang or fail (a GPU that fell off the bus); a question gets two seconds, and GPUs that
were seen before are then shown as unavailable.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from trainer.contract.memory import total_and_free_mib

CPU = "cpu"
TIMEOUT_S = 2.0
FRESH_S = 1.0


@dataclass(frozen=True)
class Device:
    """Something a run can train on; ``problem`` is '' when it can be used."""

    key: str
    name: str
    total_mib: int = 0
    free_mib: int = 0
    holder: str = ""
    capability: tuple[int, int] | None = None
    problem: str = ""

    @property
    def kind(self) -> str:
        """Whether this is 'cpu' or 'cuda'."""
        return CPU if self.key == CPU else "cuda"

    def document(self) -> dict[str, object]:
        """Return the device as REST and ``--json`` show it."""
        return {"key": self.key, "name": self.name, "total_mib": self.total_mib,
                "free_mib": self.free_mib, "holder": self.holder, "problem": self.problem}


def cpu_device() -> Device:
    """Describe the processor and the memory this process may use."""
    total, free = total_and_free_mib()
    cores = len(os.sched_getaffinity(0))
    return Device(CPU, f"CPU ({cores} core{'s' if cores > 1 else ''})", total, free)


class DeviceError(RuntimeError):
    """The driver answered with an error."""


def ask_nvml() -> list[Device]:
    """List the NVIDIA GPUs; [] on a machine without their driver.

    Raises:
        DeviceError: The driver or the bus is broken.
    """
    import pynvml as nvml

    try:
        nvml.nvmlInit()
    except (nvml.NVMLError_LibraryNotFound, nvml.NVMLError_DriverNotLoaded):
        return []
    except nvml.NVMLError as error:
        raise DeviceError(str(error)) from None
    try:
        return [_describe(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError as error:
        raise DeviceError(str(error)) from None
    finally:
        nvml.nvmlShutdown()


def _describe(nvml: Any, index: int) -> Device:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    key, name = str(nvml.nvmlDeviceGetUUID(handle)), str(nvml.nvmlDeviceGetName(handle))
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    except nvml.NVMLError as error:
        return Device(key, name, problem=f"unavailable: {error}")
    return Device(key, name, memory.total // 2**20, memory.free // 2**20,
                  capability=(int(major), int(minor)))


def visible(devices: list[Device], setting: str | None) -> list[Device]:
    """Keep what CUDA_VISIBLE_DEVICES leaves: indices or (prefixes of) UUIDs, '' for none."""
    if setting is None:
        return devices
    kept = []
    for part in (p.strip() for p in setting.split(",")):
        if part.isdecimal() and int(part) < len(devices):
            kept.append(devices[int(part)])
        elif part.startswith("GPU-"):
            kept += [d for d in devices if d.key.startswith(part)]
    return kept


class DeviceProbe:
    """Asks for devices, at most once a second, and waits two seconds at most."""

    def __init__(self, ask: Callable[[], list[Device]] = ask_nvml, *,
                 timeout_s: float = TIMEOUT_S, fresh_s: float = FRESH_S) -> None:
        """Take the question to ask; tests hand in another."""
        self._ask, self._timeout_s, self._fresh_s = ask, timeout_s, fresh_s
        self._gpus: list[Device] = []
        self._asked_at = float("-inf")
        self._worker: threading.Thread | None = None
        self._lock = threading.Lock()

    def list(self) -> list[Device]:
        """Return the GPUs, then the CPU."""
        with self._lock:
            if time.monotonic() - self._asked_at > self._fresh_s:
                self._refresh()
                self._asked_at = time.monotonic()
            gpus = list(self._gpus)
        return [*visible(gpus, os.environ.get("CUDA_VISIBLE_DEVICES")), cpu_device()]

    def _refresh(self) -> None:
        if self._worker is not None and self._worker.is_alive():
            self._mark("the driver does not answer")
            return
        answer: list[list[Device] | Exception] = []

        def ask() -> None:
            try:
                answer.append(self._ask())
            except (OSError, RuntimeError) as error:
                answer.append(error)

        self._worker = threading.Thread(target=ask, name="nvml", daemon=True)
        self._worker.start()
        self._worker.join(self._timeout_s)
        if not answer:
            self._mark("the driver does not answer")
        elif isinstance(answer[0], Exception):
            self._mark(f"the driver says: {answer[0]}")
        else:
            self._gpus = answer[0]

    def _mark(self, problem: str) -> None:
        self._gpus = [replace(d, problem=f"unavailable: {problem}") for d in self._gpus]

"""What training wants of the devices on which engines are; it comes first on a GPU."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from app.devices import CPU, Device
from app.runs import ACTIVE, RunState
from app.serving.engines.names import Desk


@dataclass(frozen=True)
class Conflict:
    """A run wants a GPU whose engine is answering: somebody has to choose.

    Attributes:
        run: The run's id.
        engine: The engine's id.
        model: What that engine has loaded.
        device: The GPU.
        waits: Whether the run still waits; else it has started beside the engine.
    """

    run: str
    engine: str
    model: str
    device: str
    waits: bool

    @property
    def message(self) -> str:
        """Say it in words."""
        what = "waits for" if self.waits else "has started on"
        return (f"The run {self.run} {what} a GPU on which '{self.model}' is answering. New "
                "questions to it are refused until the run has ended; unload the engine to give "
                "the GPU to the run at once.")


def wanted_devices(desk: Desk, with_engine: Collection[str]) -> tuple[dict[str, str], set[str]]:
    """Return which run has or waits for each of these GPUs, and the runs that have started."""
    if not with_engine:
        return {}, set()
    active = {run.device: run.id for state in ACTIVE for run in desk.runs(state=state)}
    waiting = {record.run.id: record.wanted_device
               for record in desk.store.records([RunState.QUEUED])}
    claims = {}
    devices = desk.devices() if waiting else []
    for device in with_engine:
        if run := active.get(device) or needed(device, waiting, devices):
            claims[device] = run
    return claims, set(active.values())


def needed(device: str, waiting: Mapping[str, str], devices: Sequence[Device]) -> str:
    """Return the id of a run that waits for this device and can have no other, or ''.

    Args:
        device: A GPU with an engine.
        waiting: The device that each queued run wants: a key, or 'auto'.
        devices: GPUs and CPU.
    """
    free = [other for other in devices if other.key not in (CPU, device) and not other.problem
            and not other.holder]
    return next((run for run, wanted in waiting.items()
                 if wanted == device or (wanted == "auto" and not free)), "")

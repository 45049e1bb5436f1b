"""What training a model needs on this machine, by method, and whether it fits."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from app.devices import CPU, Device
from app.models_files import FolderFacts
from trainer.contract import RunConfig
from trainer.contract.catalogue import (
    METHODS,
    RANK,
    ROWS,
    TOKENS,
    CatalogueModel,
    Method,
    Shape,
    rough_memory,
)
from trainer.contract.choose import DeviceKind, choose_dtype
from trainer.contract.config import parse
from trainer.contract.models import ModelFacts
from trainer.contract.plan import Setting, estimate


@dataclass(frozen=True)
class Room:
    """The device that models are held against: the largest GPU, else the CPU."""

    key: str
    name: str
    kind: DeviceKind
    dtype: str
    total_bytes: int

    def document(self) -> dict[str, Any]:
        """Return it as REST and ``--json`` show it."""
        return {"key": self.key, "name": self.name, "dtype": self.dtype,
                "total_bytes": self.total_bytes}


@dataclass(frozen=True)
class Need:
    """What one method takes; ``counted`` from the model's own files, else from its size alone."""

    method: Method
    bytes: int
    fits: bool
    counted: bool

    def document(self) -> dict[str, Any]:
        """Return it as REST and ``--json`` show it."""
        return {"method": self.method, "bytes": self.bytes, "fits": self.fits,
                "counted": self.counted}


def room_of(devices: Sequence[Device]) -> Room:
    """Choose the device that a run would have, were it free."""
    usable = [device for device in devices if not device.problem] or list(devices)
    gpus = [device for device in usable if device.key != CPU]
    device = max(gpus, key=lambda one: one.total_mib) if gpus else usable[-1]
    kind = cast(DeviceKind, device.kind)
    dtype, _ = choose_dtype("auto", kind, device.capability)
    return Room(device.key, device.name, kind, dtype, device.total_mib * 2**20)


def needs_of_catalogue(model: CatalogueModel, room: Room) -> tuple[Need, ...]:
    """Return what each method takes, from the model's size alone."""
    return _rough(model.parameters, model.active_parameters, room)


def _rough(parameters: int, active: int, room: Room) -> tuple[Need, ...]:
    shape = Shape(parameters, active)
    sizes = ((method, rough_memory(shape, method, device=room.kind, dtype=room.dtype))
             for method in METHODS)
    return tuple(Need(method, size, size <= room.total_bytes, False) for method, size in sizes)


class Needs:
    """Remembers what the estimate says of each model; thread-safe."""

    def __init__(self) -> None:
        self._found: dict[tuple[object, ...], tuple[Need, ...]] = {}
        self._lock = threading.Lock()

    def of(self, name: str, facts: FolderFacts, room: Room) -> tuple[Need, ...]:
        """Return what each method takes that can train the model; () when nothing is known."""
        model = facts.model
        if model is None:
            return ()
        key = (name, model.parameters, model.weight_bytes, room)
        with self._lock:
            if key in self._found:
                return self._found[key]
        found = tuple(_counted(model, room))
        with self._lock:
            self._found[key] = found
        return found


def _counted(model: ModelFacts, room: Room) -> Iterable[Need]:
    setting = Setting(room.kind, room.dtype, room.total_bytes)
    # Weights that are stored quantized stay as they are: only an adapter can stand beside them.
    for method in METHODS[:1] if model.quantization else METHODS:
        found = estimate(_config(method), model, setting)
        yield Need(method, found.total_bytes, found.fits, True)


@cache
def _config(method: Method) -> RunConfig:
    """Return the run that every figure is for, as ``trainer.contract.catalogue`` states it."""
    return parse({
        "name": "estimate", "model": {"quantization": "nf4" if method == "qlora" else "none"},
        "tuner": {"type": "full" if method == "full" else "lora", "r": RANK},
        "data": {"max_length": TOKENS},
        "training": {"per_device_train_batch_size": ROWS, "gradient_checkpointing": True}})

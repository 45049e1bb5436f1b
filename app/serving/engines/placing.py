"""Which engine and which device, each with a reason; training comes first on a GPU. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from app.devices import CPU, Device
from app.serving.engines.leases import BUSY
from trainer.engines.errors import EngineError
from trainer.engines.kinds import Availability, EngineKind
from trainer.engines.targets import Target


def pick_kind(target: Target, asked: str, kinds: Mapping[str, EngineKind]
              ) -> tuple[EngineKind, str]:
    """Choose the kind of engine, and say why.

    Raises:
        EngineError: There is no such kind, or it cannot serve this.
    """
    why = "it was asked for"
    if asked in ("", "auto"):
        asked = "llama.cpp" if target.model.is_gguf else "transformers"
        why = "GGUF files need it" if target.model.is_gguf else "it serves every method"
    kind = kinds.get(asked)
    if kind is None:
        raise EngineError("unknown_engine", f"There is no engine '{asked[:40]}'.",
                          f"Choose one of: {', '.join(kinds)}.")
    if refusal := kind.refusal(target):
        raise EngineError("engine_cannot", f"The engine {asked} cannot serve '{target.name}'. "
                          f"{refusal}", "Choose another engine, or 'auto'.")
    return kind, why


def usable(found: Availability, devices: Sequence[Device]) -> Sequence[Device]:
    """Return the devices that a kind was built for.

    Raises:
        EngineError: It needs a GPU, and there is none ('engine_cannot').
    """
    if found.devices == "gpu" and all(device.key == CPU for device in devices):
        raise EngineError("engine_cannot", f"The engine {found.kind} that is installed needs a "
                          "GPU, and there is none here.",
                          "Run 'make vllm' on this machine, or choose another engine.")
    return [device for device in devices if device.key == CPU] if found.devices == "cpu" \
        else devices


def choose_device(devices: Sequence[Device], claims: Mapping[str, str],
                  taken: Mapping[str, int], elsewhere: Collection[str]) -> str:
    """Return 'cpu' on a machine without GPUs, else the uuid of a GPU that no run has.

    Args:
        devices: GPUs and CPU.
        claims: Which run has or waits for a device.
        taken: 0 for devices with room for an engine, 1 where an idle one would have to go, 2
            where all are answering; what is missing has room.
        elsewhere: Devices with an engine of another process.

    Raises:
        EngineError: Runs or other processes have every GPU ('device_busy').
    """
    gpus = [device for device in devices if device.key != CPU
            and (not device.problem or device.problem.startswith(BUSY))]
    if not gpus:
        return CPU
    holders = {device.key: device.holder or claims.get(device.key, "") for device in gpus}
    free = [device for device in gpus if not holders[device.key] and device.key not in elsewhere]
    if free:
        return min(free, key=lambda device: (taken.get(device.key, 0), -device.free_mib)).key
    run = next((holder for holder in holders.values() if holder), "")
    if run:
        raise EngineError("device_busy", f"The run {run} is using {gpus[0].name}.",
                          "Ask again when it has ended, or stop it.")
    raise EngineError("device_busy", f"Another process has an engine on {gpus[0].name}.",
                      "End that one, or wait until it has let go.")


def claimed(run: str, label: str) -> EngineError:
    """Return why an engine does not answer any more: training comes first."""
    return EngineError("device_busy", f"The run {run} needs the device of '{label}'.",
                       "Ask again when it has ended, or stop it.")

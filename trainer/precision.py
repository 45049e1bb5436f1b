"""Device, number format and attention back end, each chosen with a reason."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from trainer.contract.choose import BF16_UNITS, DeviceKind, choose_dtype, dtype_problem
from trainer.contract.config import RunConfig
from trainer.contract.families import EAGER_REASON, attention_wanted
from trainer.contract.models import ModelFacts
from trainer.failures import Failure

if TYPE_CHECKING:
    import torch


PURE = "pure bf16: weights, gradients and optimizer in bfloat16, without autocast"


class Choice(NamedTuple):
    """A value and why it was taken."""

    value: str
    reason: str


@dataclass(frozen=True)
class Gpu:
    """What is known of the GPU that this process sees; ``capability`` as (major, minor)."""

    name: str
    capability: tuple[int, int]


@dataclass(frozen=True)
class Precision:
    """How this attempt computes.

    ``weights`` is the format the trained or frozen weights are held in, ``compute`` that of the
    matrix products (autocast when they differ). ``kernels``: the hub's kernels take the place of
    layers.
    """

    device: Choice
    compute: Choice
    weights: Choice
    attention: Choice
    kernels: bool = False

    @property
    def is_pure(self) -> bool:
        """Whether trained weights are held in bfloat16 too, without autocast."""
        return self.weights.reason == PURE

    @property
    def on_cpu(self) -> bool:
        """Whether training runs on the CPU."""
        return self.device.value == "cpu"

    def torch_dtype(self) -> torch.dtype:
        """Return the format of the weights as torch knows it."""
        import torch

        found: torch.dtype = getattr(torch, self.weights.value)
        return found


def find_gpu() -> Gpu | None:
    """Return the first GPU this process may use, or None."""
    import torch

    if not torch.cuda.is_available():
        return None
    return Gpu(torch.cuda.get_device_name(0), torch.cuda.get_device_capability(0))


def choose(config: RunConfig, device: str, gpu: Gpu | None) -> Precision:
    """Choose device, formats and attention.

    Args:
        config: The run.
        device: 'cpu', 'auto', or the UUID that the supervisor leased.
        gpu: What torch sees, None without CUDA.

    Raises:
        Failure: A GPU was asked for and none is there, or a format that it cannot compute.
    """
    where = _device(device, gpu)
    compute = _compute(config, gpu if where.value == "cuda" else None)
    kernels = config.training.use_kernels and where.value == "cuda"
    return Precision(where, compute, _weights(config, compute), _attention(config), kernels)


def suited(precision: Precision, facts: ModelFacts) -> Precision:
    """Return the choices with the attention that the model's family needs, where none is set."""
    wanted = attention_wanted(facts)
    if not wanted or precision.attention.value != "auto":
        return precision
    return replace(precision, attention=Choice(wanted, EAGER_REASON))


def _device(device: str, gpu: Gpu | None) -> Choice:
    if device == "cpu":
        return Choice("cpu", "this attempt was given the CPU")
    if gpu is not None:
        return Choice("cuda", f"this attempt was given {gpu.name}")
    if device == "auto":
        return Choice("cpu", "torch finds no CUDA GPU here")
    raise Failure("gpu_missing", f"The GPU {device} cannot be used: torch finds no CUDA.",
                  "Install the CUDA build of torch, check the driver, or choose the CPU.")


def _compute(config: RunConfig, gpu: Gpu | None) -> Choice:
    kind: DeviceKind = "cpu" if gpu is None else "cuda"
    asked = config.model.dtype
    if asked == "auto" and _is_pure(config):
        asked = "bfloat16"
    capability = None if gpu is None else gpu.capability
    if problem := dtype_problem(asked, kind, capability):
        raise Failure("dtype_unusable", problem, "Set model.dtype to 'auto' or 'float32'.")
    if asked == "auto" and gpu is None and has_bf16_units():
        return Choice("float32", BF16_UNITS)
    return Choice(*choose_dtype(asked, kind, capability))


def has_bf16_units() -> bool:
    """Tell whether this machine's processor multiplies bfloat16 matrices by itself."""
    import torch

    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def _is_pure(config: RunConfig) -> bool:
    return config.training.pure_bf16 and config.tuner.type in ("full", "freeze")


def _weights(config: RunConfig, compute: Choice) -> Choice:
    if _is_pure(config):
        return Choice("bfloat16", PURE)
    if config.tuner.type in ("full", "freeze") and compute.value != "float32":
        return Choice("float32", "full training keeps float32 weights and computes in "
                      f"{compute.value}")
    return Choice(compute.value, "as computed")


def _attention(config: RunConfig) -> Choice:
    asked = config.model.attn_implementation
    if asked != "auto":
        return Choice(asked, "set in the config")
    return Choice("auto", "Transformers takes the model's best")

"""Automatic choices that studio and trainer must make alike, each as (value, reason). Pure."""

from __future__ import annotations

from typing import Literal

DeviceKind = Literal["cpu", "cuda"]
Capability = tuple[int, int]

BYTES_OF_DTYPE = {"float32": 4, "bfloat16": 2, "float16": 2}
BF16_CAPABILITY: Capability = (8, 0)
BF16_UNITS = ("float32: exact on the CPU; this one has bf16 units, so model.dtype=bfloat16 would "
              "be faster")


def choose_dtype(requested: str, device_kind: DeviceKind,
                 capability: Capability | None) -> tuple[str, str]:
    """Choose the number format of training.

    Args:
        requested: ``model.dtype``: auto, bfloat16, float16 or float32.
        device_kind: Where the run trains.
        capability: CUDA compute capability (major, minor), None when not known or on the CPU.

    Returns:
        ("float32" | "bfloat16" | "float16", reason).
    """
    if requested != "auto":
        return requested, "as asked for"
    if device_kind == "cpu":
        return "float32", "float32: exact on the CPU; bf16 is only faster on CPUs with bf16 units"
    if capability is None:
        return "bfloat16", "bf16: the GPU's compute capability is not known yet"
    shown = f"{capability[0]}.{capability[1]}"
    if capability >= BF16_CAPABILITY:
        return "bfloat16", f"bf16: this GPU is compute capability {shown}"
    return "float16", f"fp16: this GPU is compute capability {shown}, bf16 needs 8.0"


def dtype_problem(requested: str, device_kind: DeviceKind,
                  capability: Capability | None) -> str:
    """Say why a requested number format cannot be used on a device, or ''."""
    if requested == "float16" and device_kind == "cpu":
        return "float16 training needs a GPU: the CPU has no gradient scaling for it."
    if requested == "bfloat16" and capability is not None and capability < BF16_CAPABILITY:
        return (f"This GPU is compute capability {capability[0]}.{capability[1]}; "
                "bf16 needs 8.0.")
    return ""

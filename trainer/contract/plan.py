"""A first estimate of memory, disk and steps, as (value, reason) pairs. Pure arithmetic.

Shapes come from the safetensors headers. Sizes of 4-bit weights follow QLoRA (arXiv:2305.14314,
section 3: blocks of 64, their scales quantized in blocks of 256); activations follow
arXiv:2205.05198, section 4.1, without the attention matrix that SDPA never stores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from trainer.contract.adapter_sizes import adapter_shapes, trained_shapes
from trainer.contract.choose import BYTES_OF_DTYPE, DeviceKind
from trainer.contract.config import RunConfig
from trainer.contract.models import ModelFacts
from trainer.contract.optimizer_state import average_bytes, gradient_bytes, state_bytes
from trainer.contract.targets import linear_shapes

# Bytes of a weight: half a byte, and a float32 scale for each 64; with double quantization the
# scales take a byte, and a float32 for each 256 of them. LLM.int8 has a float32 scale a row.
FOUR_BITS = {True: 0.5 + 1 / 64 + 4 / (64 * 256), False: 0.5 + 4 / 64}
OVERHEAD_BYTES = {"cpu": 900 * 2**20, "cuda": 700 * 2**20}
# Rows kept for the backward pass: pairs are learned from both answers; KTO's look at the answers to
# other prompts keeps nothing.
_ROWS_READ = {"pairs": 2}


@dataclass(frozen=True)
class Part:
    """One part of the memory a run needs."""

    key: str
    label: str
    bytes: int
    reason: str


@dataclass(frozen=True)
class Setting:
    """Where and on what a run works.

    ``rows`` is None when the data are not known; ``dtype`` is the number format of computing.
    ``mixed_rows`` is what an epoch reads of several datasets, rows that are held out left out.
    """

    device_kind: DeviceKind
    dtype: str
    available_bytes: int
    rows: int | None = None
    mixed_rows: int | None = None


@dataclass(frozen=True)
class Estimate:
    """What a run needs; every part with its reason."""

    parts: list[Part]
    total_bytes: int
    available_bytes: int
    steps: int | None
    steps_reason: str
    checkpoint_bytes: int
    checkpoint_reason: str
    adapter_parameters: int
    trainable_parameters: int

    @property
    def fits(self) -> bool:
        """Whether the parts together are less than what the device has free."""
        return self.total_bytes <= self.available_bytes

    def document(self) -> dict[str, Any]:
        """Return the estimate as REST and ``--json`` show it."""
        return {**asdict(self), "fits": self.fits}


def adapter_parameters(config: RunConfig, facts: ModelFacts) -> int:
    """Count the weights that an adapter trains; 0 without one."""
    return _count(adapter_shapes(config, facts)) if config.tuner.is_adapter else 0


def _count(shapes: Mapping[str, tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for shape in shapes.values())


def weight_bytes(config: RunConfig, facts: ModelFacts, dtype: str) -> tuple[int, str]:
    """Return the bytes of the base weights in memory and the reason."""
    kind = config.model.quantization
    if kind != "none":
        quantized = sum(rows * columns for rows, columns in linear_shapes(facts).values())
        rest = facts.parameters - quantized
        packed, words = quantized_bytes(config, facts)
        return packed + rest * BYTES_OF_DTYPE[dtype], (
            f"{quantized:,} weights in {words}, {rest:,} in {dtype}")
    if facts.quantization:
        return facts.weight_bytes, f"as stored, quantized by {facts.quantization}"
    whole = not config.tuner.is_adapter and not config.training.pure_bf16
    held = "float32" if whole else dtype
    note = ": full training keeps them whole" if held != dtype else ""
    return facts.parameters * BYTES_OF_DTYPE[held], f"{facts.parameters:,} weights in {held}{note}"


def quantized_bytes(config: RunConfig, facts: ModelFacts) -> tuple[int, str]:
    """Return what the quantized linear layers take and in which words; not what stays whole."""
    shapes = linear_shapes(facts).values()
    count = sum(rows * columns for rows, columns in shapes)
    if config.model.quantization == "int8":
        return count + 4 * sum(rows for rows, _ in shapes), "8 bits"
    double = config.model.double_quantization
    return round(count * FOUR_BITS[double]), "4 bits" + (
        " with double quantization" if double else "")


def activation_bytes(config: RunConfig, facts: ModelFacts, dtype: str) -> tuple[int, str]:
    """Return a rough size of what the forward pass keeps for the backward pass, and the reason."""
    hidden, layers = int(facts.text_config.get("hidden_size") or 0), facts.depth
    if not hidden or not layers:
        return 0, "left out: config.json does not say the hidden size and the layers"
    training = config.training
    width = BYTES_OF_DTYPE[dtype]
    tokens = training.per_device_train_batch_size * config.data.max_length
    tokens *= _ROWS_READ.get(config.facts.rows, 1)
    block = 17 * width * tokens * hidden
    shape = (f"{training.per_device_train_batch_size} x {config.data.max_length:,} tokens at the "
             "longest, rough")
    if training.gradient_checkpointing:
        return (layers * width * tokens * hidden + block,
                f"{shape}; only the borders of {layers} layers are kept")
    return layers * block, f"{shape}; {layers} layers"


def held_out(config: RunConfig, rows: int) -> int:
    """Return how many of the training rows are kept for evaluation."""
    taken = 0 if config.data.eval else config.data.val_size
    if not taken:
        return 0
    return max(1, round(rows * taken)) if taken < 1 else int(taken)


def count_steps(config: RunConfig, rows: int | None,
                mixed: int | None = None) -> tuple[int | None, str]:
    """Return the number of optimizer steps and the reason.

    Args:
        config: The run.
        rows: Of the training data, None when not known.
        mixed: What an epoch reads of several datasets, rows that are held out left out.
    """
    training = config.training
    if training.max_steps is not None:
        return training.max_steps, "max_steps is set"
    if rows is None:
        return None, "the number of rows is not known yet"
    rows = rows - held_out(config, rows) if mixed is None else mixed
    batches = math.ceil(max(rows, 0) / training.per_device_train_batch_size)
    each = math.ceil(batches / training.gradient_accumulation_steps)
    total = math.ceil(each * training.num_train_epochs)
    return total, f"{rows:,} rows, {each:,} steps an epoch, {training.num_train_epochs:g} epochs"


def _held_beside(config: RunConfig, facts: ModelFacts, dtype: str,
                 weights: int) -> Iterator[Part]:
    """Yield the other models that an objective holds: a reference, a teacher.

    An adapter is switched off to ask the reference; one that a teacher's own name says is not
    known here and is taken to be as large as the student.
    """
    compares = config.facts.reference or (
        config.objective in ("grpo", "rloo") and getattr(config, config.objective).beta > 0)
    if compares and not config.tuner.is_adapter:
        yield Part("reference", "Reference model", weights,
                   f"{config.objective.upper()} compares with the model as it was")
    if config.facts.teacher:
        yield Part("teacher", "Teacher", facts.parameters * BYTES_OF_DTYPE[dtype],
                   f"as large as the student, in {dtype}, where its own size is not known")


def estimate(config: RunConfig, facts: ModelFacts, setting: Setting) -> Estimate:
    """Estimate a run from its config and the headers of its base model."""
    shapes = trained_shapes(config, facts)
    trainable, adapter = _count(shapes), adapter_parameters(config, facts)
    weights, weights_reason = weight_bytes(config, facts, setting.dtype)
    parts = [Part("weights", "Weights", weights, weights_reason)]
    if config.tuner.is_adapter:
        parts.append(Part("adapter", "Adapter", 4 * adapter, f"{adapter:,} weights in float32"))
    parts += _held_beside(config, facts, setting.dtype, weights)
    state, state_reason = state_bytes(config, shapes)
    average, average_reason = average_bytes(config, shapes)
    parts += [Part("gradients", "Gradients", *gradient_bytes(config, shapes)),
              Part("optimizer", "Optimizer", state, state_reason)]
    if average:
        parts.append(Part("average", "Mean of weights", average, average_reason))
    parts += [
        Part("activations", "Activations", *activation_bytes(config, facts, setting.dtype)),
        Part("overhead", "Process", OVERHEAD_BYTES[setting.device_kind],
             "torch and its libraries, a usual size")]
    kept = config.training.save_total_limit + 1
    steps, steps_reason = count_steps(config, setting.rows, setting.mixed_rows)
    each = 4 * (trainable if config.tuner.is_adapter else facts.parameters) + state + average
    return Estimate(parts, sum(p.bytes for p in parts), setting.available_bytes, steps,
                    steps_reason, kept * each,
                    f"{kept} checkpoints at most, each {each / 2**20:,.1f} MiB: trained weights "
                    "and optimizer state", adapter, trainable)

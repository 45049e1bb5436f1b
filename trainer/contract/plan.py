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

from trainer.contract.choose import BYTES_OF_DTYPE, DeviceKind
from trainer.contract.config import RunConfig
from trainer.contract.models import ModelFacts

NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
OVERHEAD_BYTES = {"cpu": 900 * 2**20, "cuda": 700 * 2**20}
_HEADS = ("lm_head", "embed_out", "score")
_EMBEDDINGS = ("embed", "wte", "wpe")
# Bytes of optimizer state per trained weight; the 8-bit ones also keep a float32 scale per 256.
_STATE_BYTES = {"adamw_torch": 8.0, "adamw_torch_fused": 8.0, "adamw_8bit": 2 + 8 / 256,
                "paged_adamw_8bit": 2 + 8 / 256, "sgd": 0.0}
# Rows kept for the backward pass: DPO learns from both answers; KTO's look at the answers to other
# prompts keeps nothing.
_ROWS_READ = {"dpo": 2}
_COMPARES = {"dpo": "DPO", "kto": "KTO"}


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


def linear_shapes(facts: ModelFacts) -> dict[str, tuple[int, int]]:
    """Return the module names and (out, in) shapes of the linear layers, heads left out."""
    found = {}
    for name, (shape, _) in facts.tensors.items():
        module, _, kind = name.rpartition(".")
        last = module.rpartition(".")[2]
        if kind == "weight" and len(shape) == 2 and last not in _HEADS \
                and not any(word in last for word in _EMBEDDINGS):
            found[module] = (shape[0], shape[1])
    return found


def target_names(target_modules: list[str] | str) -> list[str]:
    """Return the module names that are asked for; [] means every linear layer."""
    if target_modules == "all-linear":
        return []
    names = target_modules.split(",") if isinstance(target_modules, str) else target_modules
    return [name.strip() for name in names if name.strip()]


def lora_targets(config: RunConfig, facts: ModelFacts) -> dict[str, tuple[int, int]]:
    """Return the linear layers that LoRA stands beside."""
    shapes = linear_shapes(facts)
    names = target_names(config.tuner.target_modules)
    if not names:
        return shapes
    return {module: shape for module, shape in shapes.items()
            if any(module == name or module.endswith(f".{name}") for name in names)}


def adapter_parameters(config: RunConfig, facts: ModelFacts) -> int:
    """Count the adapter's weights: r * (in + out) a layer, and out more with DoRA."""
    rank, dora = config.tuner.r, config.tuner.use_dora
    return sum(rank * (rows + columns) + (rows if dora else 0)
               for rows, columns in lora_targets(config, facts).values())


def optimizer_bytes(config: RunConfig, trainable: int,
                    shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, str]:
    """Return the bytes of optimizer state and the reason.

    Args:
        config: The run.
        trainable: Number of trained weights.
        shapes: Their tensors, for Adafactor's rows and columns (arXiv:1804.04235).
    """
    name = config.training.optim
    if name == "adafactor":
        factored = sum(math.prod(s) if len(s) < 2 else math.prod(s[:-1]) + math.prod(s[1:])
                       for s in shapes.values())
        return 4 * factored, "Adafactor keeps a row and a column for each matrix"
    each = _STATE_BYTES.get(name, 8.0)
    reason = {"sgd": "SGD without momentum keeps nothing",
              "adamw_8bit": "two 8-bit moments for each trained weight",
              "paged_adamw_8bit": "two 8-bit moments for each trained weight, "
              "moved to host memory when the GPU is full"}
    return round(each * trainable), reason.get(name, "two float32 moments for each trained weight")


def weight_bytes(config: RunConfig, facts: ModelFacts, dtype: str) -> tuple[int, str]:
    """Return the bytes of the base weights in memory and the reason."""
    if config.model.quantization in ("nf4", "fp4"):
        quantized = sum(rows * columns for rows, columns in linear_shapes(facts).values())
        rest = facts.parameters - quantized
        return (round(quantized * NF4_BYTES) + rest * BYTES_OF_DTYPE[dtype],
                f"{quantized:,} weights in 4 bits with double quantization, "
                f"{rest:,} in {dtype}")
    held = "float32" if config.tuner.type == "full" else dtype
    note = ": full training keeps them whole" if held != dtype else ""
    return facts.parameters * BYTES_OF_DTYPE[held], f"{facts.parameters:,} weights in {held}{note}"


def activation_bytes(config: RunConfig, facts: ModelFacts, dtype: str) -> tuple[int, str]:
    """Return a rough size of what the forward pass keeps for the backward pass, and the reason."""
    hidden = int(facts.config.get("hidden_size") or 0)
    layers = int(facts.config.get("num_hidden_layers") or 0)
    if not hidden or not layers:
        return 0, "left out: config.json does not say the hidden size and the layers"
    training = config.training
    width = BYTES_OF_DTYPE[dtype]
    tokens = training.per_device_train_batch_size * config.data.max_length
    tokens *= _ROWS_READ.get(config.objective, 1)
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


def _trainable(config: RunConfig, facts: ModelFacts) -> Iterator[tuple[str, tuple[int, ...]]]:
    if config.tuner.type == "full":
        for name, (shape, _) in facts.tensors.items():
            yield name, shape
        return
    for module, (rows, columns) in lora_targets(config, facts).items():
        yield f"{module}.lora_A", (config.tuner.r, columns)
        yield f"{module}.lora_B", (rows, config.tuner.r)


def estimate(config: RunConfig, facts: ModelFacts, setting: Setting) -> Estimate:
    """Estimate a run from its config and the headers of its base model."""
    full = config.tuner.type == "full"
    adapter = 0 if full else adapter_parameters(config, facts)
    trainable = facts.parameters if full else adapter
    state, state_reason = optimizer_bytes(config, trainable, dict(_trainable(config, facts)))
    weights, weights_reason = weight_bytes(config, facts, setting.dtype)
    activations, activations_reason = activation_bytes(config, facts, setting.dtype)
    parts = [Part("weights", "Weights", weights, weights_reason)]
    if not full:
        parts.append(Part("adapter", "Adapter", 4 * adapter,
                          f"{adapter:,} weights in float32, rank {config.tuner.r}"))
    elif config.objective in _COMPARES:
        parts.append(Part("reference", "Reference model", weights,
                          f"{_COMPARES[config.objective]} compares with the model as it was"))
    parts += [
        Part("gradients", "Gradients", 4 * trainable,
             f"float32, one for each of {trainable:,} trained weights"),
        Part("optimizer", "Optimizer", state, state_reason),
        Part("activations", "Activations", activations, activations_reason),
        Part("overhead", "Process", OVERHEAD_BYTES[setting.device_kind],
             "torch and its libraries, a usual size"),
    ]
    kept = config.training.save_total_limit + 1
    steps, steps_reason = count_steps(config, setting.rows, setting.mixed_rows)
    each = 4 * trainable + state
    return Estimate(parts, sum(p.bytes for p in parts), setting.available_bytes, steps,
                    steps_reason, kept * each,
                    f"{kept} checkpoints at most, each {each / 2**20:,.1f} MiB: trained weights "
                    "and optimizer state", adapter, trainable)

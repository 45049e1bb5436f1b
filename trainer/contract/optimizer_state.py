"""What an optimizer keeps in memory for the weights it moves: bytes and the reason. Arithmetic.

bitsandbytes and torchao keep tensors of fewer than 4,096 weights, and bitsandbytes embeddings, in
32 bits; their 8-bit moments have a float32 scale for each block of 256. Adafactor keeps a row and
a column of a matrix (arXiv:1804.04235), Adam-mini one second moment a block (arXiv:2406.16793),
GaLore and APOLLO moments, stand-in and basis of the projection's rank (arXiv:2403.03507).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from trainer.contract.config import RunConfig
from trainer.contract.config.optimizers import LAYERWISE

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
SMALL = 4096
_EMBEDDINGS = ("embed", "wte", "wpe")
_HEADS = ("lm_head", "embed_out", "score")
_LAYER = re.compile(r"^(.*?\.\d+)\.")

# Bytes for each trained weight, where it is the same for all.
_WHOLE = {
    **dict.fromkeys(("adamw_torch", "adamw_torch_fused", "paged_adamw_32bit"),
                    (8.0, "two float32 moments for each trained weight")),
    "schedule_free_adamw": (8.0, "a second point and a float32 moment for each trained weight"),
    "schedule_free_radam": (8.0, "a second point and a float32 moment for each trained weight"),
    "schedule_free_sgd": (4.0, "a second point for each trained weight"),
    "ademamix": (12.0, "three float32 moments for each trained weight"),
    "lion_32bit": (4.0, "one float32 moment for each trained weight"),
    "adagrad": (4.0, "a float32 sum of squares for each trained weight"),
    "rmsprop": (4.0, "a float32 mean of squares for each trained weight"),
    "sgd": (0.0, "SGD without momentum keeps nothing"),
    "lomo": (0.0, "LOMO keeps nothing"),
}
# (moments, bytes of one): the 8-bit and 4-bit ones.
_BITS = {"adamw_8bit": (2, 1.0), "paged_adamw_8bit": (2, 1.0), "lion_8bit": (1, 1.0),
         "paged_lion_8bit": (1, 1.0), "ademamix_8bit": (3, 1.0), "paged_ademamix_8bit": (3, 1.0),
         "adamw_torch_8bit": (2, 1.0), "adamw_torch_4bit": (2, 0.5)}


def state_bytes(config: RunConfig, shapes: Shapes) -> tuple[int, str]:
    """Return the bytes of optimizer state and the reason.

    Args:
        config: The run.
        shapes: The tensors that are trained, by name.
    """
    name = config.training.optim
    if name in _WHOLE:
        each, reason = _WHOLE[name]
        return round(each * _count(shapes)), reason
    if name in _BITS:
        return _quantized(name, shapes)
    if name.startswith(("galore", "apollo")):
        return _projected(config, shapes)
    size, reason = _OTHERS[name]
    return size(shapes), reason


def gradient_bytes(config: RunConfig, shapes: Shapes) -> tuple[int, str]:
    """Return the bytes of float32 gradients that exist at once, and the reason."""
    if config.training.optim in LAYERWISE:
        largest = max((math.prod(s) for s in shapes.values()), default=0)
        return 4 * largest, f"float32, of one tensor at a time: the largest has {largest:,} weights"
    if config.training.optim == "badam":
        block = _largest_block(shapes)
        return 4 * block, f"float32, of one block at a time: the largest has {block:,} weights"
    return 4 * _count(shapes), (f"float32, one for each of {_count(shapes):,} trained weights")


def average_bytes(config: RunConfig, shapes: Shapes) -> tuple[int, str]:
    """Return the bytes of the averaged weights and the reason; 0 without an average."""
    copies = {"none": 0, "ema": 1, "bema": 2}[config.training.ema.type]
    words = {0: "no mean is kept", 1: "a float32 mean of each trained weight",
             2: "a float32 mean of each trained weight, and where it began"}
    return 4 * copies * _count(shapes), words[copies]


def _count(shapes: Shapes) -> int:
    return sum(math.prod(shape) for shape in shapes.values())


def _quantized(name: str, shapes: Shapes) -> tuple[int, str]:
    """Return what moments in 8 or 4 bits need; small tensors stay in 32."""
    moments, each = _BITS[name]
    total = 0.0
    for tensor, shape in shapes.items():
        count = math.prod(shape)
        whole = count < SMALL or (count % 256 != 0 if "torch" in name else _is_embedding(tensor))
        total += count * moments * (4.0 if whole else each + 4 / 256)
        if "torch" in name and not whole:  # torchao: a table of the codes for each moment
            total += moments * 4 * 2 ** round(8 * each)
    bits, moved = ("4-bit" if each < 1 else "8-bit"), ""
    if name.startswith("paged"):
        moved = ", moved to host memory when the GPU is full"
    return round(total), f"{moments} {bits} moments for each weight of large tensors{moved}"


def _is_embedding(tensor: str) -> bool:
    return any(word in tensor for word in _EMBEDDINGS)


def _factored(shape: Shape) -> int:
    """Return Adafactor's numbers for a tensor: its rows and columns."""
    return math.prod(shape) if len(shape) < 2 else math.prod(shape[:-1]) + math.prod(
        (*shape[:-2], shape[-1]))


def _projected(config: RunConfig, shapes: Shapes) -> tuple[int, str]:
    """Return what stand-ins, their bases and their moments need."""
    name, rank, total = config.training.optim, config.training.projection.rank, 0.0
    for tensor, shape in shapes.items():
        if not _is_matrix(tensor, shape):
            total += 4 * _factored(shape) if name == "galore_adafactor" else 8 * math.prod(shape)
            continue
        kept = min(rank, *shape)
        low = (max(shape), kept)
        total += 4 * math.prod(low) + 4 * kept * min(shape)
        if name == "galore_adafactor":
            total += 4 * _factored(low)
        elif name == "galore_adamw_8bit" and math.prod(low) >= SMALL:
            total += 2 * math.prod(low) * (1 + 4 / 256)
        else:
            total += 8 * math.prod(low)
    return round(total), f"moments, stand-in and basis of rank {rank} for each matrix"


def _is_matrix(tensor: str, shape: Shape) -> bool:
    """Tell whether a tensor is a linear layer inside the model, no embedding and no head."""
    return len(shape) == 2 and not _is_embedding(tensor) and not any(
        head in tensor for head in _HEADS)


def _largest_block(shapes: Shapes) -> int:
    blocks: dict[str, int] = {}
    for tensor, shape in shapes.items():
        if found := _LAYER.match(tensor):
            blocks[found[1]] = blocks.get(found[1], 0) + math.prod(shape)
    return max(blocks.values(), default=0)


def _muon(shapes: Shapes) -> int:
    return sum((4 if _is_matrix(t, s) else 8) * math.prod(s) for t, s in shapes.items())


def _adam_mini(shapes: Shapes) -> int:
    """Count a moment a weight and a second one a row; heads have even fewer."""
    return 4 * sum(math.prod(s) + (s[0] if len(s) > 1 else 1) for s in shapes.values())


_OTHERS: dict[str, tuple[Callable[[Shapes], int], str]] = {
    "adafactor": (lambda s: 4 * sum(map(_factored, s.values())),
                  "Adafactor keeps a row and a column for each matrix"),
    "adalomo": (lambda s: 4 * sum(map(_factored, s.values())),
                "AdaLomo keeps a row and a column for each matrix"),
    "badam": (lambda s: 8 * _largest_block(s), "two float32 moments for the block in training"),
    "adam_mini": (_adam_mini, "a float32 moment for each trained weight, another for each row"),
    "muon": (_muon, "one float32 moment for each weight of a matrix, two for all others"),
}

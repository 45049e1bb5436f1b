"""LoftQ (arXiv:2310.08659): begin LoRA as what quantizing has taken from each weight.

One step of the paper's alternation, with the base's 4-bit weights left as they are, so that the
adapter fits the same quantized base everywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from trainer.contract.models import weight_files
from trainer.failures import Failure


def begin_with_residuals(model: Any, folder: Path) -> None:
    """Set A and B of every 4-bit layer to the best low-rank form of its rounding error.

    Args:
        model: The PEFT model over a 4-bit base.
        folder: Where the unquantized weights are.

    Raises:
        Failure: A layer's unquantized weight is not stored under its name.
    """
    from bitsandbytes.functional import dequantize_4bit
    from peft.tuners.lora.bnb import Linear4bit

    stored = _Stored(folder)
    for name, layer in model.named_modules():
        if not isinstance(layer, Linear4bit):
            continue
        held = layer.base_layer.weight
        whole = stored.read(name.removeprefix("base_model.model.") + ".weight")
        lost = whole.float() - dequantize_4bit(held.data, held.quant_state).float().cpu()
        left, sizes, right = torch.linalg.svd(lost, full_matrices=False)
        rank = layer.r["default"]
        root = (sizes[:rank] / layer.scaling["default"]).sqrt()
        _set(layer.lora_A["default"], root[:, None] * right[:rank])
        _set(layer.lora_B["default"], left[:, :rank] * root)


def _set(linear: Any, value: torch.Tensor) -> None:
    with torch.no_grad():
        linear.weight.copy_(value.to(linear.weight))


class _Stored:
    """The tensors of a model folder by name."""

    def __init__(self, folder: Path) -> None:
        """Find which file holds which tensor."""
        from safetensors import safe_open

        self._open = safe_open
        self._files = {}
        for path in weight_files(folder):
            with safe_open(str(path), "pt") as file:
                self._files.update(dict.fromkeys(file.keys(), path))

    def read(self, name: str) -> torch.Tensor:
        """Return one tensor.

        Raises:
            Failure: There is none of that name.
        """
        if name not in self._files:
            raise Failure("loftq_weights", f"LoftQ finds no weight {name} in the base's files.",
                          "This family stores its weights under other names: choose the "
                          "initialisation 'default'.")
        with self._open(str(self._files[name]), "pt") as file:
            found: torch.Tensor = file.get_tensor(name)
        return found

"""How much of a device's arithmetic training uses: FLOPs of a token, and MFU.

As in PaLM's appendix B (arXiv:2204.02311): a weight costs 2 FLOPs forward, 2 for the gradient of
its input and 2 for its own; attention costs 12 x layers x heads x head size x length for both
passes. Frozen weights have no gradient of their own. What is computed again does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

# Dense bfloat16 with float32 accumulation, in TFLOP/s, from NVIDIA's data sheets; a longer name
# goes before one that it contains.
PEAKS = {"GB200": 2500.0, "B200": 2250.0, "H200": 989.0, "H100 PCIe": 756.0, "H100 NVL": 835.0,
         "H100": 989.0, "H800": 989.0, "A100": 312.0, "A800": 312.0, "L40S": 362.0, "L40": 181.0,
         "L4": 121.0, "A40": 149.7, "A30": 165.0, "A10G": 70.0, "A10": 125.0,
         "RTX 5090": 209.5, "RTX 4090": 165.2, "RTX 4080": 97.5, "RTX 3090": 71.0,
         "RTX A6000": 154.8, "RTX 6000 Ada": 364.2}


def peak_flops(name: str) -> float | None:
    """Return a GPU's FLOPs a second in bfloat16, None when it is not known."""
    return next((value * 1e12 for key, value in PEAKS.items() if key in name), None)


@dataclass(frozen=True)
class Cost:
    """FLOPs of training: those of the weights a token, those of attention a token and length."""

    weights: float
    attention: float

    def of(self, tokens: float, length: float) -> float:
        """Return the FLOPs of some tokens in rows of this mean length."""
        return tokens * (self.weights + self.attention * length)


def cost_of(model: nn.Module) -> Cost:
    """Count the weights that multiply, and the attention of a model's config."""
    share, weights = _active_share(model), 0.0
    looked_up = _looked_up(model)
    for name, weight in model.named_parameters():
        if weight in looked_up:
            continue
        count = getattr(weight, "quant_state", None)
        size = count.shape.numel() if count is not None else weight.numel()
        weights += size * (6 if weight.requires_grad else 4) * (
            share if ".experts." in name else 1.0)
    config = getattr(model, "config", None)
    layers = getattr(config, "num_hidden_layers", 0) or 0
    heads = getattr(config, "num_attention_heads", 0) or 0
    size = getattr(config, "head_dim", None) or (
        (getattr(config, "hidden_size", 0) or 0) // heads if heads else 0)
    return Cost(weights, 12.0 * layers * heads * size)


def _looked_up(model: nn.Module) -> set[Any]:
    """Return embeddings that multiply nothing; tied ones are also the head."""
    tied = bool(getattr(getattr(model, "config", None), "tie_word_embeddings", False))
    found = {m.weight for m in model.modules() if isinstance(m, nn.Embedding)}
    return set() if tied else found


def _active_share(model: nn.Module) -> float:
    """Return the share of experts that a token goes through."""
    config = getattr(model, "config", None)
    every = next((getattr(config, n) for n in ("num_local_experts", "num_experts",
                                               "n_routed_experts")
                  if getattr(config, n, None)), None)
    chosen = getattr(config, "num_experts_per_tok", None)
    return min(1.0, chosen / every) if every and chosen else 1.0


def device_peak() -> float | None:
    """Return the peak of the GPU in use, None on CPU or when it is not known."""
    return peak_flops(torch.cuda.get_device_name()) if torch.cuda.is_available() else None


def utilisation(cost: Cost, tokens_per_s: float, length: float,
                peak: float | None) -> dict[str, float | None]:
    """Return ``mfu`` (0 to 1) of a known device, else the ``tflops_per_s`` that were reached."""
    reached = cost.of(tokens_per_s, length)
    return {"mfu": reached / peak} if peak else {"tflops_per_s": reached / 1e12}

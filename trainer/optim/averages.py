"""A running mean of the trained weights: EMA, or BEMA (arXiv:2508.00180) without its lag."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainer.contract.config.optimizers import EMAConfig

# No weights of a model: readers of a checkpoint look for *.safetensors, which is its format.
FILE = "averages.st"
# BEMA's lag and powers as in the paper (section 4) and in TRL's BEMACallback.
LAG, EMA_POWER, BIAS_POWER = 10.0, 0.5, 0.2


def ema_keep(decay: float, updates: int) -> float:
    """Return the share of the mean that is kept at update ``updates`` (from 1).

    It rises from little to ``decay``, or a short run would mostly remember where it began.
    """
    return min(decay, (1 + updates) / (10 + updates))


class Averages:
    """The mean of the weights of a model that learn, in float32 beside them."""

    def __init__(self, model: nn.Module, config: EMAConfig) -> None:
        """Begin with the weights as they are."""
        self.config, self.updates = config, 0
        self.weights = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.mean = {n: p.detach().float().clone() for n, p in self.weights.items()}
        self.first = {n: m.clone() for n, m in self.mean.items()} if self._corrects else {}

    @property
    def _corrects(self) -> bool:
        return self.config.type == "bema"

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights of an optimizer step into the mean, every ``update_every`` steps."""
        if step % self.config.update_every:
            return
        self.updates += 1
        keep = (1 - (LAG + step) ** -EMA_POWER if self._corrects
                else ema_keep(self.config.decay, self.updates))
        for name, weight in self.weights.items():
            self.mean[name].lerp_(weight.detach().float(), 1 - keep)

    def value(self, name: str, step: int) -> Tensor:
        """Return the averaged weights of one tensor."""
        mean = self.mean[name]
        if not self._corrects or not self.updates:
            return mean
        alpha = (LAG + step) ** -BIAS_POWER
        return mean + alpha * (self.weights[name].detach().float() - self.first[name])

    @torch.no_grad()
    def take_over(self, step: int) -> None:
        """Put the mean in place of the weights, for good."""
        for name, weight in self.weights.items():
            weight.copy_(self.value(name, step))

    @contextmanager
    def shown(self, step: int) -> Iterator[None]:
        """Put the mean in place of the weights for a while; after it they are bit for bit back."""
        raw = {name: weight.detach().clone() for name, weight in self.weights.items()}
        self.take_over(step)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, weight in self.weights.items():
                    weight.copy_(raw[name])

    def save(self, folder: Path) -> None:
        """Write the mean beside the raw weights of a checkpoint."""
        save_file({"updates": torch.tensor(self.updates), **_prefixed("mean", self.mean),
                   **_prefixed("first", self.first)}, folder / FILE)

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint's mean."""
        kept = load_file(folder / FILE)
        self.updates = int(kept["updates"])
        for part, held in (("mean", self.mean), ("first", self.first)):
            for name, tensor in held.items():
                tensor.copy_(kept[f"{part}.{name}"])


def _prefixed(part: str, held: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{part}.{name}": tensor.contiguous() for name, tensor in held.items()}

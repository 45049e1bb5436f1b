"""One module's adapters combined by PEFT's ``add_weighted_adapter``.

PEFT combines a model as a whole, in one call that cannot be watched or ended, from the settings of
the first adapter: its rsLoRA would scale the sum a second time, its layers would be all that is
kept. So each module is handed over alone, as a model of one linear layer without weights, with each
adapter's rank and scale as they are in that module.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from trainer.combine.lowrank import Change, truncated_sum
from trainer.contract.kinds.merge import THINNING, AdapterMethod

SignMethod = Literal["total", "frequency"]
_ONE = "layer"


@dataclass(frozen=True)
class AdapterWish:
    """How adapters are to be combined.

    Attributes:
        method: PEFT's name of it; see docs/merging.md.
        density: Which share of the numbers is kept by ties, dare and magnitude_prune, above 0 and
            at most 1; None for the methods that keep all.
        majority_sign_method: How ties finds the sign of a number: by the sum, or by the count.
        svd_rank: The rank of the result of a method with svd; None for the largest of the sources.
        seed: Which numbers dare drops.
    """

    method: AdapterMethod = "svd"
    density: float | None = None
    majority_sign_method: SignMethod = "total"
    svd_rank: int | None = None
    seed: int = 0

    @property
    def is_svd(self) -> bool:
        """Whether whole changes are combined and brought to a rank afterwards."""
        return self.method.endswith("svd")

    @property
    def needs_equal_ranks(self) -> bool:
        """Whether A is combined with A and B with B."""
        return not self.is_svd and self.method != "cat"

    @property
    def needs_density(self) -> bool:
        """Whether it drops numbers."""
        return self.method.startswith(THINNING)

    def rank(self, ranks: list[int]) -> int:
        """Return the rank of the result for sources of these ranks."""
        if self.method == "cat":
            return sum(ranks)
        return (self.svd_rank if self.is_svd else None) or max(ranks)


class _Layer(nn.Module):
    """A model of one linear layer whose weights take no memory."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        layer = nn.Linear(1, 1, bias=False)
        layer.in_features, layer.out_features = width, height
        layer.weight = nn.Parameter(torch.zeros(()).expand(height, width), requires_grad=False)
        self.layer = layer


def combine_module(changes: list[Change], weights: list[float], wish: AdapterWish,
                   path: str) -> Change:
    """Combine what adapters change in one module.

    Args:
        changes: One for each adapter; of rank r with zeros where it leaves the module alone.
        weights: One for each.
        wish: How; the ranks must be equal where ``wish.needs_equal_ranks``.
        path: The module's name, which decides with the seed what dare drops.
    """
    rank = wish.rank([one.rank for one in changes])
    if wish.method == "svd":
        return truncated_sum(changes, weights, rank)
    names = [f"source-{number}" for number in range(len(changes))]
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", message=r"The density 1(\.0)? is greater")
        model = _laid(names, changes)
        torch.manual_seed(seed_of(wish.seed, path))
        model.add_weighted_adapter(
            names, weights, "combined", combination_type=wish.method, svd_rank=wish.svd_rank,
            svd_full_matrices=False, density=wish.density,
            majority_sign_method=wish.majority_sign_method)
    layer = model.base_model.model.get_submodule(_ONE)
    return Change(layer.lora_A["combined"].weight.data, layer.lora_B["combined"].weight.data)


def seed_of(seed: int, *names: str) -> int:
    """Return a seed that depends on names, so that the order of the work does not matter."""
    text = "\n".join([str(seed), *names]).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def _laid(names: list[str], changes: list[Change]) -> Any:
    """Return PEFT's model of one layer with each change as an adapter."""
    from peft import LoraConfig, get_peft_model

    model: Any = _Layer(changes[0].b.shape[0], changes[0].a.shape[1])
    for name, change in zip(names, changes, strict=True):
        config = LoraConfig(r=change.rank, lora_alpha=change.rank, target_modules=[_ONE],
                            inference_mode=True)
        if name == names[0]:
            model = get_peft_model(model, config, adapter_name=name)
        else:
            model.add_adapter(name, config)
        layer = model.base_model.model.get_submodule(_ONE)
        layer.lora_A[name].weight.data = change.a
        layer.lora_B[name].weight.data = change.b
        layer.scaling[name] = change.scale
    return model

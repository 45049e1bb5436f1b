"""How one tensor of several models becomes one; every tensor is float32 and may be overwritten.

θ stands for a model's tensor, θ₀ for the base's, τ = θ - θ₀ for what training changed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

_AT_ONCE = 1 << 20


def linear(thetas: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Return Σ wᵢ θᵢ (model soups, arXiv:2203.05482); the weights are to add up to 1."""
    return _sum(thetas, weights)


def slerp(first: torch.Tensor, second: torch.Tensor, share: float) -> torch.Tensor:
    """Return the point on the arc from θ₁ to θ₂, both taken as one vector (Shoemake, 1985).

    sin((1 - t)Ω)/sin Ω θ₁ + sin(tΩ)/sin Ω θ₂, Ω the angle between them. Where they point the same
    way (or one is zero, or they are opposite) there is no one arc: then the straight line.
    """
    sizes = math.sqrt(_dot(first, first) * _dot(second, second))
    cosine = _dot(first, second) / sizes if sizes else 1.0
    if abs(cosine) > 1 - 1e-6:
        return _sum([first, second], [1 - share, share])
    angle = math.acos(cosine)
    return _sum([first, second], [math.sin((1 - share) * angle) / math.sin(angle),
                                  math.sin(share * angle) / math.sin(angle)])


def task_arithmetic(base: torch.Tensor, thetas: Sequence[torch.Tensor],
                    weights: Sequence[float]) -> torch.Tensor:
    """Return θ₀ + Σ λᵢ τᵢ (arXiv:2212.04089); λ below zero takes a task away."""
    result = base.clone()
    for theta, weight in zip(thetas, weights, strict=True):
        result.add_(theta.sub_(base), alpha=weight)
    return result


def ties(base: torch.Tensor, thetas: Sequence[torch.Tensor], weights: Sequence[float],
         density: float) -> torch.Tensor:
    """Trim, elect signs, merge those that agree (TIES, arXiv:2306.01708).

    The paper trims a model's changes as one vector; here each tensor keeps its own largest share.
    λ of the paper is each model's weight, applied before signs are elected.
    """
    return base + _agreed([_trimmed(theta.sub_(base), density).mul_(weight)
                           for theta, weight in zip(thetas, weights, strict=True)])


def dare_ties(base: torch.Tensor, thetas: Sequence[torch.Tensor], weights: Sequence[float],
              density: float, seeds: Sequence[int]) -> torch.Tensor:
    """Drop changes by chance and enlarge the others (DARE, arXiv:2311.03099), then as in TIES.

    1 - density is the paper's drop rate p; what stays is divided by density.
    """
    kept = []
    for theta, weight, seed in zip(thetas, weights, seeds, strict=True):
        chance = torch.Generator().manual_seed(seed)
        mask = torch.rand(theta.shape, generator=chance) < density
        kept.append(theta.sub_(base).mul_(mask).mul_(weight / density))
    return base + _agreed(kept)


def _dot(first: torch.Tensor, second: torch.Tensor) -> float:
    """Return the inner product in float64, without a copy of the whole in that format."""
    pairs = zip(*(torch.split(one.flatten(), _AT_ONCE) for one in (first, second)), strict=True)
    return sum(float(x.double() @ y.double()) for x, y in pairs)


def _sum(tensors: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    result = tensors[0].mul(weights[0])
    for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
        result.add_(tensor, alpha=weight)
    return result


def _trimmed(change: torch.Tensor, density: float) -> torch.Tensor:
    """Set all but the largest share of a tensor's numbers to zero, in place."""
    keep = round(density * change.numel())
    if keep >= change.numel():
        return change
    flat = change.view(-1)
    smallest = flat.abs().topk(change.numel() - keep, largest=False).indices
    flat[smallest] = 0
    return change


def _agreed(changes: list[torch.Tensor]) -> torch.Tensor:
    """Return the mean of the numbers that have the sign of their sum; 0 where there are none."""
    sign = _sum(changes, [1.0] * len(changes)).sign_()
    total, count = torch.zeros_like(sign), torch.zeros_like(sign)
    for change in changes:
        agrees = (change.sign() == sign) & (sign != 0)
        total.add_(change * agrees)
        count.add_(agrees)
    return total.div_(count.clamp_(min=1))

"""How one tensor of several models becomes one, in slices that hardly take memory.

θ stands for a model's tensor, θ₀ for the base's, τ = θ - θ₀ for what training changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

# What is computed at once. DARE draws slice by slice: another size would be other numbers.
AT_ONCE = 1 << 20
# Makes a slice of the result from a slice of each tensor (float32, flat, may be overwritten).
Blend = Callable[[list[torch.Tensor], slice], torch.Tensor]


def linear(weights: Sequence[float]) -> Blend:
    """Return Σ wᵢ θᵢ (model soups, arXiv:2203.05482); the weights are to add up to 1."""
    return lambda pieces, _: _sum(pieces, weights)


def slerp(first: torch.Tensor, second: torch.Tensor, share: float) -> Blend:
    """Return the point on the arc from θ₁ to θ₂, both taken as one vector (Shoemake, 1985).

    sin((1 - t)Ω)/sin Ω θ₁ + sin(tΩ)/sin Ω θ₂, Ω the angle between them. Where they point the same
    way (or one is zero, or they are opposite) there is no one arc: then the straight line.
    """
    sizes = math.sqrt(_dot(first, first) * _dot(second, second))
    cosine = _dot(first, second) / sizes if sizes else 1.0
    if abs(cosine) > 1 - 1e-6:
        return linear([1 - share, share])
    angle = math.acos(cosine)
    return linear([math.sin((1 - share) * angle) / math.sin(angle),
                   math.sin(share * angle) / math.sin(angle)])


def task_arithmetic(weights: Sequence[float]) -> Blend:
    """Return θ₀ + Σ λᵢ τᵢ (arXiv:2212.04089); λ below zero takes a task away. The base is last."""
    def blend(pieces: list[torch.Tensor], _: slice) -> torch.Tensor:
        *thetas, base = pieces
        return base + _sum([theta.sub_(base) for theta in thetas], weights)

    return blend


def ties(stored: Sequence[torch.Tensor], weights: Sequence[float], density: float) -> Blend:
    """Trim, elect signs, merge those that agree (TIES, arXiv:2306.01708). The base is last.

    The paper trims a model's changes as one vector; here each tensor keeps its own largest share.
    λ of the paper is each model's weight, applied before signs are elected.
    """
    *thetas, base = stored
    masks = [largest(theta, base, density) for theta in thetas]

    def blend(pieces: list[torch.Tensor], part: slice) -> torch.Tensor:
        return _elected(pieces, [mask[part] for mask in masks], weights)

    return blend


def dare_ties(weights: Sequence[float], density: float, seeds: Sequence[int]) -> Blend:
    """Drop changes by chance and enlarge the others (DARE, arXiv:2311.03099), then as in TIES.

    1 - density is the paper's drop rate p; what stays is divided by density. The base is last.
    """
    chances = [torch.Generator().manual_seed(seed) for seed in seeds]

    def blend(pieces: list[torch.Tensor], _: slice) -> torch.Tensor:
        masks = [torch.rand(len(pieces[0]), generator=chance) < density for chance in chances]
        return _elected(pieces, masks, [weight / density for weight in weights])

    return blend


def largest(theta: torch.Tensor, base: torch.Tensor, density: float) -> torch.Tensor:
    """Mark the largest share of a tensor's changes; of equal ones the first. Returns (N,) bool."""
    sizes = torch.empty(theta.numel())
    for part, (one, other) in slices([theta, base]):
        sizes[part] = one.sub_(other).abs_()
    drop = len(sizes) - round(density * len(sizes))
    if drop <= 0:
        return torch.ones(len(sizes), dtype=torch.bool)
    limit = float(np.partition(sizes.numpy(), drop - 1)[drop - 1])
    mask = sizes > limit
    missing = len(sizes) - drop - int(mask.sum())
    if missing:
        mask[(sizes == limit).nonzero()[:missing, 0]] = True
    return mask


def slices(tensors: Sequence[torch.Tensor]) -> Iterator[tuple[slice, list[torch.Tensor]]]:
    """Yield slices of tensors, flat and copied to float32, and where they lie."""
    flat = [tensor.reshape(-1) for tensor in tensors]
    for start in range(0, len(flat[0]), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        yield part, [one[part].to(torch.float32, copy=True) for one in flat]


def _dot(first: torch.Tensor, second: torch.Tensor) -> float:
    return sum(float(x.double() @ y.double()) for _, (x, y) in slices([first, second]))


def _sum(tensors: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    result = tensors[0].mul(weights[0])
    for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
        result.add_(tensor, alpha=weight)
    return result


def _elected(pieces: list[torch.Tensor], masks: Sequence[torch.Tensor],
             weights: Sequence[float]) -> torch.Tensor:
    """Return θ₀ and the mean of the kept w τ that have the sign of their sum; 0 if none has."""
    *thetas, base = pieces
    changes = [theta.sub_(base).mul_(mask).mul_(weight)
               for theta, mask, weight in zip(thetas, masks, weights, strict=True)]
    sign = _sum(changes, [1.0] * len(changes)).sign_()
    total, count = torch.zeros_like(sign), torch.zeros_like(sign)
    for change in changes:
        agrees = (change.sign() == sign) & (sign != 0)
        total.add_(change * agrees)
        count.add_(agrees)
    return base + total.div_(count.clamp_(min=1))

"""What can be said of changes B A without making them whole: sizes, angles, the best lower rank."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Change:
    """A change of a weight, scale * B A.

    Attributes:
        a: (r, in) float32.
        b: (out, r) float32.
        scale: By what the product is multiplied.
    """

    a: torch.Tensor
    b: torch.Tensor
    scale: float = 1.0

    @property
    def rank(self) -> int:
        """The rank of its matrices."""
        return self.a.shape[0]

    def padded(self, rank: int) -> Change:
        """Return the same change with matrices of a larger rank, filled with zeros."""
        more = rank - self.rank
        pad = torch.nn.functional.pad
        return Change(pad(self.a, (0, 0, 0, more)), pad(self.b, (0, more)), self.scale)


def inner(first: Change, second: Change) -> float:
    """Return the sum over all weights of the product of two changes, computed in float64."""
    left = first.b.double().T @ second.b.double()
    right = first.a.double() @ second.a.double().T
    return float((left * right).sum()) * first.scale * second.scale


def truncated_sum(changes: list[Change], weights: list[float], rank: int) -> Change:
    """Return the matrices of a rank that come nearest to a weighted sum (Eckart and Young, 1936).

    PEFT's 'svd' gives the same product from the singular values of the whole sum. The sum's rank
    is small, so that those of a small matrix between two orthogonal ones tell as much.
    """
    b = torch.cat([weight * one.scale * one.b
                   for one, weight in zip(changes, weights, strict=True)], 1)
    a = torch.cat([one.a for one in changes])
    left, upper = torch.linalg.qr(b)
    right, lower = torch.linalg.qr(a.T)
    u, sizes, v = torch.linalg.svd(upper @ lower.T)
    return Change(v[:rank] @ right.T, left @ u[:, :rank] * sizes[:rank])


class Measured:
    """Inner products of the sources and the result, summed over modules."""

    def __init__(self, count: int) -> None:
        """Begin with nothing, for so many sources."""
        self.table = [[0.0] * (count + 1) for _ in range(count + 1)]

    def add(self, changes: list[Change], found: Change) -> None:
        """Add a module: what each source changes, and what the result does."""
        every = [*changes, found]
        for row, first in enumerate(every):
            for column, second in enumerate(every[:row + 1]):
                value = inner(first, second)
                self.table[row][column] += value
                if row != column:
                    self.table[column][row] += value

    @property
    def result(self) -> float:
        """The size of the result (Frobenius)."""
        return self.norm(len(self.table) - 1)

    def norm(self, number: int) -> float:
        """Return the size of a source's change (Frobenius)."""
        return math.sqrt(max(self.table[number][number], 0.0))

    def cosine(self, first: int, second: int) -> float:
        """Return the cosine between two sources' changes, 0 where one is none."""
        sizes = self.norm(first) * self.norm(second)
        return self.table[first][second] / sizes if sizes else 0.0

    def distance(self, weights: Sequence[float]) -> float | None:
        """Return the size of (result - weighted sum) as a share of the sum's; None if that is 0."""
        def size(signed: list[float]) -> float:
            return math.sqrt(max(sum(x * y * self.table[i][j] for i, x in enumerate(signed)
                                     for j, y in enumerate(signed)), 0.0))

        wanted = size([*weights, 0.0])
        return size([*weights, -1.0]) / wanted if wanted else None

"""GaLore (arXiv:2403.03507) and APOLLO (arXiv:2412.05270): moments of gradients in few dimensions.

Each projected weight has a stand-in of few dimensions. An ordinary optimizer moves the stand-in
from zero by the projected gradient; how far it went is carried back to the weight. The packages of
the authors keep a Python object in the state, which a checkpoint cannot safely hold, and the one of
APOLLO may not be used commercially; this is written from the papers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from trainer.optim.shell import Group, Make

GROWTH = 1.01


@dataclass(frozen=True)
class Projection:
    """How gradients are projected.

    ``scale`` is the factor of GaLore's update; APOLLO takes its root, as its authors do.
    """

    kind: Literal["galore", "apollo"]
    rank: int
    gap: int
    scale: float


@dataclass
class Seat:
    """One projected weight: its stand-in, its basis, its steps, the last norm of its update."""

    index: int
    low: Tensor
    basis: Tensor | None = None
    steps: int = 0
    norm: float = 0.0


class Projected(Optimizer):
    """Steps stand-ins of few dimensions and carries their way back to the weights.

    Args:
        groups: Groups of weights; those with ``projected: True`` hold matrices to be projected.
        make: Makes the optimizer of the stand-ins and of all other weights.
        how: The projection.
        lr: Learning rate to begin with.
    """

    def __init__(self, groups: list[Group], make: Make, how: Projection, lr: float) -> None:
        """Make the stand-ins."""
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0, "projected": False})
        self.how = how
        self.seats: dict[Tensor, Seat] = {}
        self.inner = make([self._inner_group(group) for group in self.param_groups])

    def _inner_group(self, group: Group) -> Group:
        if not group["projected"]:
            return {"params": group["params"], "weight_decay": group["weight_decay"]}
        for weight in group["params"]:
            low = torch.nn.Parameter(weight.new_zeros(self._shape(weight), dtype=torch.float32))
            self.seats[weight] = Seat(len(self.seats), low)
        return {"params": [self.seats[w].low for w in group["params"]], "weight_decay": 0.0}

    def _shape(self, weight: Tensor) -> tuple[int, int]:
        """Return the stand-in's shape: the smaller side becomes the rank."""
        rows, columns = weight.shape
        rank = min(self.how.rank, rows, columns)
        return (rows, rank) if rows >= columns else (rank, columns)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Project the gradients, step the stand-ins, move the weights."""
        moved = []
        for outer, inner in zip(self.param_groups, self.inner.param_groups, strict=True):
            inner["lr"] = outer["lr"]
            for weight in outer["params"] if outer["projected"] else ():
                seat = self.seats[weight]
                seat.low.grad = None
                if weight.grad is not None:
                    self._renew(seat, weight.grad)
                    seat.low.grad = _down(weight.grad.float(), seat.basis)
                    moved.append((outer, weight, seat))
        self.inner.step()
        for outer, weight, seat in moved:
            self._carry(outer, weight, seat)

    def _renew(self, seat: Seat, grad: Tensor) -> None:
        """Choose a new basis every ``gap`` steps."""
        if seat.basis is None or seat.steps % self.how.gap == 0:
            seat.basis = (_main_directions if self.how.kind == "galore" else _chance)(
                grad, min(seat.low.shape), seat.index + 1_000_003 * (seat.steps // self.how.gap))
        seat.steps += 1

    def _carry(self, outer: Group, weight: Tensor, seat: Seat) -> None:
        """Move a weight as far as its stand-in went, and put the stand-in back to zero."""
        if self.how.kind == "galore":
            change = self.how.scale * _up(seat.low, seat.basis, weight)
        else:
            change = self._scaled(weight, seat, outer["lr"])
        weight.mul_(1 - outer["lr"] * outer["weight_decay"])
        weight.add_(change.to(weight.dtype))
        seat.low.zero_()
        seat.low.grad = None

    def _scaled(self, weight: Tensor, seat: Seat, lr: float) -> Tensor:
        """Return the raw gradient, each channel scaled as in few dimensions, growth limited."""
        side = 1 if weight.shape[0] >= weight.shape[1] else 0
        went = seat.low.norm(dim=side, keepdim=True) / max(lr, 1e-30)
        factor = went / (seat.low.grad.norm(dim=side, keepdim=True) + 1e-8)  # type: ignore
        update = weight.grad.float() * factor * self.how.scale ** 0.5  # type: ignore[union-attr]
        norm = float(update.norm())
        limit = max(norm / (seat.norm + 1e-8), GROWTH) / GROWTH if seat.steps > 1 else 1.0
        seat.norm = norm / limit
        return update * (-lr / limit)

    def state_dict(self) -> dict[str, Any]:
        """Return numbers and tensors only; APOLLO's bases are made again from their seeds."""
        seats = [{"steps": s.steps, "norm": s.norm, "basis": s.basis} for s in self.seats.values()]
        groups = [{k: v for k, v in g.items() if k != "params"} for g in self.param_groups]
        return {"inner": self.inner.state_dict(), "seats": seats, "groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.inner.load_state_dict(state_dict["inner"])
        for group, values in zip(self.param_groups, state_dict["groups"], strict=True):
            group.update(values)
        for seat, values in zip(self.seats.values(), state_dict["seats"], strict=True):
            basis = values["basis"]
            seat.steps, seat.norm = values["steps"], values["norm"]
            seat.basis = basis if basis is None else basis.to(seat.low.device)


def _main_directions(grad: Tensor, rank: int, seed: int) -> Tensor:
    """Return the first singular vectors of the smaller side, (rank, side)."""
    left, _, right = torch.linalg.svd(grad.float(), full_matrices=False)
    return right[:rank] if grad.shape[0] >= grad.shape[1] else left[:, :rank].T.contiguous()


def _chance(grad: Tensor, rank: int, seed: int) -> Tensor:
    """Return a random projection of the smaller side, (rank, side), variance 1/rank."""
    chance = torch.Generator().manual_seed(seed)
    basis = torch.randn(rank, min(grad.shape), generator=chance) / rank ** 0.5
    return basis.to(grad.device)


def _down(grad: Tensor, basis: Tensor | None) -> Tensor:
    assert basis is not None
    return grad @ basis.T if grad.shape[0] >= grad.shape[1] else basis @ grad


def _up(low: Tensor, basis: Tensor | None, weight: Tensor) -> Tensor:
    assert basis is not None
    return low @ basis if weight.shape[0] >= weight.shape[1] else basis.T @ low

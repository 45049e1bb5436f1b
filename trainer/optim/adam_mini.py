"""Adam-mini (arXiv:2406.16793): one second moment for each block of weights, not for each weight.

A block is a head of a query or key matrix, a row of any other matrix, or a whole vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def count_blocks(shape: Sequence[int], rows: int) -> int:
    """Return the number of blocks of a tensor whose blocks are ``rows`` high (0: the whole)."""
    if len(shape) < 2 or not rows:
        return 1
    return shape[0] // rows if shape[0] % rows == 0 else shape[0]


class AdamMini(Optimizer):
    """AdamW with a second moment a block.

    A group says how many rows a block has: ``rows``, 0 for the whole tensor.
    """

    def __init__(self, groups: list[dict[str, Any]], *, lr: float, betas: tuple[float, float],
                 eps: float, weight_decay: float = 0.0) -> None:
        """Keep the settings of AdamW."""
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "rows": 0,
                                  "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Step every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._step_one(group, weight)

    def _step_one(self, group: dict[str, Any], weight: Tensor) -> None:
        state, (beta1, beta2) = self.state[weight], group["betas"]
        blocks = count_blocks(weight.shape, group["rows"])
        grad = weight.grad.float().reshape(blocks, -1)  # type: ignore[union-attr]
        if not state:
            state["step"] = 0
            state["exp_avg"] = torch.zeros_like(grad)
            state["block_avg_sq"] = grad.new_zeros(blocks, 1)
        state["step"] += 1
        state["exp_avg"].lerp_(grad, 1 - beta1)
        state["block_avg_sq"].lerp_(grad.square().mean(dim=1, keepdim=True), 1 - beta2)
        size = (state["block_avg_sq"] / (1 - beta2 ** state["step"])).sqrt() + group["eps"]
        change = state["exp_avg"] / (1 - beta1 ** state["step"]) / size
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(change.reshape(weight.shape).to(weight.dtype), alpha=-group["lr"])

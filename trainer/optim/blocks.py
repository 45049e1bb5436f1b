"""BAdam (arXiv:2404.02827): AdamW on one block of layers at a time; the others hold still.

The authors' package does not save which block is being trained, so a run could not be resumed
from a checkpoint; this is written from the paper.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import torch
from torch.nn import Parameter
from torch.optim import AdamW, Optimizer

Order = Literal["ascending", "descending", "random"]
_LAYER = re.compile(r"^(.*?\.\d+)\.")


def find_blocks(named: list[tuple[str, Parameter]]) -> list[list[tuple[str, Parameter]]]:
    """Group weights by the layer they belong to; weights of no layer are left out."""
    blocks: dict[str, list[tuple[str, Parameter]]] = {}
    for name, weight in named:
        if found := _LAYER.match(name):
            blocks.setdefault(found[1], []).append((name, weight))
    return list(blocks.values())


class Blocks(Optimizer):
    """AdamW whose weights are those of one block, another one every ``every`` steps.

    Moments are dropped with their block, as in the paper: that is what saves the memory.
    """

    def __init__(self, blocks: list[list[tuple[str, Parameter]]], decayed: set[str], *,
                 every: int, order: Order, **adamw: Any) -> None:
        """Begin with the first block.

        Args:
            blocks: The weights of each block, by name.
            decayed: Names of the weights that decay.
            every: Steps between two blocks.
            order: Which block comes next.
            **adamw: lr, betas, eps, weight_decay.
        """
        self.blocks, self.decayed = blocks, decayed
        self.every, self.order, self.steps = every, order, 0
        self.adamw = adamw
        groups = [{"params": list(part), "weight_decay": decay}
                  for part, decay in zip(self._split(0), (adamw["weight_decay"], 0.0), strict=True)]
        super().__init__(groups, {**adamw})
        self._enter()

    def block_at(self, turn: int) -> int:
        """Return which block is trained in a turn, from 0."""
        count = len(self.blocks)
        place = turn % count
        if self.order == "random":
            chance = torch.Generator().manual_seed(turn // count)
            return int(torch.randperm(count, generator=chance)[place])
        return place if self.order == "ascending" else count - 1 - place

    def _split(self, turn: int) -> tuple[list[Parameter], list[Parameter]]:
        block = self.blocks[self.block_at(turn)]
        return ([w for n, w in block if n in self.decayed],
                [w for n, w in block if n not in self.decayed])

    def _enter(self) -> None:
        """Let the block of now learn, and no other."""
        for block in self.blocks:
            for _, weight in block:
                weight.requires_grad_(False)
                weight.grad = None
        for group, weights in zip(self.param_groups, self._split(self.steps // self.every),
                                  strict=True):
            group["params"] = weights
            for weight in weights:
                weight.requires_grad_(True)
        self.inner = AdamW(self.param_groups, **self.adamw)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Step the block, and go on to the next when its time is over."""
        self.inner.step()
        self.steps += 1
        if self.steps % self.every == 0:
            self._enter()

    def state_dict(self) -> dict[str, Any]:
        """Return the step and the moments of the block of now."""
        return {"steps": self.steps, "inner": self.inner.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where ``state_dict`` was."""
        self.steps = state_dict["steps"]
        self._enter()
        self.inner.load_state_dict(state_dict["inner"])
        self.param_groups = self.inner.param_groups

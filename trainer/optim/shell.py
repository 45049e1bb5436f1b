"""What every optimizer around other optimizers shares: groups that a scheduler can move."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import Optimizer

Group = dict[str, Any]
Make = Callable[[list[Group]], Optimizer]


class Shell(Optimizer):
    """An optimizer whose groups are those of the optimizers inside it.

    The dictionaries of the groups are shared, so that a scheduler which moves ``lr`` here moves
    it there; ``relink`` shares them again after an inner optimizer has loaded its state.
    """

    def __init__(self, *inner: Optimizer) -> None:
        """Take over the groups of the inner optimizers, in order."""
        self.inner = inner
        groups = [group for one in inner for group in one.param_groups]
        super().__init__(groups, {"lr": inner[0].param_groups[0]["lr"]})
        self.relink()

    def relink(self) -> None:
        """Share the groups of the inner optimizers."""
        self.param_groups = [group for one in self.inner for group in one.param_groups]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Let each inner optimizer step."""
        for one in self.inner:
            one.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the inner optimizers: numbers, texts and tensors only."""
        return {"inner": [one.state_dict() for one in self.inner]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        for one, state in zip(self.inner, state_dict["inner"], strict=True):
            one.load_state_dict(state)
        self.relink()


class Several(Shell):
    """Optimizers side by side, each with its own weights: Muon and AdamW, for example."""


class Layerwise(Shell):
    """Steps each weight as soon as its gradient is there, then drops the gradient.

    No two gradients exist at once, which is what LOMO (arXiv:2306.09782) is about. So nothing can
    be accumulated, clipped by the norm of all gradients, or unscaled.
    """

    def __init__(self, inner: Optimizer) -> None:
        """Hang the steps of ``inner`` onto the backward pass."""
        super().__init__(inner)
        self._hooks = [p.register_post_accumulate_grad_hook(self._step_one)
                       for group in self.param_groups for p in group["params"]]

    @torch.no_grad()
    def _step_one(self, weight: torch.Tensor) -> None:
        self.inner[0].step()
        weight.grad = None

    def step(self, closure: Any = None) -> None:
        """Do nothing: every weight has been stepped in the backward pass."""


def weights_of(groups: Iterable[Group]) -> list[torch.nn.Parameter]:
    """Return the weights of some groups."""
    return [weight for group in groups for weight in group["params"]]

"""LoRA+ (arXiv:2402.12354): a higher learning rate for B than for A."""

from __future__ import annotations

from typing import Any

from torch import nn

Group = dict[str, Any]


def lora_plus_groups(groups: list[Group], model: nn.Module, *, ratio: float,
                     learning_rate: float) -> list[Group]:
    """Return parameter groups in which every B has ``ratio`` times the learning rate.

    Args:
        groups: The optimizer's groups, each with ``params``; their other values are kept.
        model: The PEFT model whose weights they hold.
        ratio: Rate of B relative to A's.
        learning_rate: A's.
    """
    fast = {parameter for name, parameter in model.named_parameters()
            if ".lora_B." in name or ".lora_embedding_B." in name}
    found: list[Group] = []
    for group in groups:
        quick = [weight for weight in group["params"] if weight in fast]
        usual = [weight for weight in group["params"] if weight not in fast]
        found.append({**group, "params": usual})
        if quick:
            found.append({**group, "params": quick, "lr": learning_rate * ratio})
    return [group for group in found if group["params"]]

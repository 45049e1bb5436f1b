"""What families of models need specially, in one place. Pure functions of a model's files."""

from __future__ import annotations

import re

from trainer.contract.models import ModelFacts

_EXPERT = re.compile(r"\.experts(\.\d+)?(\.|$)")
_ROUTER = re.compile(r"\.(mlp|block_sparse_moe|feed_forward)\.(gate|router)$")


def is_mixture(facts: ModelFacts) -> bool:
    """Tell whether the model is a mixture of experts."""
    return any(_EXPERT.search(name) for name in facts.tensors)


def is_fused(facts: ModelFacts, module: str) -> bool:
    """Tell whether a stored weight is a slice of a fused parameter, or a router."""
    return bool(_EXPERT.search(module) or _ROUTER.search(module))

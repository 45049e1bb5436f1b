"""Which layers an adapter stands beside, found from the headers of a model's files."""

from __future__ import annotations

import re

from trainer.contract.config import RunConfig, TunerConfig
from trainer.contract.config.adapters import FreezeConfig
from trainer.contract.models import ModelFacts

FEED_FORWARD = ("down_proj", "fc2", "w2", "dense_4h_to_h")
NORMS = ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
         "post_feedforward_layernorm", "post_self_attn_layernorm", "post_mlp_layernorm",
         "attention_norm", "ffn_norm", "q_norm", "k_norm", "q_a_layernorm", "kv_a_layernorm",
         "norm", "final_layernorm", "layernorm", "ln_1", "ln_2", "ln_f")
# Modules whose weights many models share with each other.
EMBEDDINGS = frozenset({"embed_tokens", "lm_head", "wte", "embed_in", "embed_out"})
HEADS = ("lm_head", "embed_out", "score", "classifier")
_EMBEDDINGS = ("embed", "wte", "wpe")
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
Shape = tuple[int, int]


def target_names(target_modules: list[str] | str) -> list[str]:
    """Return the module names that are asked for; [] means every linear layer."""
    if target_modules == "all-linear":
        return []
    names = target_modules.split(",") if isinstance(target_modules, str) else target_modules
    return [name.strip() for name in names if name.strip()]


def linear_shapes(facts: ModelFacts) -> dict[str, Shape]:
    """Return the module names and (out, in) shapes of the linear layers, heads left out.

    Experts of mixtures are no layers of their own in Transformers 5 but slices of one parameter,
    and their router is none either: both are left out.
    """
    from trainer.contract.families import is_fused

    found = {}
    for name, (shape, _) in facts.tensors.items():
        module, _, kind = name.rpartition(".")
        last = module.rpartition(".")[2]
        if kind == "weight" and len(shape) == 2 and last not in HEADS \
                and not any(word in last for word in _EMBEDDINGS) and not is_fused(facts, module):
            found[module] = (shape[0], shape[1])
    return found


def layer_of(module: str) -> int | None:
    """Return the number of the layer that a module stands in."""
    match = _LAYER.search(module)
    return int(match[1]) if match else None


def adapted(config: RunConfig, facts: ModelFacts) -> dict[str, Shape]:
    """Return the linear layers that the run's adapter stands beside."""
    tuner = config.tuner
    return {module: shape for module, shape in linear_shapes(facts).items()
            if is_target(tuner, module)}


def is_target(tuner: TunerConfig, module: str) -> bool:
    """Tell whether a tuner section names a linear layer."""
    names = target_names(tuner.target_modules)
    if names and not any(module == name or module.endswith(f".{name}") for name in names):
        return False
    if tuner.layers_to_transform and tuner.type not in ("ia3", "shira", "road"):
        return layer_of(module) in tuner.layers_to_transform
    return True


def is_named(module: str, wanted: str) -> bool:
    """Tell whether a module is, or lies in, what a name or a pattern of whole names says."""
    if f".{wanted}." in f".{module}.":
        return True
    try:
        return re.fullmatch(wanted, module) is not None
    except re.error:
        return False


def is_inside(name: str, module: str) -> bool:
    """Tell whether a weight is part of what ``modules_to_save`` names: PEFT compares endings."""
    parts = name.split(".")[:-1]
    return any(".".join(parts[:count + 1]).endswith(module) for count in range(len(parts)))


def matching(pattern: dict[str, int], module: str, default: int) -> int:
    """Return what a rank or alpha pattern says of a module, read as PEFT reads its keys."""
    for key, value in pattern.items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return default


def is_thawed(freeze: FreezeConfig, name: str, depth: int) -> bool:
    """Tell whether freezing leaves a parameter to be trained.

    Args:
        freeze: Which layers and modules are trained.
        name: The parameter's name, ``model.layers.3.mlp.up_proj.weight``.
        depth: Number of layers of the model.
    """
    parts = name.split(".")
    layer = layer_of(name)
    if layer is None:
        return any(module in parts for module in freeze.extra_modules)
    inside = layer >= depth - freeze.layers if freeze.layers >= 0 else layer < -freeze.layers
    return inside and (not freeze.modules or any(module in parts for module in freeze.modules))

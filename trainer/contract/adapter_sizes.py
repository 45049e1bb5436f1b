"""How many weights each adapter method trains, as shapes by name, from a model's headers alone.

Each formula is that of the method's paper (named at its fields); that PEFT makes the same number
is tested.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

from trainer.contract.config import RunConfig, TunerConfig
from trainer.contract.models import ModelFacts
from trainer.contract.targets import (
    FEED_FORWARD,
    NORMS,
    adapted,
    is_inside,
    is_thawed,
    matching,
)

Shape = tuple[int, ...]
Shapes = dict[str, Shape]


def trained_shapes(config: RunConfig, facts: ModelFacts) -> Shapes:
    """Return the shapes of everything that is trained, by name."""
    tuner = config.tuner
    if tuner.type == "full":
        return {name: shape for name, (shape, _) in facts.tensors.items()}
    if tuner.type == "freeze":
        depth = facts.depth
        return {name: shape for name, (shape, _) in facts.tensors.items()
                if is_thawed(tuner.freeze, name, depth)}
    return adapter_shapes(config, facts)


def adapter_shapes(config: RunConfig, facts: ModelFacts) -> Shapes:
    """Return the shapes of an adapter's trained weights, by name."""
    tuner = config.tuner
    if tuner.is_prompt:
        return _prompt(tuner, facts)
    if tuner.type == "ln_tuning":
        return {name: shape for name, (shape, _) in facts.tensors.items()
                if len(shape) == 1 and name.split(".")[-2] in NORMS}
    found: Shapes = {}
    modules = adapted(config, facts)
    for module, (rows, columns) in modules.items():
        for part, shape in _LAYERS[tuner.type](tuner, module, rows, columns).items():
            if math.prod(shape):
                found[f"{module}.{part}"] = shape
    if tuner.type == "vblora":
        found["vector_bank"] = (tuner.vblora.num_vectors, tuner.vblora.vector_length)
    return found | _beside(tuner, facts, modules)


def _beside(tuner: TunerConfig, facts: ModelFacts, modules: Collection[str]) -> Shapes:
    """Return what is trained whole beside an adapter: modules, biases, embeddings of tokens."""
    found: Shapes = {}
    for name, (shape, _) in facts.tensors.items():
        whole = any(is_inside(name, module) for module in tuner.modules_to_save)
        biased = tuner.type == "lora" and name.endswith(".bias") and (
            tuner.bias == "all"
            or (tuner.bias == "lora_only" and name.removesuffix(".bias") in modules))
        if whole or biased:
            found[name] = shape
    if tuner.type == "lora" and tuner.trainable_token_indices:
        width = int(facts.text_config.get("hidden_size") or 0)
        found["trained_tokens"] = (len(set(tuner.trainable_token_indices)), width)
    return found


def _low_rank(tuner: TunerConfig, module: str, rows: int, columns: int) -> Shapes:
    return {"A": (tuner.r, columns), "B": (rows, tuner.r)}


def _lora(tuner: TunerConfig, module: str, rows: int, columns: int) -> Shapes:
    rank = matching(tuner.rank_pattern, module, tuner.r)
    return {"A": (0 if tuner.lora_fa else rank, columns), "B": (rows, rank),
            "magnitude": (rows if tuner.use_dora else 0,)}


def _adalora(tuner: TunerConfig, module: str, rows: int, columns: int) -> Shapes:
    rank = tuner.adalora.init_r
    return {"A": (rank, columns), "E": (rank, 1), "B": (rows, rank)}


def _oft(tuner: TunerConfig, module: str, rows: int, columns: int) -> Shapes:
    block = tuner.oft.oft_block_size
    return {"R": (columns // block, block * (block - 1) // 2)}


def _boft(tuner: TunerConfig, module: str, rows: int, columns: int) -> Shapes:
    block = tuner.boft.boft_block_size
    return {"R": (columns // block, block, block), "s": (rows, 1)}


def _vera(tuner: TunerConfig, module: str, rows: int, columns: int) -> Shapes:
    return {"b": (rows,), "d": (tuner.r,)}


def _randlora(tuner: TunerConfig, module: str, rows: int, columns: int) -> Shapes:
    least = min(rows, columns)
    bases = math.ceil(least / tuner.r)
    return {"lambda": (tuner.r, bases), "gamma": (bases, least)}


def _ia3(tuner: TunerConfig, module: str, rows: int, columns: int) -> Shapes:
    closing = tuner.ia3.feedforward_modules or FEED_FORWARD
    return {"l": (columns if module.rpartition(".")[2] in closing else rows,)}


def _loha(tuner: TunerConfig, module: str, rows: int, columns: int) -> Shapes:
    return {"w1_a": (rows, tuner.r), "w1_b": (tuner.r, columns),
            "w2_a": (rows, tuner.r), "w2_b": (tuner.r, columns)}


def _lokr(tuner: TunerConfig, module: str, rows: int, columns: int) -> Shapes:
    (a, b), (c, d) = (_near_root(rows, tuner.lokr.decompose_factor),
                      _near_root(columns, tuner.lokr.decompose_factor))
    rank = tuner.r
    found: Shapes = {}
    split = tuner.lokr.decompose_both and rank < max(a, c) / 2
    found |= {"w1_a": (a, rank), "w1_b": (rank, c)} if split else {"w1": (a, c)}
    found |= {"w2_a": (b, rank), "w2_b": (rank, d)} if rank < max(b, d) / 2 else {"w2": (b, d)}
    return found


def _near_root(size: int, factor: int) -> tuple[int, int]:
    """Write a size as a product: by the factor where it divides, else near the square root."""
    if factor > 0 and size % factor == 0:
        return factor, size // factor
    limit = size if factor == -1 else factor
    small, large = 1, size
    for candidate in range(2, math.isqrt(size) + 1):
        if size % candidate == 0 and candidate <= limit:
            small, large = candidate, size // candidate
    return small, large


def _miss(tuner: TunerConfig, module: str, rows: int, columns: int) -> Shapes:
    form, rank = tuner.miss.init_weights, tuner.r
    return {"block": {"balance": (rank, rows), "bat": (rows // rank, rank, rank),
                      "mini": (rank, 1)}[form]}


def _fourierft(tuner: TunerConfig, module: str, rows: int, columns: int) -> Shapes:
    return {"spectrum": (tuner.fourierft.n_frequency,)}


def _hra(tuner: TunerConfig, module: str, rows: int, columns: int) -> Shapes:
    return {"u": (columns, tuner.r)}


def _vblora(tuner: TunerConfig, module: str, rows: int, columns: int) -> Shapes:
    own = tuner.vblora
    return {"logits_A": (tuner.r, columns // own.vector_length, own.num_vectors),
            "logits_B": (rows // own.vector_length, tuner.r, own.num_vectors)}


def _shira(tuner: TunerConfig, module: str, rows: int, columns: int) -> Shapes:
    return {"weight": (tuner.r * (rows + columns),)}


def _delora(tuner: TunerConfig, module: str, rows: int, columns: int) -> Shapes:
    return {**_low_rank(tuner, module, rows, columns), "lambda": (1,)}


def _c3a(tuner: TunerConfig, module: str, rows: int, columns: int) -> Shapes:
    block = tuner.c3a.block_size
    return {"kernel": (rows // block, columns // block, block)}


def _road(tuner: TunerConfig, module: str, rows: int, columns: int) -> Shapes:
    size = {"road_1": rows // 2, "road_2": rows, "road_4": 2 * rows}[tuner.road.variant]
    return {"theta": (size,), "alpha": (size,)}


def _waveft(tuner: TunerConfig, module: str, rows: int, columns: int) -> Shapes:
    return {"spectrum": (tuner.waveft.n_frequency,)}


def _prompt(tuner: TunerConfig, facts: ModelFacts) -> Shapes:
    """Return an encoder of virtual tokens: prompt (arXiv:2104.08691), prefix, p-tuning."""
    text = facts.text_config
    width, count = int(text.get("hidden_size") or 0), tuner.prompt.num_virtual_tokens
    if tuner.type == "prompt_tuning":
        return {"embedding": (count, width)}
    hidden = tuner.prompt.encoder_hidden_size or width
    if tuner.type == "p_tuning":
        return {"embedding": (count, width), "0.weight": (width, hidden), "0.bias": (hidden,),
                "2.weight": (hidden, hidden), "2.bias": (hidden,),
                "4.weight": (hidden, width), "4.bias": (width,)}
    return _prefix(tuner, facts)


def _prefix(tuner: TunerConfig, facts: ModelFacts) -> Shapes:
    """Return the keys and values of every layer (arXiv:2101.00190), of grouped heads where so."""
    text, count = facts.text_config, tuner.prompt.num_virtual_tokens
    heads = int(text.get("num_attention_heads") or 1)
    grouped = int(text.get("num_key_value_heads") or heads)
    each = int(text.get("head_dim") or int(text.get("hidden_size") or 0) // heads)
    width = each * grouped
    whole = facts.depth * 2 * width
    if not tuner.prompt.prefix_projection:
        return {"embedding": (count, whole)}
    hidden = tuner.prompt.encoder_hidden_size or width
    return {"embedding": (count, width), "0.weight": (width, hidden), "0.bias": (hidden,),
            "2.weight": (hidden, whole), "2.bias": (whole,)}


_Layer = Callable[[TunerConfig, str, int, int], Shapes]
_LAYERS: dict[str, _Layer] = {
    "lora": _lora, "adalora": _adalora, "oft": _oft, "boft": _boft, "vera": _vera,
    "randlora": _randlora, "ia3": _ia3, "loha": _loha, "lokr": _lokr, "miss": _miss,
    "fourierft": _fourierft, "hra": _hra, "vblora": _vblora, "shira": _shira, "hira": _low_rank,
    "delora": _delora, "gralora": _low_rank, "c3a": _c3a, "road": _road, "waveft": _waveft}

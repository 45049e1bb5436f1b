"""What config.json says, as the keys of a GGUF file.

Keys: the GGUF specification (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), section
"Standardized key-value pairs", and what llama.cpp's loaders of these architectures read. What
llama.cpp has fixed in code and a model has otherwise is refused: the file would load and answer
wrongly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainer.export.errors import ExportError
from trainer.export.gguf_families import Family
from trainer.export.stored import Floats

Value = int | float | str
# What Transformers' configs take where config.json says nothing.
_DEFAULTS: dict[str, Any] = {"rms_norm_eps": 1e-6, "max_position_embeddings": 2048,
                             "rope_theta": 10000.0}
_OF_GEMMA3: dict[str, Any] = {
    "head_dim": 256, "num_attention_heads": 8, "num_key_value_heads": 4, "rope_theta": 1e6,
    "query_pre_attn_scalar": 256, "max_position_embeddings": 131072, "sliding_window": 4096,
    "vocab_size": 262208}
# Every N-th layer sees everything; fixed in llama.cpp.
_WINDOW_PERIOD = {"gemma2": 2, "gemma3": 6}
# Layers by which llama.cpp takes a model for the 27B one, whose scores are scaled otherwise.
_LAYERS_OF_27B = {"gemma2": 46, "gemma3": 62}
_LOCAL_THETA = 10000.0


@dataclass(frozen=True)
class Settings:
    """Keys without the architecture's name before them, sizes, and what a person should know."""

    keys: dict[str, Value]
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    is_tied: bool
    rope_factors: Floats | None = None
    notes: list[str] = field(default_factory=list)


def text_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of config.json that describes the text model, with its type."""
    inner = config.get("text_config")
    if not isinstance(inner, dict):
        return dict(config)
    ties = {"tie_word_embeddings": config.get("tie_word_embeddings", True)}
    return {**ties, **inner, "architectures": config.get("architectures")}


def read_settings(config: Mapping[str, Any], family: Family) -> Settings:
    """Translate config.json.

    Args:
        config: As ``text_config`` returns it.
        family: As ``find_family`` returns it.

    Raises:
        ExportError: A value is missing ('config_missing') or is one that llama.cpp cannot
            express ('config_unsupported').
    """
    defaults = {**_DEFAULTS, **(_OF_GEMMA3 if family.architecture == "gemma3" else {})}
    values = _Values(config, defaults)
    heads, hidden = values.number("num_attention_heads"), values.number("hidden_size")
    kv_heads = int(values.get("num_key_value_heads") or heads)
    fixed = 256 if family.adds_one else hidden // heads
    head_dim = int(values.get("head_dim") or fixed)
    _refuse(values, family)
    if family.heads_fill and heads * head_dim != hidden:
        raise _unsupported(f"its {heads} heads of {head_dim} are not {hidden} together")
    notes: list[str] = []
    keys: dict[str, Value] = {
        "context_length": _context(values, notes), "embedding_length": hidden,
        "block_count": values.number("num_hidden_layers"),
        "feed_forward_length": values.number("intermediate_size"),
        "attention.head_count": heads, "attention.head_count_kv": kv_heads,
        "attention.key_length": head_dim, "attention.value_length": head_dim,
        "attention.layer_norm_rms_epsilon": float(values.get("rms_norm_eps")),
        "rope.dimension_count": head_dim}
    rope, factors = _rope(values, head_dim)
    keys |= rope
    if family.architecture in _WINDOW_PERIOD:
        keys |= _windows(values, family.architecture, heads, head_dim)
    tied = family.must_tie or bool(values.get("tie_word_embeddings", family.adds_one))
    return Settings(keys, values.number("num_hidden_layers"), heads, kv_heads, head_dim, tied,
                    factors, notes)


class _Values:
    """Values of a config, with the defaults of its family."""

    def __init__(self, config: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        self.config, self.defaults = config, defaults

    def get(self, name: str, default: Any = None) -> Any:
        found = self.config.get(name)
        return self.defaults.get(name, default) if found is None else found

    def number(self, name: str) -> int:
        found = self.get(name)
        if not isinstance(found, int) or isinstance(found, bool) or found <= 0:
            raise ExportError("config_missing", f"config.json says no {name}.",
                              "Check that this is the model's whole folder.")
        return found


def _unsupported(what: str) -> ExportError:
    return ExportError("config_unsupported", f"llama.cpp cannot compute this model: {what}.",
                       "Serve the merged safetensors with vLLM or Transformers.")


def _refuse(values: _Values, family: Family) -> None:
    """Refuse what no key of a GGUF file could say."""
    activation = values.get("hidden_activation") or values.get("hidden_act")
    if activation not in (None, *family.activations):
        raise _unsupported(f"its activation is '{activation}'")
    kinds = set(values.get("layer_types") or [])
    windowed = values.get("use_sliding_window") or "sliding_attention" in kinds
    if windowed and family.architecture not in _WINDOW_PERIOD:
        raise _unsupported("some of its layers see a window only")
    if float(values.get("partial_rotary_factor") or 1) != 1:
        raise _unsupported("only a part of each head has rotary positions")


def _context(values: _Values, notes: list[str]) -> int:
    """Return how many tokens fit; of a Mistral with a window: as many as are the same without."""
    length, window = values.number("max_position_embeddings"), values.get("sliding_window")
    if values.get("model_type") == "mistral" and window and int(window) < length:
        notes.append(f"The context is {window} instead of {length} tokens: the model sees a "
                     "window of that size, and llama.cpp has no window for it.")
        return int(window)
    return length


def _rope(values: _Values, head_dim: int) -> tuple[dict[str, Value], Floats | None]:
    """Return keys of the rotary positions, and factors of each frequency where there are some."""
    stated = values.get("rope_parameters") or values.get("rope_scaling") or {}
    rope = stated.get("full_attention", stated) or {}
    theta = rope.get("rope_theta") or values.get("rope_theta")
    keys: dict[str, Value] = {"rope.freq_base": float(theta)}
    kind = str(rope.get("rope_type") or rope.get("type") or "default")
    if kind == "llama3":
        return keys, llama3_factors(rope, float(theta), head_dim)
    if kind in {"linear", "yarn"}:
        keys |= {"rope.scaling.type": kind, "rope.scaling.factor": float(rope["factor"])}
    elif kind != "default":
        raise _unsupported(f"its rotary positions are scaled by '{kind}'")
    if kind == "yarn":
        odd = [name for name in ("attention_factor", "mscale", "mscale_all_dim", "truncate")
               if rope.get(name) is not None]
        if odd:
            raise _unsupported(f"its YaRN has {', '.join(odd)}")
        keys["rope.scaling.original_context_length"] = int(
            rope.get("original_max_position_embeddings")
            or values.number("max_position_embeddings"))
    return keys, None


def llama3_factors(rope: Mapping[str, Any], theta: float, head_dim: int) -> Floats:
    """Return by how much each frequency is divided in Llama 3.1: (head_dim / 2) float32.

    Long waves are stretched by ``factor``, short ones stay, between them it goes over linearly
    (Llama 3.1's model card; 'llama3' in Transformers' modeling_rope_utils). llama.cpp reads
    them as the tensor 'rope_freqs.weight'.
    """
    factor, original = float(rope["factor"]), float(rope["original_max_position_embeddings"])
    low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    waves = 2 * math.pi * theta ** (np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)
    smooth = np.clip((original / waves - low) / (high - low), 0.0, 1.0)
    return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)


def _windows(values: _Values, architecture: str, heads: int, head_dim: int) -> dict[str, Value]:
    """Return the keys of Gemma's windows, after checking what llama.cpp has fixed."""
    layers, period = values.number("num_hidden_layers"), _WINDOW_PERIOD[architecture]
    expected = ["full_attention" if (layer + 1) % period == 0 else "sliding_attention"
                for layer in range(layers)]
    stated = values.get("layer_types")
    if (stated and list(stated) != expected) or values.get("sliding_window_pattern",
                                                           period) != period:
        raise _unsupported(f"not every {period}th of its layers sees everything")
    wide = layers == _LAYERS_OF_27B[architecture]
    scale = values.number("hidden_size") // heads if wide else head_dim
    if float(values.get("query_pre_attn_scalar", scale)) != scale:
        raise _unsupported(f"it scales scores by {values.get('query_pre_attn_scalar')}, "
                           f"not by {scale}")
    keys: dict[str, Value] = {"attention.sliding_window": values.number("sliding_window")}
    for name in ("attn_logit_softcapping", "final_logit_softcapping"):
        if values.get(name):
            keys[name] = float(values.get(name))
    if architecture == "gemma3":
        if "attn_logit_softcapping" in keys:
            raise _unsupported("it bounds its attention scores")
        local = (values.get("rope_parameters") or {}).get("sliding_attention") or {}
        theta = local.get("rope_theta") or values.get("rope_local_base_freq", _LOCAL_THETA)
        if float(theta) != _LOCAL_THETA or local.get("rope_type", "default") != "default":
            raise _unsupported("rotary positions inside its windows are not the usual ones")
    return keys

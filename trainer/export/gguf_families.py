"""The families that can be written as GGUF, and what is special about each.

Names and shapes are those that llama.cpp loads (its list of tensors per architecture is also in
``gguf.MODEL_TENSORS``); what it fixes in code and reads from no key is noted where it is checked,
in ``gguf_settings``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer.export.errors import ExportError

_BLOCK = ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up",
          "ffn_down", "ffn_norm")
_HEAD_NORMS = ("attn_q_norm", "attn_k_norm")
_POST_NORMS = ("post_attention_norm", "post_ffw_norm")


@dataclass(frozen=True)
class Family:
    """An architecture of llama.cpp.

    Attributes:
        architecture: Its name in ``general.architecture``.
        block: The weights of a layer, as in 'blk.0.NAME.weight'.
        biases: The layers that may have a bias.
        rotates_pairs: Rotary positions turn neighbours in a head, not its halves: the rows of
            query and key are put in that order.
        adds_one: Norms are stored as the difference from 1 and multiply with what is stored:
            1 is added.
        must_tie: The output is always the embedding.
        heads_fill: All heads together are as wide as the model.
        activations: What Transformers calls the activation that the architecture has.
    """

    architecture: str
    block: tuple[str, ...]
    biases: tuple[str, ...] = ()
    rotates_pairs: bool = False
    adds_one: bool = False
    must_tie: bool = False
    heads_fill: bool = False
    activations: tuple[str, ...] = ("silu",)


_GELU = ("gelu_pytorch_tanh", "gelu")
_ATTENTION = ("attn_q", "attn_k", "attn_v", "attn_output")
_LLAMA = Family("llama", _BLOCK, biases=(*_ATTENTION, "ffn_gate", "ffn_up", "ffn_down"),
                rotates_pairs=True)
_GEMMA3 = Family("gemma3", (*_BLOCK, *_HEAD_NORMS, *_POST_NORMS), adds_one=True,
                 activations=_GELU)
FAMILIES = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": Family("qwen2", _BLOCK, biases=_ATTENTION[:3], heads_fill=True),
    "qwen3": Family("qwen3", (*_BLOCK, *_HEAD_NORMS)),
    "gemma": Family("gemma", _BLOCK, adds_one=True, must_tie=True, activations=_GELU),
    "gemma2": Family("gemma2", (*_BLOCK, *_POST_NORMS), adds_one=True, must_tie=True,
                     activations=_GELU),
    "gemma3_text": _GEMMA3,
    "gemma3": _GEMMA3,
}


def find_family(config: Mapping[str, Any]) -> Family:
    """Return the family of a model's config.json.

    Raises:
        ExportError: It is none of those ('family_unknown'), it sorts texts into classes
            ('family_head'), or its weights are quantized ('weights_quantized').
    """
    kind = str(config.get("model_type") or "")
    if kind not in FAMILIES:
        raise ExportError("family_unknown", f"Models of the type '{kind}' cannot be written as "
                          f"GGUF here; these can: {', '.join(sorted(FAMILIES))}.",
                          "Export the merged safetensors and use llama.cpp's own converter.")
    heads = [str(name) for name in config.get("architectures") or []]
    if any(not name.endswith(("ForCausalLM", "ForConditionalGeneration")) for name in heads):
        raise ExportError("family_head", f"The model is a {heads[0]}: it writes no text.",
                          "Only models that write text can be exported as GGUF.")
    if config.get("quantization_config"):
        raise ExportError("weights_quantized", "The weights of the model are quantized already.",
                          "Export from the unquantized weights: merge in 16 bit first.")
    return FAMILIES[kind]

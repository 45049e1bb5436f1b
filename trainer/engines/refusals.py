"""Why a kind of engine cannot serve something, in words; '' when it can. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.engines.targets import Adapter, Target

GGUF = "It is a GGUF file, which only llama.cpp reads."


def transformers_refusal(target: Target) -> str:
    """Say what Transformers cannot serve."""
    if target.model.is_gguf:
        return GGUF
    return "Its base is held in fp4, which is only for training." \
        if target.model.quantization == "fp4" else ""


def llama_refusal(target: Target) -> str:
    """Say what llama.cpp cannot serve."""
    return "" if target.model.is_gguf else "It reads GGUF files only; export one first."


def vllm_refusal(target: Target) -> str:
    """Say what vLLM cannot serve: whatever would answer otherwise than it was trained."""
    model, adapter = target.model, target.adapter
    if model.is_gguf:
        return GGUF
    if model.merged:
        return "It has adapters to be merged into its base first; export it merged."
    if model.quantization != "none":
        return f"It was trained on a base in {model.quantization}, which vLLM would hold whole."
    if target.template != "auto" and (adapter or model.template != "auto"):
        return (f"It was trained with the chat template '{target.template}', and vLLM would take "
                "the base's own.")
    return _adapter_refusal(adapter) if adapter else ""


def _adapter_refusal(adapter: Adapter) -> str:
    config = adapter.config
    if adapter.method != "LORA":
        return f"vLLM knows LoRA only, and this is {adapter.method}."
    for key, what in (("use_dora", "DoRA"), ("modules_to_save", "modules trained whole"),
                      ("trainable_token_indices", "tokens of its own"),
                      ("target_parameters", "adapted parameters that are no linear layers"),
                      ("lora_bias", "biases")):
        if config.get(key):
            return f"It has {what}, which vLLM does not take."
    if config.get("bias", "none") != "none":
        return "It has trained biases, which vLLM does not take."
    if not _is_evenly_scaled(config):
        return "Its layers are scaled differently, which vLLM does not take."
    return ""


def _is_evenly_scaled(config: Mapping[str, Any]) -> bool:
    """Tell whether every layer has the scale of the whole: vLLM reads no patterns."""
    ranks, alphas = (config.get(key) or {} for key in ("rank_pattern", "alpha_pattern"))
    rank, alpha = config.get("r") or 1, config.get("lora_alpha") or 1
    power = 0.5 if config.get("use_rslora") else 1.0
    whole = alpha / rank**power
    return all(abs(alphas.get(name, alpha) / ranks.get(name, rank)**power - whole) < 1e-9
               for name in {*ranks, *alphas})

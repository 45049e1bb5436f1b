"""Holding frozen base weights in 4 bits (QLoRA, arXiv:2305.14314) or 8 (arXiv:2208.07339)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer.contract.config import RunConfig

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig, PreTrainedModel


def quantization_config(config: RunConfig, dtype: torch.dtype) -> BitsAndBytesConfig | None:
    """Return how bitsandbytes holds the base, None when it is not quantized; works on CPU too."""
    kind = config.model.quantization
    if kind == "none":
        return None
    from transformers import BitsAndBytesConfig

    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=kind,
                              bnb_4bit_use_double_quant=config.model.double_quantization,
                              bnb_4bit_compute_dtype=dtype)


def keep_layout(model: torch.nn.Module) -> None:
    """Keep 4-bit weights on the CPU as they were quantized.

    On a CPU with bf16 units bitsandbytes lays them out anew at the first answer. Through that no
    gradient passes, its numbers are others than in training, and when an adapter is laid over, it
    turns the layout back without the scales: from then on the base itself answers wrongly.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def prepare_quantized(model: PreTrainedModel, config: RunConfig) -> PreTrainedModel:
    """Freeze a quantized base and keep its norms and embeddings in float32."""
    from peft import prepare_model_for_kbit_training

    keep_layout(model)
    kwargs: dict[str, Any] = {"use_reentrant": False}
    prepared: PreTrainedModel = prepare_model_for_kbit_training(
        model, use_gradient_checkpointing=config.training.gradient_checkpointing,
        gradient_checkpointing_kwargs=kwargs)
    return prepared

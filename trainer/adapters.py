"""LoRA adapters: what to attach, and laying finished ones over a base."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainer.contract.config import TunerConfig
from trainer.contract.models import ModelError, read_safetensors_header, scan_folder

if TYPE_CHECKING:
    import torch
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel


def lora_config(tuner: TunerConfig) -> LoraConfig:
    """Return PEFT's config for a tuner section."""
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM", r=tuner.r, lora_alpha=tuner.lora_alpha,
        lora_dropout=tuner.lora_dropout, target_modules=_targets(tuner.target_modules),
        use_rslora=tuner.use_rslora, use_dora=tuner.use_dora, bias="none")


def _targets(names: list[str] | str) -> list[str] | str:
    if isinstance(names, str) and names != "all-linear":
        return [part.strip() for part in names.split(",") if part.strip()]
    return names


def check_adapter(folder: Path) -> None:
    """Refuse an adapter that is no whole safetensors file, or that wants to run code.

    Raises:
        ModelError: Says which and what to do.
    """
    scan_folder(folder)
    weights = folder / "adapter_model.safetensors"
    if not (folder / "adapter_config.json").is_file() or not weights.is_file():
        raise ModelError("adapter_missing", f"The folder '{folder}' is no finished adapter.",
                         "It needs adapter_config.json and adapter_model.safetensors.")
    read_safetensors_header(weights)


def attach_adapter(model: PreTrainedModel, folder: Path) -> PeftModel:
    """Lay a finished adapter over a model, frozen."""
    from peft import PeftModel

    check_adapter(folder)
    return PeftModel.from_pretrained(model, str(folder), local_files_only=True,
                                     use_safetensors=True)


def merge_adapters(model: PreTrainedModel, folders: tuple[Path, ...]) -> PreTrainedModel:
    """Merge finished adapters into a model, in order."""
    for folder in folders:
        model = attach_adapter(model, folder).merge_and_unload()  # type: ignore[assignment]
    return model


def cast_adapter(model: PeftModel, dtype: torch.dtype) -> None:
    """Set the format of the trainable weights.

    TRL puts adapters of quantized models into bfloat16; where float32 is computed that only
    loses bits.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)

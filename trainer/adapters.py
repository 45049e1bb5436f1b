"""Finished adapters: checked, laid over a base, merged into it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.contract.models import read_adapter, require_mergeable
from trainer.tuners.quiet import ignore_benign

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel


def check_adapter(folder: Path) -> None:
    """Refuse an adapter that is no whole safetensors file, or that wants to run code.

    Raises:
        ModelError: Says which and what to do.
    """
    read_adapter(folder)


def attach_adapter(model: PreTrainedModel, folder: Path) -> PeftModel:
    """Lay a finished adapter over a model, frozen."""
    from peft import PeftModel

    check_adapter(folder)
    with warnings.catch_warnings():
        ignore_benign()
        return PeftModel.from_pretrained(model, str(folder), local_files_only=True,
                                         use_safetensors=True)


def merge_adapters(model: PreTrainedModel, folders: tuple[Path, ...]) -> PreTrainedModel:
    """Merge finished adapters into a model, in order.

    Raises:
        ModelError: One has virtual tokens only, which no weight can take up.
    """
    for folder in folders:
        require_mergeable(folder)
        laid = attach_adapter(model, folder)
        _part_tied(laid)
        model = laid.merge_and_unload()  # type: ignore[assignment]
    return model


def _part_tied(model: PeftModel) -> None:
    """Give the head a weight of its own where one of head and embeddings alone is adapted.

    While they are one weight, merging the adapter of one would change the other too.
    """
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    ends = (model.get_output_embeddings(), model.get_input_embeddings())
    if not any(isinstance(end, BaseTunerLayer) for end in ends):
        return
    head, embeddings = (getattr(end, "base_layer", end) for end in ends)
    if head is None or head.weight is not embeddings.weight:
        return
    head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=False)
    model.config.get_text_config().tie_word_embeddings = False
    model.config.tie_word_embeddings = False


def cast_adapter(model: PeftModel, dtype: torch.dtype) -> None:
    """Set the format of the trainable weights.

    TRL puts adapters of quantized models into bfloat16; where float32 is computed that only
    loses bits.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)

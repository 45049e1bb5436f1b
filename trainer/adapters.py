"""Finished adapters: checked, laid over a base, merged into it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    """Give a tied head a weight of its own where merging needs it."""
    import torch

    found = tied_to_part(model.get_input_embeddings(), model.get_output_embeddings())
    if found is None:
        return
    head = found[1]
    head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=False)
    model.config.get_text_config().tie_word_embeddings = False
    model.config.tie_word_embeddings = False


def tied_to_part(embeddings: Any, head: Any) -> tuple[Any, Any] | None:
    """Return the layers inside of both where they are one weight and one of them is adapted.

    Merging the adapter of one would change the other too. Trained tokens of tied ends are the same
    in both, so that these stay tied.
    """
    from peft.tuners.trainable_tokens import TrainableTokensLayer
    from peft.tuners.tuners_utils import BaseTunerLayer

    if not any(isinstance(end, BaseTunerLayer) for end in (embeddings, head)):
        return None
    bottom, top = (getattr(end, "base_layer", end) for end in (embeddings, head))
    if top is None or top.weight is not bottom.weight or isinstance(head, TrainableTokensLayer):
        return None
    return bottom, top


def cast_adapter(model: PeftModel, dtype: torch.dtype) -> None:
    """Set the format of the trainable weights.

    TRL puts adapters of quantized models into bfloat16; where float32 is computed that only
    loses bits.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)

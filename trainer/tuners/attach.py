"""Laying the run's adapter over its base where TRL's own way would not be right.

TRL attaches a new adapter from its config. What begins from the base's weights, from an adapter
that was trained before or from words is attached here; TRL then keeps a copy as reference.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.contract.config import RunConfig
from trainer.contract.models import read_adapter, resolve_adapter
from trainer.failures import Failure
from trainer.loops.heads import has_head

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from trainer.context import Context
    from trainer.workbench import Workbench



def is_attached_here(config: RunConfig) -> bool:
    """Tell whether the adapter is attached before TRL sees the model."""
    tuner = config.tuner
    if not tuner.is_adapter:
        return False
    if tuner.continue_from or (tuner.type == "prompt_tuning" and tuner.prompt.init_text):
        return True
    return tuner.takes_out_of_base or (
        tuner.type == "lora" and tuner.init_lora_weights == "loftq")


def attach(model: PreTrainedModel, wanted: Any, context: Context, bench: Workbench) -> PeftModel:
    """Attach the adapter of a run for which ``is_attached_here``.

    Args:
        model: The loaded base.
        wanted: PEFT's config of the run.
        context: The attempt.
        bench: The base's folder, whose unquantized weights LoftQ reads, and its tokenizer.
    """
    from peft import get_peft_model

    tuner = context.config.tuner
    if tuner.continue_from:
        return _continued(model, wanted, tuner.continue_from, context.runs)
    begin = tuner.init_lora_weights
    if begin == "loftq":
        wanted.init_lora_weights = True
    attached: Any = get_peft_model(model, wanted)
    if tuner.type == "prompt_tuning":
        _begin_with_words(attached, bench.tokenizer, str(tuner.prompt.init_text))
    elif begin == "loftq":
        from trainer.tuners.loftq import begin_with_residuals

        begin_with_residuals(attached, bench.base.folder)
    elif tuner.takes_out_of_base:
        attached.first_factors = _factors(attached)
        attached.peft_config["default"].init_lora_weights = True
    return attached


def _continued(model: PreTrainedModel, wanted: Any, name: str, runs: Path) -> PeftModel:
    """Lay a finished adapter over the model, to be trained further.

    Raises:
        Failure: It is of another method than the run's.
    """
    from peft import PeftModel

    folder = resolve_adapter(name, runs)
    kind, asked = read_adapter(folder).kind, str(wanted.peft_type.value)
    if kind != asked:
        raise Failure("continue_kind", f"The adapter '{name}' is of the method {kind}, the run "
                      f"is set to {asked}.", "Choose the method that the adapter was trained "
                      "with.")
    if has_head(folder) != (wanted.task_type == "SEQ_CLS"):
        raise Failure("continue_head", f"The adapter '{name}' gives "
                      f"{'scores' if has_head(folder) else 'words'}, which this objective cannot "
                      "go on from.", "Continue one of the same kind, or begin a new adapter.")
    return PeftModel.from_pretrained(model, str(folder), is_trainable=True,
                                     local_files_only=True, use_safetensors=True)


def _begin_with_words(model: Any, tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    """Set the virtual tokens to the embeddings of a text, repeated or cut to their number."""
    import torch

    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]  # type: ignore[assignment]
    if not ids:
        raise Failure("prompt_text_empty", "The first text of the prompt has no tokens.",
                      "Write some words, or leave it empty.")
    weight = model.prompt_encoder["default"].embedding.weight
    count = weight.shape[0]
    repeated = torch.tensor((ids * (count // len(ids) + 1))[:count])
    embeddings = model.get_input_embeddings()
    with torch.no_grad():
        weight.copy_(embeddings(repeated.to(embeddings.weight.device)).to(weight.dtype))


def _factors(model: Any) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return copies of A and B of every layer by its name; they were taken out of the base."""
    from peft.tuners.lora import LoraLayer

    found = {}
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer) and "default" in layer.lora_A:
            found[name] = tuple(factors["default"].weight.detach().float().cpu().clone()
                                for factors in (layer.lora_A, layer.lora_B))
    return found


def freeze_first_factors(model: Any) -> None:
    """Hold A of every LoRA layer still, so that only B is trained (LoRA-FA, arXiv:2308.03303).

    PEFT is told, too: it lets all of an adapter learn again after each look at the base without it.
    """
    from peft.tuners.lora import LoraLayer

    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.frozen_peft_weight_names = {"default": ("lora_A", "lora_embedding_A")}
    for name, parameter in model.named_parameters():
        if ".lora_A.default" in name or ".lora_embedding_A.default" in name:
            parameter.requires_grad_(False)

"""Supervised fine-tuning: learn what the assistant says."""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING, Any

from trainer import work
from trainer.arguments import shared_arguments
from trainer.context import Context
from trainer.packing import blind_collator
from trainer.precision import Precision
from trainer.sft import CommittedSFTTrainer, head_shown_plain
from trainer.sft_losses import TokenLoss
from trainer.splits import Splits
from trainer.workbench import Workbench

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from trl import SFTConfig

# How LoRA begins when it takes something out of the base: without its adapter the model is not
# the base any more.
MOVED_BASE = ("pissa", "pissa_niter_16", "olora", "corda", "loftq")


def build(context: Context, bench: Workbench, splits: Splits) -> CommittedSFTTrainer:
    """Put TRL's SFTTrainer around the model and the token rows."""
    model = work.load_trainable(context, bench)
    loss, adapter = TokenLoss.of(context.config), work.choose_adapter(context)
    adapted = has_adapted_head(adapter)
    say_head(context, loss, adapted=adapted)
    reference = reference_copy(context, model, adapter) if loss.needs_reference else None
    collator = blind_collator(context, model, bench.tokenizer.pad_token_id)
    try:
        with head_shown_plain(model) if adapted else contextlib.nullcontext():
            loop = CommittedSFTTrainer(
                model=model,
                args=arguments(context, bench.precision, evaluates=bool(splits.eval)),
                train_dataset=splits.train.dataset,
                eval_dataset=splits.eval.dataset,
                processing_class=bench.tokenizer, peft_config=adapter)
    except ValueError as error:
        raise work.check_targets(error) from error
    loop.token_loss, loop.reference, loop.head_is_adapted = loss, reference, adapted
    if collator is not None:
        loop.padded_collator, loop.data_collator = loop.data_collator, collator
    return loop


def arguments(context: Context, precision: Precision, *, evaluates: bool) -> SFTConfig:
    """Return TRL's arguments for rows that are already tokens; losses and packing are ours."""
    from trl import SFTConfig

    return SFTConfig(**shared_arguments(context, precision, evaluates=evaluates), packing=False,
                     dataset_kwargs={"skip_prepare_dataset": True})


def has_adapted_head(adapter: Any) -> bool:
    """Tell whether an adapter lies on the head itself."""
    targets = getattr(adapter, "target_modules", None) or ()
    names = [targets] if isinstance(targets, str) else list(targets)
    return any(name.split(".")[-1] == "lm_head" for name in names)


def say_head(context: Context, loss: TokenLoss, *, adapted: bool) -> None:
    """Say when logits are built, which takes memory with large vocabularies."""
    if adapted:
        reason = "an adapter lies on the head, which TRL's fused head would pass by"
    elif loss.needs_logits:
        name = "label smoothing" if loss.smoothing else loss.name
        reason = f"{name} needs the logits, which TRL's fused head never builds"
    else:
        return
    context.emit.choose("lm_head", "logits", reason)


def reference_copy(context: Context, model: PreTrainedModel,
                   adapter: Any) -> PreTrainedModel | None:
    """Return a frozen copy of the base where the model without its adapter is not the base."""
    moved = getattr(adapter, "init_lora_weights", True) in MOVED_BASE
    if adapter is not None and not moved:
        return None
    context.emit.choose("reference", "a frozen copy", "every step compares with the base, which "
                        "training changes: the weights are held twice")
    return copy.deepcopy(model).eval().requires_grad_(False)

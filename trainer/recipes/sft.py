"""Supervised fine-tuning: learn what the assistant says."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from trainer import work
from trainer.arguments import shared_arguments
from trainer.context import Context
from trainer.loops.packing import blind_collator
from trainer.loops.sft import CommittedSFTTrainer, has_adapted_head, head_shown_plain
from trainer.loops.sft_losses import TokenLoss
from trainer.precision import Precision
from trainer.splits import Splits
from trainer.workbench import Workbench

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from trl import SFTConfig

# How LoRA begins when it takes something out of the base: without its adapter the model is not
# the base any more.
MOVED_BASE = ("pissa", "pissa_niter_16", "olora", "orthogonal", "corda", "loftq")


def build(context: Context, bench: Workbench, splits: Splits) -> CommittedSFTTrainer:
    """Put TRL's SFTTrainer around the model and the token rows."""
    model, loss = work.load_trainable(context, bench), TokenLoss.of(context.config)
    reference = reference_copy(context, model) if loss.needs_reference else None
    collator = blind_collator(context, model, bench.tokenizer.pad_token_id)
    try:
        with head_shown_plain(model):
            loop = CommittedSFTTrainer(
                model=model,
                args=arguments(context, bench.precision, evaluates=bool(splits.eval)),
                train_dataset=splits.train.dataset,
                eval_dataset=splits.eval.dataset,
                processing_class=bench.tokenizer, peft_config=work.choose_adapter(context))
    except ValueError as error:
        raise work.check_targets(error) from error
    loop.token_loss, loop.reference = loss, reference
    loop.head_is_adapted = has_adapted_head(loop.model)
    say_head(context, loop)
    if collator is not None:
        loop.padded_collator, loop.data_collator = loop.data_collator, collator
    return loop


def arguments(context: Context, precision: Precision, *, evaluates: bool) -> SFTConfig:
    """Return TRL's arguments for rows that are already tokens; losses and packing are ours."""
    from trl import SFTConfig

    return SFTConfig(**shared_arguments(context, precision, evaluates=evaluates), packing=False,
                     dataset_kwargs={"skip_prepare_dataset": True})


def say_head(context: Context, loop: CommittedSFTTrainer) -> None:
    """Say when logits are built, which takes memory with large vocabularies."""
    loss = loop.token_loss
    if loop.head_is_adapted:
        reason = "an adapter lies on the head, which TRL's fused head would pass by"
    elif loss.needs_logits:
        name = "label smoothing" if loss.smoothing else loss.name
        reason = f"{name} needs the logits, which TRL's fused head never builds"
    else:
        return
    context.emit.choose("lm_head", "logits", reason)


def reference_copy(context: Context, model: PreTrainedModel) -> PreTrainedModel | None:
    """Return a frozen copy of the base where the model without its adapter is not the base."""
    tuner = context.config.tuner
    moved = tuner.type == "lora" and tuner.init_lora_weights in MOVED_BASE
    if tuner.is_adapter and not moved:
        return None
    context.emit.choose("reference", "a frozen copy", "every step compares with the base, which "
                        "training changes: the weights are held twice")
    return copy.deepcopy(model).eval().requires_grad_(False)

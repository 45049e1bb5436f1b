"""Direct preference optimisation (arXiv:2305.18290): prefer the chosen answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer import work
from trainer.context import Context
from trainer.loops.dpo import CommittedDPOTrainer, UniformReference
from trainer.loops.pairs import materials, settings
from trainer.loops.preference import NoReference, frozen_copy
from trainer.splits import Splits
from trainer.workbench import Workbench

if TYPE_CHECKING:
    from trl import DPOConfig


def build(context: Context, bench: Workbench, splits: Splits) -> CommittedDPOTrainer:
    """Put TRL's DPOTrainer around the model and the token pairs.

    The reference is the model without its adapter, or a frozen copy when the base's own weights
    are trained; asked in advance or not at all, it costs no memory.
    """
    dpo = context.config.dpo
    model = work.load_trainable(context, bench)
    given = materials(context, bench, splits, model)
    absent = dpo.reference_free or dpo.precompute_ref_log_probs
    reference = NoReference(model.config) if absent else frozen_copy(context.config, model)
    try:
        loop = CommittedDPOTrainer(
            ref_model=reference, args=arguments(context, bench, splits),
            data_collator=_collator(context, bench),
            **given)
    except ValueError as error:
        raise work.check_targets(error) from error
    if dpo.reference_free:
        loop.ref_model, loop.precompute_ref_logps = None, True
    elif dpo.precompute_ref_log_probs:
        context.emit.stage("baseline", "Asking the reference about every pair")
        loop.ask_in_advance(context.stop.check, switch_off=given["peft_config"] is not None)
    return loop


def arguments(context: Context, bench: Workbench, splits: Splits) -> DPOConfig:
    """Return TRL's arguments for pairs that are already tokens."""
    from trl import DPOConfig

    dpo = context.config.dpo
    return DPOConfig(
        **settings(context, bench, splits), beta=dpo.beta, loss_type=list(dpo.losses),
        loss_weights=list(dpo.losses.values()), label_smoothing=dpo.label_smoothing,
        f_divergence_type=dpo.f_divergence_type,
        f_alpha_divergence_coef=dpo.f_alpha_divergence_coef, ld_alpha=dpo.ld_alpha,
        use_weighting=dpo.use_weighting, discopop_tau=dpo.discopop_tau,
        sync_ref_model=dpo.sync_ref_model, ref_model_mixup_alpha=dpo.ref_model_mixup_alpha,
        ref_model_sync_steps=dpo.ref_model_sync_steps)


def _collator(context: Context, bench: Workbench) -> Any:
    """Return what pads pairs; None leaves it to TRL."""
    if context.config.dpo.reference_free:
        return UniformReference(bench.tokenizer.pad_token_id)
    return None

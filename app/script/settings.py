"""A run's settings as arguments of Transformers, TRL and PEFT, written as Python."""

from __future__ import annotations

from typing import Any

from app.script.gather import Ingredients
from trainer.contract import RunConfig

OWN_OPTIMIZERS = ("muon", "badam", "adam_mini", "lomo", "adalomo", "galore_adamw",
                  "galore_adamw_8bit", "galore_adafactor", "galore_adamw_layerwise",
                  "apollo_adamw", "apollo_adamw_layerwise")
NEVER = 2**31 - 1


def arguments(found: Ingredients) -> dict[str, Any]:
    """Return the arguments that the trainers of all objectives take."""
    config, training = found.config, found.config.training
    optim = training.optim
    if optim in OWN_OPTIMIZERS:
        found.differs.append(f"The optimizer '{optim}' is Finestra's own: the script takes AdamW.")
        optim = "adamw_torch"
    checkpointing: dict[str, Any] = {"use_reentrant": False}
    if training.gradient_checkpointing_every > 1:
        checkpointing["every_n_layers"] = training.gradient_checkpointing_every
    values: dict[str, Any] = {
        "output_dir": "output", "num_train_epochs": training.num_train_epochs,
        "max_steps": training.max_steps or -1,
        "per_device_train_batch_size": training.per_device_train_batch_size,
        "per_device_eval_batch_size": training.per_device_eval_batch_size,
        "gradient_accumulation_steps": training.gradient_accumulation_steps,
        "learning_rate": training.learning_rate, "optim": optim,
        "lr_scheduler_type": training.lr_scheduler_type,
        "warmup_steps": (training.warmup_ratio if training.warmup_steps is None
                         else float(training.warmup_steps)),
        "weight_decay": training.weight_decay, "adam_beta1": training.adam_beta1,
        "adam_beta2": training.adam_beta2, "adam_epsilon": training.adam_epsilon,
        "max_grad_norm": training.max_grad_norm, "seed": training.seed,
        "activation_checkpointing": training.gradient_checkpointing,
        "activation_checkpointing_kwargs": checkpointing,
        "use_liger_kernel": training.use_liger_kernel, "torch_compile": training.torch_compile,
        "logging_steps": training.logging_steps, "logging_first_step": True,
        "eval_steps": training.eval_steps or NEVER, "save_strategy": "steps",
        "save_steps": training.save_steps or NEVER,
        "save_total_limit": training.save_total_limit, "report_to": [],
        "remove_unused_columns": False}
    if schedule := _schedule(found):
        values["lr_scheduler_kwargs"] = schedule
    if training.neftune_noise_alpha and config.objective in ("sft", "pretrain"):
        values["neftune_noise_alpha"] = training.neftune_noise_alpha
    _say_hygiene(found)
    return values


def _schedule(found: Ingredients) -> dict[str, Any]:
    training = found.config.training
    own, kind = training.schedule, training.lr_scheduler_type
    known: dict[str, dict[str, Any]] = {
        "cosine_with_restarts": {"num_cycles": own.num_cycles},
        "cosine_with_min_lr": {"min_lr_rate": own.min_lr_rate},
        "cosine_warmup_with_min_lr": {"min_lr_rate": own.min_lr_rate},
        "polynomial": {"power": own.power},
        "reduce_lr_on_plateau": {"factor": own.factor, "patience": own.patience}}
    if kind == "warmup_stable_decay":
        if training.max_steps is None:
            found.differs.append("Set num_decay_steps in lr_scheduler_kwargs: the share of steps "
                                 f"over which the rate falls was {own.decay_ratio:g}.")
        steps = training.max_steps or 1000
        return {"num_decay_steps": max(1, round(own.decay_ratio * steps)),
                "min_lr_ratio": own.min_lr_rate, "decay_type": own.decay_type}
    return known.get(kind, {})


def _say_hygiene(found: Ingredients) -> None:
    """Name what a run has and a plain script has not."""
    config, training = found.config, found.config.training
    said = {
        "Early stopping is left out.": training.early_stopping_patience is not None,
        "The last weights are kept, not the best.": training.load_best_model_at_end,
        "Answers are not scored along the way.": bool(config.evaluation.metrics),
        "The running mean of the weights is left out.": training.ema.type != "none",
        "The learning rate finder is left out: the script trains.": config.lr_finder.enabled,
        "fp8 is left out.": training.fp8,
        "Label smoothing is left out.": training.label_smoothing_factor > 0,
        "Filters of rows are left out.": config.data.filters.active,
        "Duplicates are not looked for.": config.data.deduplicate != "none",
        "LoRA+ has one learning rate here.": config.tuner.loraplus_lr_ratio is not None
        and config.tuner.type == "lora",
        "Rows are packed by TRL: the same tokens, in other sequences.": config.objective == "sft"
        and training.packing != "none"}
    found.differs += [text for text, holds in said.items() if holds]


def objective(config: RunConfig) -> dict[str, Any]:
    """Return the arguments that only the objective's own trainer takes."""
    name, training = config.objective, config.training
    if name == "dpo":
        own = config.dpo.model_dump(include={
            "beta", "label_smoothing", "f_divergence_type", "f_alpha_divergence_coef", "ld_alpha",
            "use_weighting", "discopop_tau", "sync_ref_model", "ref_model_mixup_alpha",
            "ref_model_sync_steps", "precompute_ref_log_probs"})
        losses = dict(config.dpo.mixture) or {config.dpo.loss_type: 1.0}
        return {**own, "loss_type": list(losses), "loss_weights": list(losses.values())}
    if name in ("kto", "reward"):
        return dict(getattr(config, name).model_dump())
    if name in ("grpo", "rloo"):
        rollout = config.rollout
        return {**getattr(config, name).model_dump(),
                **rollout.model_dump(include={
                    "max_completion_length", "temperature", "top_p", "top_k", "min_p",
                    "repetition_penalty", "num_generations", "mask_truncated_completions"}),
                "reward_weights": [use.weight for use in rollout.rewards],
                "disable_dropout": config.tuner.lora_dropout == 0}
    if name == "sft" and training.packing != "none":
        return {"packing": True, "packing_strategy": training.packing,
                "max_length": config.data.max_length}
    if name == "sft" and training.padding_free:
        return {"padding_free": True}
    if name == "sft" and config.sft.loss_type == "dft":
        return {"loss_type": "dft"}
    return {}

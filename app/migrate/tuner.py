"""What is trained: full, freeze, LoRA, OFT, and adapters to begin with."""

from __future__ import annotations

from app.migrate.draft import Draft

ALL = "all-linear"
NO_FULL_QUANT = "4- and 8-bit weights cannot be trained: LLaMA-Factory refuses this too."
ONLY_LORA = "It means something only for LoRA."
ONLY_OTHER = "It means something only for another finetuning_type."


def tuner(draft: Draft) -> None:
    """Set the section ``tuner`` and the adapters that are merged first."""
    kind = draft.text("finetuning_type", "lora").lower()
    if kind not in ("lora", "full", "freeze", "oft"):
        draft.drop("finetuning_type", f"LLaMA-Factory has no method '{kind[:40]}'; taken as lora.")
        kind = "lora"
    draft.put("finetuning_type", "tuner.type", kind)
    if kind == "lora":
        _lora(draft)
    elif kind == "oft":
        _oft(draft)
    elif kind == "freeze":
        _freeze(draft)
    if kind in ("lora", "oft"):
        _shared(draft)
    elif "model.quantization" in draft.values:
        del draft.values["model.quantization"]
        for key in ("quantization_bit", "quantization_type", "double_quantization"):
            draft.rows.pop(key, None)
            draft.drop(key, NO_FULL_QUANT)
        draft.values.pop("model.double_quantization", None)
    for key in _KEYS:
        if draft.has(key):
            draft.drop(key, ONLY_OTHER)


_KEYS = ("lora_rank", "lora_alpha", "lora_dropout", "lora_target", "loraplus_lr_ratio",
         "use_rslora", "use_dora", "pissa_init", "pissa_iter", "additional_target",
         "create_new_adapter", "adapter_name_or_path", "module_dropout", "oft_block_size",
         "oft_target", "freeze_trainable_layers", "freeze_trainable_modules",
         "freeze_extra_modules")


def _targets(draft: Draft, key: str) -> None:
    names = draft.names(key)
    if names and key in draft.source and key not in draft.rows:
        value: str | list[str] = ALL if names == ["all"] else names
        draft.put(key, "tuner.target_modules", value)


def _lora(draft: Draft) -> None:
    rank = draft.whole("lora_rank")
    if rank is not None:
        draft.put("lora_rank", "tuner.r", rank)
    alpha = draft.whole("lora_alpha")
    if alpha:
        draft.put("lora_alpha", "tuner.lora_alpha", alpha)
    elif alpha == 0:
        draft.put("lora_alpha", "tuner.lora_alpha", 2 * (rank or 8),
                  "0 means twice the rank in LLaMA-Factory.")
    else:
        draft.default("lora_alpha", "tuner.lora_alpha", 2 * (rank or 8))
    for key, field in (("lora_dropout", "tuner.lora_dropout"),
                       ("loraplus_lr_ratio", "tuner.loraplus_lr_ratio")):
        if (value := draft.number(key)) is not None:
            draft.put(key, field, value)
    for key in ("use_rslora", "use_dora"):
        if draft.has(key):
            draft.put(key, f"tuner.{key}", draft.flag(key))
    _targets(draft, "lora_target")
    _pissa(draft)


def _pissa(draft: Draft) -> None:
    if not draft.flag("pissa_init"):
        draft.say("pissa_init", "kept", "It is off, as here.")
        draft.say("pissa_iter", "kept", "It means something only beside pissa_init.")
        return
    steps = draft.whole("pissa_iter")
    exact = steps is not None and steps < 0
    field = "tuner.init_lora_weights"
    draft.put("pissa_init", field, "pissa" if exact else "pissa_niter_16")
    if steps is None or exact or steps == 16:
        draft.put("pissa_iter", field, draft.values[field])
    else:
        draft.put("pissa_iter", field, draft.values[field], "The fast form takes 16 iterations.")


def _oft(draft: Draft) -> None:
    if (size := draft.whole("oft_block_size")) is not None:
        draft.put("oft_block_size", "tuner.oft.oft_block_size", size)
    if (dropout := draft.number("module_dropout")) is not None:
        draft.put("module_dropout", "tuner.lora_dropout", dropout)
    _targets(draft, "oft_target")


def _freeze(draft: Draft) -> None:
    if (layers := draft.whole("freeze_trainable_layers")) is not None:
        draft.put("freeze_trainable_layers", "tuner.freeze.layers", layers)
    modules = draft.names("freeze_trainable_modules")
    if modules:
        draft.put("freeze_trainable_modules", "tuner.freeze.modules",
                  [] if modules == ["all"] else modules)
    if extra := draft.names("freeze_extra_modules"):
        draft.put("freeze_extra_modules", "tuner.freeze.extra_modules", extra)


def _shared(draft: Draft) -> None:
    """Modules trained whole, and adapters: all but the last merged, the last trained further."""
    if extra := draft.names("additional_target"):
        draft.put("additional_target", "tuner.modules_to_save", extra)
    paths = draft.names("adapter_name_or_path")
    fresh = draft.flag("create_new_adapter")
    merged, last = (paths, None) if fresh else (paths[:-1], paths[-1] if paths else None)
    if merged:
        draft.put("adapter_name_or_path", "model.adapters", merged,
                  "" if last is None else "All but the last are merged into the base first; the "
                  "last is trained further.")
    if last is not None:
        draft.put("adapter_name_or_path", "tuner.continue_from", last)
    if draft.has("create_new_adapter"):
        draft.say("create_new_adapter", "kept" if not (fresh and paths) else "renamed",
                  "Adapters are merged first and a new one is trained." if fresh
                  else "It is off, as here.", "model.adapters" if fresh and paths else None)

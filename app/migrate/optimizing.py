"""Optimizer and schedule."""

from __future__ import annotations

from typing import Any

from app.migrate.draft import Draft
from app.migrate.reading import Unreadable, as_mapping, as_number
from app.migrate.rows import Row
from trainer.contract.config import all_fields

SAME = {"adamw_hf": "adamw_torch", "adamw_torch_xla": "adamw_torch",
        "adamw_torch_npu_fused": "adamw_torch_fused", "adamw_apex_fused": "adamw_torch_fused",
        "adamw_anyprecision": "adamw_torch", "adamw_bnb_8bit": "adamw_8bit",
        "rmsprop_bnb": "rmsprop", "rmsprop_bnb_8bit": "rmsprop", "rmsprop_bnb_32bit": "rmsprop",
        "paged_lion_32bit": "lion_32bit", "paged_ademamix_32bit": "ademamix",
        "galore_adamw_8bit_layerwise": "galore_adamw_layerwise",
        "galore_adafactor_layerwise": "galore_adamw_layerwise",
        "stable_adamw": "adamw_torch", "grokadamw": "adamw_torch"}
EQUAL = ("adamw_hf", "adamw_bnb_8bit")
INSTEAD = "The nearest optimizer that there is here."
NO_SUM = ("Layer by layer gradients cannot be accumulated: all rows of a step are one batch, which "
          "takes more memory.")
NO_NORM = "Layer by layer the norm of all gradients is never known: nothing is clipped."
BY_SWITCH = "Another key chooses the optimizer."


def optimizing(draft: Draft) -> None:
    """Set optimizer, schedule and warm-up."""
    switch = next((key for key in ("use_galore", "use_apollo", "use_badam", "use_adam_mini",
                                   "use_muon") if draft.flag(key)), "")
    _optimizer(draft, switch)
    for key in ("use_galore", "use_apollo", "use_badam", "use_adam_mini", "use_muon"):
        draft.say(key, "dropped" if draft.flag(key) else "kept",
                  BY_SWITCH if draft.flag(key) else "It is off, as here.")
    if switch in ("use_galore", "use_apollo"):
        _projection(draft, switch.removeprefix("use_"))
    elif switch == "use_badam":
        _badam(draft)
    for key in _SWITCHED:
        if draft.has(key):
            draft.drop(key, "It means nothing beside the optimizer that is chosen.")
    _layerwise(draft)
    _transformers_arguments(draft)
    _schedule(draft)


def _layerwise(draft: Draft) -> None:
    """Switch off what needs all gradients at once, where each is used as soon as it is there."""
    if not str(draft.values.get("training.optim")).endswith("_layerwise"):
        return
    if (steps := draft.values.get("training.gradient_accumulation_steps", 1)) > 1:
        draft.rows.pop("gradient_accumulation_steps", None)
        draft.put("gradient_accumulation_steps", "training.gradient_accumulation_steps", 1,
                  NO_SUM)
        rows = draft.values.get("training.per_device_train_batch_size", 8)
        draft.rows.pop("per_device_train_batch_size", None)
        draft.put("per_device_train_batch_size", "training.per_device_train_batch_size",
                  rows * steps, NO_SUM)
    if draft.values.pop("training.max_grad_norm", 1.0) != 0:
        draft.rows.pop("max_grad_norm", None)
        draft.put("max_grad_norm", "training.max_grad_norm", 0.0, NO_NORM)
        if "max_grad_norm" not in draft.source:
            draft.defaults.append(Row("max_grad_norm", "changed", NO_NORM,
                                      "training.max_grad_norm"))


_SWITCHED = ("galore_target", "galore_rank", "galore_update_interval", "galore_scale",
             "galore_layerwise", "apollo_target", "apollo_rank", "apollo_update_interval",
             "apollo_scale", "apollo_layerwise", "badam_switch_mode", "badam_switch_interval")


def _optimizer(draft: Draft, switch: str) -> None:
    field, name = "training.optim", draft.text("optim").lower()
    known = all_fields()[field].choices
    if switch:
        chosen = _switched(draft, switch, name)
        draft.put(switch, field, chosen)
        draft.say("optim", "changed", BY_SWITCH, field)
    elif name in known:
        draft.put("optim", field, name)
    elif name in SAME:
        draft.put("optim", field, SAME[name], "" if name in EQUAL else INSTEAD)
    elif name:
        draft.drop("optim", f"There is no optimizer '{name[:40]}' here; AdamW is used.")


def _switched(draft: Draft, switch: str, name: str) -> str:
    """Return our name of an optimizer that LLaMA-Factory chooses by a switch."""
    if switch == "use_galore":
        if draft.flag("galore_layerwise"):
            draft.put("galore_layerwise", "training.optim", "galore_adamw_layerwise")
            return "galore_adamw_layerwise"
        draft.say("galore_layerwise", "kept", "It is off, as here.")
        return {"adamw_bnb_8bit": "galore_adamw_8bit", "adamw_8bit": "galore_adamw_8bit",
                "paged_adamw_8bit": "galore_adamw_8bit",
                "adafactor": "galore_adafactor"}.get(name, "galore_adamw")
    if switch == "use_apollo":
        if draft.flag("apollo_layerwise"):
            draft.put("apollo_layerwise", "training.optim", "apollo_adamw_layerwise")
            return "apollo_adamw_layerwise"
        draft.say("apollo_layerwise", "kept", "It is off, as here.")
        return "apollo_adamw"
    return switch.removeprefix("use_")


def _projection(draft: Draft, prefix: str) -> None:
    where = "training.projection"
    for key, field in (("rank", "rank"), ("update_interval", "update_proj_gap")):
        if (whole := draft.whole(f"{prefix}_{key}")) is not None:
            draft.put(f"{prefix}_{key}", f"{where}.{field}", whole)
    if (scale := draft.number(f"{prefix}_scale")) is not None:
        draft.put(f"{prefix}_scale", f"{where}.scale", scale)
    names = draft.names(f"{prefix}_target")
    if names:
        draft.put(f"{prefix}_target", f"{where}.target_modules", [] if names == ["all"] else names)
    draft.default(f"{prefix}_rank", f"{where}.rank", 16)
    draft.default(f"{prefix}_scale", f"{where}.scale", 2.0 if prefix == "galore" else 32.0)


def _badam(draft: Draft) -> None:
    mode = draft.text("badam_switch_mode")
    if mode == "fixed":
        draft.put("badam_switch_mode", "training.badam.switch_mode", "ascending",
                  "A single fixed block has no counterpart: freeze trains fixed layers.")
    elif mode:
        draft.put("badam_switch_mode", "training.badam.switch_mode", mode)
    every = draft.whole("badam_switch_interval")
    if every is not None and every > 0:
        draft.put("badam_switch_interval", "training.badam.switch_every", every)
    elif every is not None:
        draft.put("badam_switch_interval", "training.badam.switch_every", 1_000_000,
                  "Never is so many steps that it does not happen.")


def _transformers_arguments(draft: Draft) -> None:
    """Read ``optim_args`` and ``optim_target_modules``, which GaLore and APOLLO take."""
    projected = draft.values.get("training.optim", "").startswith(("galore", "apollo"))
    names = draft.names("optim_target_modules")
    if projected and names:
        draft.put("optim_target_modules", "training.projection.target_modules",
                  [] if names in (["all-linear"], ["all"]) else names)
    elif names:
        draft.drop("optim_target_modules", "Only GaLore and APOLLO choose modules.")
    given: dict[str, Any] = draft.read("optim_args", as_mapping, {})
    if not given:
        return
    taken = {}
    for key in ("rank", "update_proj_gap", "scale") if projected else ():
        if key in given:
            try:
                number = as_number(given.pop(key))
            except Unreadable:
                continue
            taken[key] = number if key == "scale" else int(number)
    for key, value in taken.items():
        draft.values[f"training.projection.{key}"] = value
    if taken and not given:
        draft.say("optim_args", "renamed", "Rank, gap and scale have fields of their own.",
                  "training.projection.rank")
    elif taken:
        draft.say("optim_args", "changed", "Rank, gap and scale have fields of their own; the "
                  "rest has none.", "training.projection.rank")
    draft.drop("optim_args", "This optimizer takes no further settings here.")


def _schedule(draft: Draft) -> None:
    field = "training.lr_scheduler_type"
    name = draft.text("lr_scheduler_type").lower()
    if name in all_fields()[field].choices:
        draft.put("lr_scheduler_type", field, name)
    elif name:
        draft.drop("lr_scheduler_type", f"There is no schedule '{name[:40]}'; linear is used.")
    draft.default("lr_scheduler_type", field, "linear")
    _warmup(draft)
    _schedule_settings(draft, draft.values.get(field, "cosine"))


def _warmup(draft: Draft) -> None:
    steps, ratio = draft.number("warmup_steps"), draft.number("warmup_ratio")
    if steps is not None and steps >= 1:
        draft.put("warmup_steps", "training.warmup_steps", int(steps))
        draft.drop("warmup_ratio", "warmup_steps comes before it.")
    elif steps:
        draft.put("warmup_steps", "training.warmup_ratio", steps, "Below 1 it is a share.")
        draft.drop("warmup_ratio", "warmup_steps comes before it.")
    else:
        draft.say("warmup_steps", "kept", "0: the ratio holds.", "training.warmup_steps")
    if ratio is not None:
        draft.put("warmup_ratio", "training.warmup_ratio", ratio)
    draft.default("warmup_ratio", "training.warmup_ratio", 0.0)


def _schedule_settings(draft: Draft, name: str) -> None:
    given: dict[str, Any] = draft.read("lr_scheduler_kwargs", as_mapping, {})
    warmup = float(draft.values.get("training.warmup_ratio", 0.0))
    found: dict[str, Any] = {}
    try:
        found = _settings(given, name, draft)
    except Unreadable as error:
        draft.drop("lr_scheduler_kwargs", f"{error}: the default holds.")
    for key, value in found.items():
        draft.values[f"training.schedule.{key}"] = value
    if given:
        rest = set(given) - _CONSUMED
        draft.say("lr_scheduler_kwargs", "dropped" if not found else
                  "changed" if rest else "renamed",
                  "They have fields of their own." if found else
                  "This schedule has no such settings here.",
                  f"training.schedule.{next(iter(found))}" if found else None)
    if name == "warmup_stable_decay" and "decay_ratio" not in found:
        draft.default("lr_scheduler_kwargs", "training.schedule.decay_ratio",
                      round((1 - warmup) * 2 / 3, 6))
        draft.default("lr_scheduler_kwargs", "training.schedule.min_lr_rate", 0.0)
        draft.default("lr_scheduler_kwargs", "training.schedule.decay_type", "linear")


_CONSUMED = {"num_cycles", "power", "min_lr_rate", "min_lr", "min_lr_ratio", "factor", "patience",
             "decay_type", "num_decay_steps", "num_stable_steps"}


def _settings(given: dict[str, Any], name: str, draft: Draft) -> dict[str, Any]:
    """Return our settings of a schedule from those of Transformers."""
    found: dict[str, Any] = {}
    for theirs, ours in (("num_cycles", "num_cycles"), ("power", "power"), ("factor", "factor"),
                         ("min_lr_rate", "min_lr_rate"), ("min_lr_ratio", "min_lr_rate")):
        if theirs in given:
            found[ours] = as_number(given[theirs])
    if "patience" in given:
        found["patience"] = int(as_number(given["patience"]))
    if "decay_type" in given:
        found["decay_type"] = str(given["decay_type"])
    if "min_lr" in given:
        rate = draft.values.get("training.learning_rate") or 5e-5
        found["min_lr_rate"] = round(as_number(given["min_lr"]) / rate, 9)
    steps = draft.values.get("training.max_steps")
    if "num_decay_steps" in given and steps:
        found["decay_ratio"] = min(1.0, as_number(given["num_decay_steps"]) / steps)
    allowed = {"cosine_with_restarts": {"num_cycles"}, "polynomial": {"power"},
               "reduce_lr_on_plateau": {"factor", "patience"}, "greedy": {"factor", "patience"},
               "warmup_stable_decay": {"min_lr_rate", "decay_type", "decay_ratio"},
               "cosine_with_min_lr": {"min_lr_rate"}, "cosine_warmup_with_min_lr": {"min_lr_rate"}}
    return {key: value for key, value in found.items() if key in allowed.get(name, set())}

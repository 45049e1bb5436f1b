"""Datasets, templates and how rows become tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.migrate.draft import Draft
from app.migrate.reading import Unreadable, as_names, as_number
from trainer.contract.places import share, template_names

Use = str | dict[str, Any]
ADD = ("Carried by name. Names of LLaMA-Factory's data folder are known after `finestra data add "
       "FOLDER/data`.")
AS_FILES = "Taken as the files that dataset_info.json names."
ONCE = "Every row once is what concat does; the rows are shuffled over all datasets."
BLIND = ("Rows in one sequence do not see each other here, as with neat_packing; LLaMA-Factory's "
         "packing alone lets them.")
BLOCKS = "Plain text is always laid end to end and cut into blocks."
USUAL = {"prompt": {"instruction", "prompt"}, "query": {"input", "query"},
         "response": {"output", "response"}, "history": {"history"},
         "messages": {"messages", "conversations"}, "system": {"system"}, "tools": {"tools"},
         "chosen": {"chosen"}, "rejected": {"rejected"}, "kto_tag": {"label", "kto_tag"}}


def data(draft: Draft, chosen: str, folder: Path | None) -> None:
    """Set the section ``data``."""
    listed = _registry(draft, folder)
    _datasets(draft, "dataset", "data.train", listed)
    _datasets(draft, "eval_dataset", "data.eval", listed)
    if "data.train" not in draft.values:
        draft.refuse("import_no_data", "The file names no training data (dataset).",
                     "Set data.train; now it is 'sample_instructions'.")
    _mixing(draft)
    _template(draft)
    for key, field in (("cutoff_len", "data.max_length"), ("max_samples", "data.max_samples"),
                       ("preprocessing_num_workers", "data.preprocessing_num_workers")):
        if (value := draft.whole(key)) is not None:
            draft.put(key, field, value)
    draft.default("cutoff_len", "data.max_length", 2048)
    if (size := draft.number("val_size")) is not None:
        draft.put("val_size", "data.val_size", size)
    for key in ("train_on_prompt", "mask_history"):
        if draft.has(key):
            draft.put(key, f"data.{key}", draft.flag(key))
    if draft.has("disable_shuffling"):
        draft.put("disable_shuffling", "data.shuffle", not draft.flag("disable_shuffling"))
    _packing(draft, chosen)


def _registry(draft: Draft, folder: Path | None) -> tuple[Path, dict[str, Any]] | None:
    """Return LLaMA-Factory's data folder and its registry, when the folder can be reached."""
    named = draft.text("dataset_dir", "data")
    found = None
    if folder is not None:
        for base in (folder, *list(folder.resolve().parents)[:3]):
            path = base / named / "dataset_info.json"
            if path.is_file():
                found = path.resolve()
                break
    draft.say("dataset_dir", "changed", "Its dataset_info.json was read." if found else
              "Datasets have names in Finestra's own registry: `finestra data add` takes the "
              "whole folder in.")
    if found is None:
        return None
    try:
        values = json.loads(found.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return None
    return (found.parent, values) if isinstance(values, dict) else None


def _datasets(draft: Draft, key: str, field: str,
              listed: tuple[Path, dict[str, Any]] | None) -> None:
    names = draft.names(key)
    if not names:
        return
    ours = set(_our_names())
    uses = [_use(name, listed, ours) for name in names]
    if len({json.dumps(use) for use in uses}) != len(uses):
        uses = [use for n, use in enumerate(uses) if use not in uses[:n]]
    plain = [use for use in uses if isinstance(use, str)]
    if all(use in ours or "/" in use for use in plain) and uses == names:
        draft.put(key, field, uses)
    elif uses != names:
        draft.put(key, field, uses, AS_FILES if all(use not in names for use in uses)
                  else f"{AS_FILES} {ADD}")
    else:
        draft.put(key, field, uses, ADD)


def _our_names() -> list[str]:
    """Return the names of the samples that come with Finestra."""
    try:
        return list(json.loads((share() / "data" / "dataset_info.json").read_text("utf-8")))
    except (OSError, ValueError):
        return []


def _use(name: str, listed: tuple[Path, dict[str, Any]] | None, ours: set[str]) -> Use:
    """Return a dataset as a file or a hub id where its entry says no more than that."""
    entry = listed[1].get(name) if listed and name not in ours else None
    if listed is None or not isinstance(entry, dict) or not _plain(entry):
        return name
    hub = entry.get("hf_hub_url") or (f"ms:{entry['ms_hub_url']}" if entry.get("ms_hub_url")
                                      else "")
    path = listed[0] / str(entry.get("file_name", ""))
    if not hub and not (entry.get("file_name") and path.exists()):
        return name
    more = {"subset": entry.get("subset"), "split": entry.get("split") if hub else None,
            "max_samples": entry.get("num_samples")}
    more = {part: value for part, value in more.items() if value}
    target = str(hub) if hub else str(path)
    return {"name": target, **more} if more else target


def _plain(entry: dict[str, Any]) -> bool:
    """Tell whether a dataset's columns are named as usual, so that they are recognised."""
    columns = entry.get("columns") or {}
    return (isinstance(columns, dict) and not entry.get("tags") and not entry.get("folder")
            and all(value in USUAL.get(role, set()) for role, value in columns.items() if value))


def _mixing(draft: Draft) -> None:
    strategy = draft.text("mix_strategy")
    if strategy == "interleave_once":
        draft.put("mix_strategy", "data.mix_strategy", "concat", ONCE)
    elif strategy:
        draft.put("mix_strategy", "data.mix_strategy", strategy)
    shares: list[float] = draft.read("interleave_probs", _shares, [])
    if not shares:
        return
    for field in ("data.train", "data.eval"):
        uses = draft.values.get(field)
        if not uses or len(uses) != len(shares):
            continue
        if field == "data.train":
            draft.values[field] = [
                {**(use if isinstance(use, dict) else {"name": use}), "weight": weight}
                for use, weight in zip(uses, shares, strict=True)]
            draft.say("interleave_probs", "renamed", "They are the weights of the datasets.",
                      "data.train")
    draft.drop("interleave_probs", "There is not one for each dataset.")


def _shares(value: Any) -> list[float]:
    """Return probabilities as weights of at least 0.01 and at most 100."""
    found = [as_number(part) for part in as_names(value)]
    if any(share <= 0 for share in found):
        raise Unreadable("a probability is not above 0")
    factor = 100 / max(found) if found and min(found) < 0.01 else 1.0
    return [round(max(share * factor, 0.01), 6) for share in found]


def _template(draft: Draft) -> None:
    name, thinking = draft.text("template"), draft.flag("enable_thinking", True)
    known = template_names()
    if name == "qwen3" and not thinking and "qwen3_nothink" in known:
        draft.put("template", "data.template", "qwen3_nothink")
        draft.put("enable_thinking", "data.template", "qwen3_nothink")
    elif name in known:
        draft.put("template", "data.template", name)
    elif name:
        draft.put("template", "data.template", "auto", "There is no template of this name here: "
                  "the tokenizer's own is used.")
    draft.say("enable_thinking", "kept" if thinking else "dropped",
              "Thoughts are as the template writes them." if thinking
              else "The chat template decides about thoughts.")


def _packing(draft: Draft, chosen: str) -> None:
    neat, packed = draft.flag("neat_packing"), draft.flag("packing", chosen == "pretrain")
    field = "training.packing"
    if chosen == "pretrain":
        draft.say("packing", "kept" if packed else "dropped", BLOCKS)
        draft.say("neat_packing", "kept" if not neat else "dropped",
                  "It is off, as here." if not neat else "It belongs to SFT.")
    elif chosen == "sft":
        if neat or packed:
            draft.put("neat_packing", field, "bfd" if neat else "none")
            draft.values[field] = "bfd"
            draft.put("packing", field, "bfd", "" if neat else BLIND)
        draft.say("packing", "kept", "It is off, as here.", field)
        draft.say("neat_packing", "kept", "It is off, as here.")
    else:
        for key in ("packing", "neat_packing"):
            on = draft.flag(key)
            draft.say(key, "dropped" if on else "kept",
                      "It belongs to SFT and pt." if on else "It is off, as here.")

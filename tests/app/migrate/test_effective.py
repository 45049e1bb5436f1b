"""The numbers that a run would have are those that LLaMA-Factory 0.9.5 would train with.

``effective.json`` holds typical files and what LLaMA-Factory's own parser made of them
(``llamafactory.hparams.get_train_args`` on CPU): each value is ``usual`` unless the file differs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.migrate import import_llamafactory
from trainer.contract.config import RunConfig, parse

TABLE = json.loads((Path(__file__).parent / "effective.json").read_text(encoding="utf-8"))
CASES = {one["name"]: (one["keys"], TABLE["usual"] | one["differs"]) for one in TABLE["files"]}
SAME = ("learning_rate", "lr_scheduler_type", "per_device_train_batch_size", "seed",
        "per_device_eval_batch_size", "gradient_accumulation_steps", "num_train_epochs",
        "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm",
        "label_smoothing_factor", "neftune_noise_alpha")
OF_LORA = {"r": "lora_rank", "lora_alpha": "lora_alpha", "lora_dropout": "lora_dropout",
           "use_rslora": "use_rslora", "use_dora": "use_dora",
           "loraplus_lr_ratio": "loraplus_lr_ratio"}
BETAS = ("dpo", "orpo", "simpo", "kto")


def every(theirs: dict[str, Any], key: str, strategy: str, total: int) -> int | None:
    """Return every how many steps a thing is done; None where it is done at the end."""
    if theirs.get(strategy, "steps") != "steps":
        return None
    number = theirs[key] or theirs["logging_steps"]
    return round(number * total) if number < 1 else int(number)


def expected(theirs: dict[str, Any], config: RunConfig) -> dict[str, Any]:
    """Return our fields with the values that theirs mean."""
    total, warm = max(theirs["max_steps"], 0), theirs["warmup_steps"] or theirs["warmup_ratio"] or 0
    found = {f"training.{key}": theirs[key] for key in SAME}
    found |= {
        "training.max_steps": total or None,
        "training.warmup_steps": int(warm) if warm >= 1 else None,
        "training.warmup_ratio": 0.0 if warm >= 1 else warm,
        "training.save_steps": every(theirs, "save_steps", "save_strategy", total),
        "training.eval_steps": every(theirs, "eval_steps", "eval_strategy", total),
        "training.gradient_checkpointing": not theirs["disable_gradient_checkpointing"],
        "data.max_length": theirs["cutoff_len"], "data.val_size": theirs["val_size"],
        "data.max_samples": theirs["max_samples"], "data.mask_history": theirs["mask_history"],
        "data.train_on_prompt": theirs["train_on_prompt"], "tuner.type": theirs["finetuning_type"],
        "model.quantization": {4: "nf4", 8: "int8"}.get(theirs["quantization_bit"], "none")}
    if theirs["finetuning_type"] == "lora":
        targets = theirs["lora_target"]
        found |= {f"tuner.{ours}": theirs[key] for ours, key in OF_LORA.items()}
        found["tuner.target_modules"] = "all-linear" if targets == ["all"] else targets
        found["tuner.modules_to_save"] = theirs["additional_target"] or []
    if theirs["finetuning_type"] == "freeze":
        found["tuner.freeze.layers"] = theirs["freeze_trainable_layers"]
    if config.objective in BETAS:
        found[f"{config.objective}.beta"] = theirs["pref_beta"]
    if theirs["quantization_bit"]:
        found["model.double_quantization"] = theirs["double_quantization"]
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_numbers_are_those_that_llamafactory_would_use(name: str) -> None:
    keys, theirs = CASES[name]
    config = parse(import_llamafactory(yaml.safe_dump(keys, sort_keys=False)).values)
    ours: dict[str, Any] = {}
    wanted = expected(theirs, config)
    for path in wanted:
        node: Any = config.dump()
        for part in path.split("."):
            node = node[part]
        ours[path] = node
    assert ours == wanted

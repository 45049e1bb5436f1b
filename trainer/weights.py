"""The finished weights: written beside, checked, renamed into place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch

from trainer.contract.files import fsync_folder, read_json, write_json
from trainer.contract.models import TOKENIZER_FILES
from trainer.failures import Failure
from trainer.loops.heads import write_classes
from trainer.prompts import Template
from trainer.tuners.results import write_adapter


def save_adapter(model: Any, target: Path, *, base_folder: Path, base_name: str,
                 template: Template) -> None:
    """Write an adapter with its tokenizer.

    Args:
        model: The PEFT model.
        target: The folder to end up in.
        base_folder: Where the base's tokenizer files are copied from.
        base_name: Written as ``base_model_name_or_path``: a hub id or the base's folder.
        template: The chat template it was trained with.

    Raises:
        Failure: A trained weight is not a number ('nan_weights').
    """
    _check_finite(model)
    scratch = _scratch(target)
    write_adapter(model, scratch)
    write_classes(model, scratch)
    _write_tokenizer(base_folder, scratch, template)
    (scratch / "README.md").unlink(missing_ok=True)
    config = read_json(scratch / "adapter_config.json")
    config["base_model_name_or_path"] = base_name
    write_json(scratch / "adapter_config.json", config)
    _publish(scratch, target)


def save_full(model: Any, target: Path, *, base_folder: Path, template: Template) -> None:
    """Write a whole model with its tokenizer; same errors as ``save_adapter``.

    The tokens that end an answer are added to the generation config, so that every engine ends it
    where training did.
    """
    _check_finite(model)
    scratch = _scratch(target)
    model.save_pretrained(scratch)
    _write_tokenizer(base_folder, scratch, template)
    _write_ends(scratch, template.eos_ids)
    _publish(scratch, target)


def _check_finite(model: Any) -> None:
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not bool(torch.isfinite(parameter).all()):
            raise Failure("nan_weights", f"The trained weight {name} is not a number any more.",
                          "Lower the learning rate and start again; nothing was exported.")


def _scratch(target: Path) -> Path:
    scratch = target.with_name(f".{target.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    return scratch


def _write_tokenizer(base_folder: Path, folder: Path, template: Template) -> None:
    """Copy the tokenizer's files; a template of another name stands in place of its own."""
    for name in TOKENIZER_FILES:
        if (base_folder / name).is_file():
            shutil.copyfile(base_folder / name, folder / name)
    write_template(folder, template)


def write_template(folder: Path, template: Template) -> None:
    """Put a template of another name, and what ends its answers, in place of a folder's own."""
    if template.is_own or not template.source:
        return
    (folder / "chat_template.jinja").write_text(template.source, encoding="utf-8")
    config = read_json(folder / "tokenizer_config.json")
    if isinstance(config, dict) and config.pop("chat_template", None) is not None:
        write_json(folder / "tokenizer_config.json", config)
    _write_ends(folder, template.eos_ids)


def _write_ends(folder: Path, eos_ids: tuple[int, ...]) -> None:
    if not eos_ids:
        return
    generation = read_json(folder / "generation_config.json") or {}
    generation["eos_token_id"] = list(eos_ids) if len(eos_ids) > 1 else eos_ids[0]
    write_json(folder / "generation_config.json", generation)


def _publish(scratch: Path, target: Path) -> None:
    for path in scratch.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    shutil.rmtree(target, ignore_errors=True)
    os.replace(scratch, target)
    fsync_folder(target.parent)

"""manifest.json: what a run was made of, so that it can be made again or explained."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from trainer.context import Context
from trainer.contract.files import read_json, write_json
from trainer.contract.rundir import RunDir
from trainer.failures import Failure
from trainer.model import Base
from trainer.precision import Precision
from trainer.prompts import Template

PACKAGES = ("finestra", "torch", "transformers", "trl", "peft", "accelerate", "datasets",
            "bitsandbytes", "tokenizers", "safetensors", "swanlab")


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_hash(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8 bytes as hex."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def versions() -> dict[str, str]:
    """Return Python's and the libraries' versions; packages that are missing are left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def describe_base(base: Base) -> dict[str, Any]:
    """Return where the base came from and the hashes of its weights and tokenizer."""
    names = sorted(p.name for p in base.folder.glob("*.safetensors"))
    files = [*names, "config.json", "tokenizer.json"]
    return {"name": base.name, "revision": _revision(base), "parameters": base.facts.parameters,
            "adapters": [str(path) for path in base.source.adapters],
            "sha256": {name: file_hash(base.folder / name) for name in files}}


def _revision(base: Base) -> str | None:
    """Return the commit of a hub model: its folder in the hub's cache is named by it."""
    return None if base.source.is_folder else base.folder.resolve().name


def build(context: Context, *, base: Base, precision: Precision,
          datasets: Sequence[Mapping[str, Any]], template: Template,
          tokenizer: Any) -> dict[str, Any]:
    """Put the manifest together.

    Args:
        context: The attempt.
        base: The base model.
        precision: Device and number formats.
        datasets: Name, split, hash and rows of each dataset.
        template: The chat template.
        tokenizer: The loaded tokenizer, for its special tokens.
    """
    return {
        "version": 1, "run": context.run.id, "versions": versions(),
        "base": describe_base(base), "datasets": [dict(d) for d in datasets],
        "chat_template": {"name": template.name, "sha256": text_hash(template.source),
                          "how": template.how, "text": template.source},
        "special_tokens": {k: str(v) for k, v in tokenizer.special_tokens_map.items()},
        "precision": {"device": precision.device.value, "compute": precision.compute.value,
                      "weights": precision.weights.value,
                      "quantization": context.config.model.quantization},
        "seed": context.config.training.seed,
        "hardware": {"machine": platform.machine(), "system": platform.platform(),
                     "cpus": os.cpu_count(), "gpu": precision.device.reason
                     if precision.device.value == "cuda" else ""},
    }


def require_same_base(run: RunDir, base: Base, template: str) -> None:
    """Refuse to use a result on another base than it was trained on.

    Raises:
        Failure: The base's weights, its tokenizer or its chat template changed ('base_changed').
    """
    recorded = read_json(run.manifest) or {}
    before, now = recorded.get("base", {}).get("sha256"), describe_base(base)["sha256"]
    names = sorted(n for n in before or {} if before[n] != now.get(n))
    if recorded.get("chat_template", {}).get("sha256") not in (None, text_hash(template)):
        names.append("the chat template")
    if names:
        raise Failure("base_changed", f"The base model '{base.name}' is no longer the one this "
                      f"run was trained on: {', '.join(names)} changed.",
                      "Put the old version back, or clone the run and train again.")


def inputs(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts that must not change between two attempts of one run."""
    base = manifest.get("base", {})
    found: dict[str, Any] = {"the base model": base.get("sha256"),
                             "the chat template": manifest.get("chat_template", {}).get("sha256")}
    for dataset in manifest.get("datasets", []):
        found[f"the dataset '{dataset.get('name')}'"] = dataset.get("sha256")
    return found


def write(context: Context, manifest: dict[str, Any], *, resumed: bool) -> None:
    """Write manifest.json; a resumed run must still have the inputs of its first attempt.

    Raises:
        Failure: One of them changed ('inputs_changed').
    """
    old = read_json(context.run.manifest)
    if resumed and isinstance(old, dict):
        before, now = inputs(old), inputs(manifest)
        changed = [name for name in before if before[name] != now.get(name)]
        if changed:
            raise Failure("inputs_changed", f"{', '.join(changed)} changed since this run's "
                          "checkpoint was written, so it cannot go on exactly.",
                          "Put the old version back, or clone the run and start anew.")
    write_json(context.run.manifest, manifest)

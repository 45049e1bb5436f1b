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
from trainer.prompts import Template
from trainer.workbench import Workbench

PACKAGES = ("finestra", "torch", "transformers", "trl", "peft", "accelerate", "datasets",
            "bitsandbytes", "tokenizers", "safetensors", "swanlab")


ADAPTER = "adapter_model.safetensors"


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
    """Return where a model came from and the hashes of its weights, tokenizer and adapters."""
    names = sorted(p.name for p in base.folder.glob("*.safetensors"))
    files = {name: base.folder / name for name in (*names, "config.json", "tokenizer.json")}
    files |= {f"adapter {number}": path / ADAPTER
              for number, path in enumerate(base.source.adapters, 1)}
    return {"name": base.name, "revision": _revision(base), "parameters": base.facts.parameters,
            "adapters": [str(path) for path in base.source.adapters],
            "sha256": {name: file_hash(path) for name, path in files.items()}}


def _revision(base: Base) -> str | None:
    """Return the commit of a hub model: its folder in the hub's cache is named by it."""
    return None if base.source.is_folder else base.folder.resolve().name


def build(context: Context, *, bench: Workbench, teacher: Base | None,
          datasets: Sequence[Mapping[str, Any]], template: Template) -> dict[str, Any]:
    """Put the manifest together.

    Args:
        context: The attempt.
        bench: The base model, device and number formats, and the tokenizer.
        teacher: The model that is learned from, where there is one.
        datasets: Name, split, hash and rows of each dataset.
        template: The chat template.
    """
    precision = bench.precision
    return {
        "version": 1, "run": context.run.id, "versions": versions(),
        "base": describe_base(bench.base),
        **({"teacher": describe_base(teacher)} if teacher else {}),
        "datasets": [dict(d) for d in datasets],
        "chat_template": {"name": template.name, "sha256": text_hash(template.source),
                          "how": template.how, "text": template.source},
        "special_tokens": {k: str(v) for k, v in bench.tokenizer.special_tokens_map.items()},
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
    models = {"the base model": manifest.get("base"), "the teacher": manifest.get("teacher")}
    found: dict[str, Any] = {name: model.get("sha256") for name, model in models.items() if model}
    found |= {"the chat template": manifest.get("chat_template", {}).get("sha256")}
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

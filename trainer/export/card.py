"""A model card: what a model is, what it was made of, how to use it, under which licence.

Format: Markdown behind YAML, as the hub reads it (https://huggingface.co/docs/hub/model-cards).
Nothing of the machine stands in it: of paths only the last part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from trainer.contract.config import RunConfig
from trainer.contract.files import read_json
from trainer.contract.models import HUB_ID
from trainer.contract.redact import known_secrets, redact
from trainer.contract.rundir import RunDir
from trainer.export import evaluated
from trainer.export.errors import ExportError
from trainer.export.usage import usage

CardKind = Literal["adapter", "merged", "gguf"]
_RELATIONS = {"adapter": "adapter", "merged": "finetune", "gguf": "quantized"}
_LIBRARIES = {"adapter": "peft", "merged": "transformers", "gguf": "gguf"}
_CLASSES = ("classification", "reward")
_ESCAPED = re.compile(r"([\\`*_\[\]|#~$])")
_LICENCE = re.compile(r"^license:\s*[\"']?([A-Za-z0-9][\w.+-]*)", re.MULTILINE)
_LICENCE_ROW = re.compile(r"^\|\s*licen[cs]e\s*\|\s*([A-Za-z0-9][\w.+-]*)\s*\|",
                          re.MULTILINE | re.IGNORECASE)
# What a reader wants to know of a config, and where it stands.
_SETTINGS = (
    ("objective", "objective"), ("method", "tuner.type"), ("rank", "tuner.r"),
    ("alpha", "tuner.lora_alpha"), ("epochs", "training.num_train_epochs"),
    ("steps", "training.max_steps"), ("learning rate", "training.learning_rate"),
    ("schedule", "training.lr_scheduler_type"), ("optimizer", "training.optim"),
    ("batch per device", "training.per_device_train_batch_size"),
    ("gradient accumulation", "training.gradient_accumulation_steps"),
    ("longest row", "data.max_length"), ("chat template", "data.template"),
    ("quantization while training", "model.quantization"), ("seed", "training.seed"))
_LORA_ONLY = ("tuner.r", "tuner.lora_alpha")
# Metrics that say how good a model is, not how the machine ran.
_MEASURED = re.compile(r"(train_loss|eval_\w+|\w*exact_match\w*|\w*accuracy\w*|rouge\w*|bleu\w*|"
                       r"\w*f1\w*|perplexity|rewards?/\w+|reward\w*)")
_MOST_README = 65536


def make_card(run: RunDir, kind: CardKind, *, base: Path | None = None, file: str = "") -> str:
    """Write the model card of a run's result.

    Args:
        run: A run with a result.
        kind: What is given away.
        base: The folder of the base model, to look for its licence.
        file: Name of the GGUF file.

    Raises:
        ExportError: The run has no manifest, because it never started ('run_without_manifest').
        ConfigError: Its config cannot be read.
    """
    config, manifest = run.read_config(), read_json(run.manifest)
    if not isinstance(manifest, dict):
        raise ExportError("run_without_manifest", f"The run '{run.id}' never started: nothing is "
                          "known of what it was made of.", "Choose a completed run.")
    licence, scores = read_licence(base) if base else "", evaluated.scores_of(run)
    front = _front(config, manifest, kind, licence)
    if scores:
        front["model-index"] = evaluated.model_index(
            config.name or run.id, front["pipeline_tag"],
            [(_shown(one.found.dataset), one) for one in scores])
    head = yaml.safe_dump(front, allow_unicode=True, sort_keys=False)
    parts = [f"---\n{head}---\n", f"# {escape(config.name or run.id)}\n",
             _intro(config, manifest, kind), _data(manifest), _settings(config),
             _metrics(run), _evaluations(scores),
             "## How to use it\n\n" + usage(kind, _base_name(manifest), file),
             _licence(licence), _made_with(manifest)]
    return redact("\n".join(part for part in parts if part), known_secrets())


def read_licence(base: Path) -> str:
    """Return the licence that a model's README or config names, in lower case; '' for none."""
    try:
        with (base / "README.md").open(encoding="utf-8", errors="replace") as file:
            text = file.read(_MOST_README)
    except OSError:
        text = ""
    head = text.partition("\n---")[0] if text.startswith("---") else ""
    found = _LICENCE.search(head) or _LICENCE_ROW.search(text)
    stated = found[1] if found else (read_json(base / "config.json") or {}).get("license")
    return stated.lower() if isinstance(stated, str) else ""


def escape(text: object) -> str:
    """Make any text plain in Markdown and HTML: one line, no marks, no links."""
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _ESCAPED.sub(r"\\\1", line)
    return line.replace("://", "\\://").replace("www.", "www\\.").replace("@", "&#64;")


def _front(config: RunConfig, manifest: Mapping[str, Any], kind: CardKind,
           licence: str) -> dict[str, Any]:
    name = _base_name(manifest)
    front: dict[str, Any] = {}
    if _is_hub(name):
        front |= {"base_model": name, "base_model_relation": _RELATIONS[kind]}
    if licence:
        front["license"] = licence
    front["library_name"] = _LIBRARIES[kind]
    front["pipeline_tag"] = ("text-classification" if config.objective in _CLASSES
                             else "text-generation")
    tags = ["finestra", config.objective, config.tuner.type, *(["gguf"] if kind == "gguf" else [])]
    front["tags"] = list(dict.fromkeys(tags))
    names = [str(entry.get("name")) for entry in manifest.get("datasets", [])]
    if hub := list(dict.fromkeys(name for name in names if _is_hub(name))):
        front["datasets"] = hub
    return front


def _base_name(manifest: Mapping[str, Any]) -> str:
    return _shown(str((manifest.get("base") or {}).get("name") or ""))


def _shown(name: str) -> str:
    """Return a name as others may read it: of a path only its last part."""
    is_path = name.startswith(("/", "~", ".")) or "\\" in name
    return re.split(r"[/\\]", name.rstrip("/\\"))[-1] if is_path else name


def _is_hub(name: str) -> bool:
    return "/" in name and bool(HUB_ID.fullmatch(name))


def _intro(config: RunConfig, manifest: Mapping[str, Any], kind: CardKind) -> str:
    what = {"adapter": "An adapter for", "merged": "A model tuned from",
            "gguf": "A GGUF file of a model tuned from"}[kind]
    base = manifest.get("base") or {}
    revision = base.get("revision")
    at = f" (revision `{escape(revision)}`)" if revision else ""
    return (f"{what} **{escape(_base_name(manifest))}**{at}, by the objective "
            f"*{escape(config.objective)}* and the method *{escape(config.tuner.type)}*.\n")


def _data(manifest: Mapping[str, Any]) -> str:
    rows = [(_shown(str(entry.get("name"))), entry.get("split"), entry.get("rows"),
             str(entry.get("sha256") or "")[:12]) for entry in manifest.get("datasets", [])]
    return _table("## Data", ("dataset", "used for", "rows", "SHA-256 begins"), rows)


def _settings(config: RunConfig) -> str:
    values = config.model_dump()
    rows = []
    for label, path in _SETTINGS:
        if path in _LORA_ONLY and config.tuner.type in {"full", "freeze"}:
            continue
        value: Any = values
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            rows.append((label, value))
    return _table("## Training", ("setting", "value"), rows)


def _metrics(run: RunDir) -> str:
    latest = run.latest()
    result = read_json(latest.result) if latest else None
    found = (result or {}).get("metrics") or {}
    rows = [(name, f"{value:.4g}") for name, value in sorted(found.items())
            if isinstance(value, int | float) and _MEASURED.fullmatch(name)]
    return _table("## Results", ("metric", "value"), rows)


def _evaluations(scores: Sequence[evaluated.Score]) -> str:
    rows = [(_shown(row[0]), *row[1:5], _shown(row[5]), row[6]) for row in evaluated.rows(scores)]
    return _table("## Evaluation", ("dataset", "metric", "value", "95 %", "rows", "beside",
                                    "change"), rows)


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(escape(cell) for cell in row)} |" for row in rows]
    if not lines:
        return ""
    top = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([title, "", *top, *lines, ""])


def _licence(licence: str) -> str:
    if licence:
        return (f"## Licence\n\nThe base model is under `{licence}`. What was made of it is under "
                "the same terms, unless they say otherwise.\n")
    return ("## Licence\n\nThe files of the base model name no licence. Find out its terms before "
            "you pass this on.\n")


def _made_with(manifest: Mapping[str, Any]) -> str:
    known = manifest.get("versions") or {}
    names = ", ".join(f"{name} {known[name]}" for name in ("finestra", "transformers", "trl",
                                                           "peft", "torch") if name in known)
    return f"Made with {escape(names)}.\n" if names else ""

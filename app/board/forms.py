"""The Train form, generated from the fields of the run config.

One component per field. What a component holds is called raw: text for numbers (so that "abc" or
"2e-4" stays what was typed), a list for datasets, a boolean for a tick. ``show`` and ``read``
translate between raw and what a YAML file would hold; validation is the contract's alone.
A dataset that is more than a name reads ``name (weight=2, split=test)``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from app.board.i18n import choice_label, field_help, field_title, t
from trainer.contract.config import OBJECTIVES, FieldInfo, all_fields, is_relevant
from trainer.contract.places import template_names

DATASETS = ("data.train", "data.eval")
_WIDTHS = {"name": 6, "objective": 6, "model.name_or_path": 6, "model.quantization": 6,
           "data.train": 6, "data.eval": 6, "tuner.type": 6, "evaluation.exact_match": 6,
           "tracking.backend": 6, "tuner.target_modules": 6}
_RADIO_LIMIT = 3
_FIRST = ("tuner.type", "tuner.r", "tuner.lora_alpha", "training.learning_rate",
          "training.num_train_epochs", "training.max_steps",
          "training.per_device_train_batch_size")


def element_id(path: str) -> str:
    """Return the stable element id of a field, e.g. ``field-training-learning_rate``."""
    return "field-" + path.replace(".", "-")


def card_of(info: FieldInfo) -> str:
    """Return where a field stands: 'what', 'how', 'while' or 'advanced'."""
    if not info.basic:
        return "advanced"
    if info.section in ("", "model", "data") and info.path != "data.max_length":
        return "what"
    if info.section in ("evaluation", "tracking") or info.path in (
            "training.eval_steps", "training.save_steps"):
        return "while"
    return "how"


def fields_of(card: str) -> list[FieldInfo]:
    """Return a card's fields in the order that people decide them."""
    found = [info for info in all_fields().values() if card_of(info) == card]
    return sorted(found, key=lambda info: _FIRST.index(info.path) if info.path in _FIRST
                  else len(_FIRST) if card == "how" else -1)


def hidden_fields(raws: Mapping[str, Any]) -> list[str]:
    """Return the fields that mean nothing with the current choices."""
    rows = OBJECTIVES[str(raws.get("objective", "sft"))].rows
    hidden = []
    for path, info in all_fields().items():
        irrelevant = (
            not is_relevant(info, raws)
            or (path in ("evaluation.max_new_tokens", "evaluation.limit")
                and not raws.get("evaluation.exact_match") and not raws.get("evaluation.samples"))
            or (path == "evaluation.exact_match" and rows not in ("turns", "prompts")
                and not raws.get(path))
            or (path in ("data.train_on_prompt", "data.mask_history", "data.template")
                and rows == "text" and raws.get(path) in (False, "auto"))
            or (path == "data.mix_strategy" and len(raws.get("data.train") or []) < 2)
            or (path == "data.near_threshold" and raws.get("data.deduplicate") != "near"))
        if irrelevant:
            hidden.append(path)
    return hidden


def _number_text(value: float) -> str:
    """Write a number as people write learning rates: 2e-4, 0.03, 3."""
    if isinstance(value, int) or (math.isfinite(value) and value == int(value)
                                  and abs(value) < 1e15):
        return str(int(value))
    text = repr(value)
    if value and abs(value) < 1e-3:
        mantissa, _, exponent = f"{value:e}".partition("e")
        short = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
        if float(short) == value:
            return short
    return text


def show(info: FieldInfo, value: Any) -> Any:
    """Return what the field's component holds for a config value of any type."""
    if info.kind == "boolean":
        return value if isinstance(value, bool) else str(value).lower() == "true"
    if info.path in DATASETS:
        uses = value if isinstance(value, list) else [] if value is None else [value]
        return [show_use(use) for use in uses]
    if info.kind == "list":
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")
    if info.kind == "choice":
        return str(value) if str(value) in info.choices else info.default
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number_text(value)
    return str(value)


_USE_KEYS = ("weight", "subset", "split", "revision", "max_samples")
_USE = re.compile(rf"(.+?) \(((?:(?:{'|'.join(_USE_KEYS)})=[^,()]+(?:, )?)+)\)")


def show_use(use: Any) -> str:
    """Return one dataset of a mixture as the form has it; ``read_use`` takes it back."""
    if not isinstance(use, Mapping):
        return str(use)
    known = [f"{key}={_shown(use[key])}" for key in _USE_KEYS if use.get(key) is not None]
    name = str(use.get("name", ""))
    return f"{name} ({', '.join(known)})" if known else name


def _shown(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return _number_text(value) if number else str(value)


def read_use(words: str) -> str | dict[str, Any]:
    """Return what a YAML file would hold for one dataset: a name, or a name with more."""
    found = _USE.fullmatch(words.strip())
    if found is None:
        return words.strip()
    pairs = dict(part.split("=", 1) for part in found[2].split(", "))
    return {"name": found[1], **{key: _number(value) if key in ("weight", "max_samples") else value
                                 for key, value in pairs.items()}}


def name_of(words: str) -> str:
    """Return the name alone of a dataset as the form has it."""
    use = read_use(words)
    return str(use["name"]) if isinstance(use, dict) else use


def weights_text(raw: Sequence[str]) -> str:
    """Return the weights of a mixture as one text, ``a=2, b=1``; '' when none is given."""
    uses = [use for item in raw if isinstance(use := read_use(item), dict) and "weight" in use]
    return ", ".join(f"{use['name']}={_shown(use['weight'])}" for use in uses)


def with_weights(raw: Sequence[str], words: str) -> list[str]:
    """Return the datasets with the weights of a text; one that it leaves out has none."""
    pairs = (part.rpartition("=") for part in words.split(",") if part.strip())
    weights = {name.strip(): _number(weight.strip()) for name, _, weight in pairs}
    found = []
    for item in raw:
        use = read_use(item)
        values: dict[str, Any] = dict(use) if isinstance(use, dict) else {"name": use}
        values["weight"] = weights.get(values["name"])
        found.append(show_use(values))
    return found


def unknown_weights(raw: Sequence[str], words: str) -> list[str]:
    """Return what a text of weights speaks of that is not a chosen dataset with its number."""
    chosen = {name_of(item) for item in raw}
    parts = [part.strip() for part in words.split(",") if part.strip()]
    return [part for part in parts if part.rpartition("=")[0].strip() not in chosen
            or not isinstance(_number(part.rpartition("=")[2].strip()), int | float)]


def read(info: FieldInfo, raw: Any) -> Any:
    """Return what a YAML file would hold for what the component holds."""
    if info.kind == "boolean":
        return bool(raw)
    if info.path in DATASETS:
        return [read_use(str(name)) for name in raw or [] if str(name).strip()]
    text = str(raw if raw is not None else "").strip()
    if info.kind == "list":
        return _names(text)
    if not text and info.optional:
        return None
    if info.kind in ("integer", "number"):
        return _number(text)
    return text


def _names(text: str) -> list[str] | str:
    """Read module names; a pattern or the word for all of them stays one text."""
    if text == "all-linear" or any(sign in text for sign in "*()|\\^$"):
        return text
    return [part.strip() for part in text.split(",") if part.strip()]


def _number(text: str) -> int | float | str:
    """Read a number; text that is none stays text, for the contract to refuse by its value."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def read_all(raws: Sequence[Any]) -> dict[str, Any]:
    """Return the nested mapping for the raws of all fields, in the order of ``all_fields``."""
    values: dict[str, Any] = {}
    for info, raw in zip(all_fields().values(), raws, strict=True):
        node = values
        *sections, name = info.path.split(".")
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = read(info, raw)
    return values


def show_all(values: Mapping[str, Any]) -> list[Any]:
    """Return the raws of all fields for a mapping; what it leaves out has its default."""
    raws = []
    for info in all_fields().values():
        node: Any = values
        for part in info.path.split("."):
            node = node.get(part, _ABSENT) if isinstance(node, Mapping) else _ABSENT
        raws.append(show(info, info.default if node is _ABSENT else node))
    return raws


_ABSENT: Any = object()


def owner_of(path: str) -> str:
    """Return the field that a problem's path belongs to: ``data.train.0`` -> ``data.train``."""
    while path and path not in all_fields():
        path = path.rpartition(".")[0]
    return path


def component(info: FieldInfo, locale: str, choices: Sequence[tuple[str, str]] = ()) -> Any:
    """Make the component of a field.

    Args:
        info: The field.
        locale: Language of label, help and choices.
        choices: (label, value) of what is known for fields that take names.
    """
    common: dict[str, Any] = {
        "label": field_title(locale, info), "info": field_help(locale, info),
        "elem_id": element_id(info.path), "value": show(info, info.default),
        "elem_classes": ["f-field", f"f-w{_WIDTHS.get(info.path, 3 if info.basic else 6)}"],
        "interactive": True, "min_width": 40,
    }
    if info.kind == "boolean":
        return gr.Checkbox(**common)
    if info.kind == "choice":
        options = [(choice_label(locale, info.path, value), value) for value in info.choices]
        if len(options) <= _RADIO_LIMIT and info.basic:
            return gr.Radio(options, **common)
        return gr.Dropdown(options, filterable=False, **common)
    if choices or info.path in DATASETS:
        return gr.Dropdown(list(choices), multiselect=info.path in DATASETS,
                           allow_custom_value=True, **common)
    if info.kind in ("integer", "number"):
        common["html_attributes"] = gr.InputHTMLAttributes(autocorrect="off", spellcheck=False)
    if info.optional:
        common["placeholder"] = "—"
    return gr.Textbox(max_lines=1, **common)


def known_choices(studio: Any, locale: str) -> dict[str, list[tuple[str, str]]]:
    """Return what can be chosen by name: models, datasets, devices."""
    data = [(t(locale, "dataset.rows", name=d.name, rows=f"{d.rows:,}") if d.rows else d.name,
             d.name) for d in studio.datasets()]
    models = [(t(locale, "model.starter"), name) if name == "starter"
              else (_model_label(studio, locale, name), name) for name in studio.models()]
    devices = [(t(locale, "device.auto"), "auto"),
               *((device.name or device.key, device.key) for device in studio.devices())]
    templates = [(t(locale, "template.auto"), "auto"), *((n, n) for n in template_names())]
    return {"data.train": data, "data.eval": data, "model.name_or_path": models,
            "training.device": devices, "data.template": templates}


def _model_label(studio: Any, locale: str, name: str) -> str:
    try:
        run = studio.run(name)
    except ValueError:
        return name
    return t(locale, "model.run", name=run.name)

"""The Train form as data: what it holds, and what a YAML file would say for it.

What a field of the form holds is called raw: text for numbers (so that "abc" or "2e-4" stays what
was typed) and for lists and mappings, a boolean for a tick, for datasets a list of names (or of
mappings, when more than the name is said), for rewards a list of mappings of texts. ``show`` and
``read`` translate between raw and what a YAML file would hold; validation is the contract's alone.

In lists, entries are parted by commas; in mappings an entry is ``name=number``. An entry or a name
that has one of these signs in itself stands in quotes, as in JSON: ``"a,b", c``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.board.i18n import t
from trainer.contract.config import OBJECTIVES, FieldInfo, all_fields, is_relevant
from trainer.contract.places import template_names

DATASETS = ("data.train", "data.eval")
REWARDS = "rollout.rewards"
LINES = ("evaluation.prompts", "tuner.prompt.init_text")
MODELS = ("model.name_or_path", "teacher.name_or_path", "tuner.continue_from")
_FIRST = ("objective", "model.name_or_path", "model.quantization", "name", "teacher.name_or_path",
          "data.train", "data.eval", "rollout.rewards", "tuner.type", "tuner.r",
          "tuner.lora_alpha", "training.learning_rate", "training.num_train_epochs",
          "training.max_steps", "training.per_device_train_batch_size")
_NUMBERS = ("weight", "target", "max_samples")
_PATTERN_SIGNS = "*()|\\^$"
_ABSENT: Any = object()


def element_id(path: str) -> str:
    """Return the stable element id of a field, e.g. ``field-training-learning_rate``."""
    return "field-" + path.replace(".", "-")


def card_of(info: FieldInfo) -> str:
    """Return where a field stands: 'what', 'how', 'while' or 'advanced'."""
    if not info.basic:
        return "advanced"
    if info.section in ("", "model", "data", "teacher") and info.path != "data.max_length":
        return "what"
    if info.path in ("rollout.rewards",):
        return "what"
    if info.section in ("evaluation", "tracking") or info.path in (
            "training.eval_steps", "training.save_steps"):
        return "while"
    return "how"


def fields_of(card: str) -> list[FieldInfo]:
    """Return a card's fields in the order that people decide them."""
    found = [info for info in all_fields().values() if card_of(info) == card]
    return sorted(found, key=lambda info: _FIRST.index(info.path) if info.path in _FIRST
                  else len(_FIRST))


def groups() -> dict[str, list[FieldInfo]]:
    """Return the advanced fields by the heading that they stand under, in order."""
    found: dict[str, list[FieldInfo]] = {}
    for info in fields_of("advanced"):
        found.setdefault(info.group, []).append(info)
    return found


def hidden_fields(raws: Mapping[str, Any]) -> list[str]:
    """Return the fields that mean nothing with the current choices."""
    rows = OBJECTIVES.get(str(raws.get("objective")), OBJECTIVES["sft"]).rows
    scored = raws.get("evaluation.metrics")
    asked = scored or raws.get("evaluation.exact_match") or str(raws.get("evaluation.samples")) \
        not in ("", "0")
    needed = {"evaluation.generate_steps": scored, "evaluation.max_new_tokens": asked,
              "evaluation.limit": asked, "data.near_threshold": raws.get("data.deduplicate")
              == "near", "data.mix_strategy": len(raws.get("data.train") or []) > 1,
              "training.metric_for_best_model": raws.get("training.load_best_model_at_end")
              or raws.get("training.early_stopping_patience")}
    return [path for path, info in all_fields().items() if (
        not is_relevant(info, raws) or not needed.get(path, True)
        or (path == "evaluation.exact_match" and rows not in ("turns", "prompts")
            and not raws.get(path))
        or (path in ("data.train_on_prompt", "data.mask_history", "data.template")
            and rows == "text" and raws.get(path) in (False, "auto")))]


# From a config's value to what the form holds


def show(info: FieldInfo, value: Any) -> Any:
    """Return what the form holds for a config value of any type."""
    if info.kind == "boolean":
        return value if isinstance(value, bool) else str(value).lower() == "true"
    if info.kind == "uses":
        uses = value if isinstance(value, list) else [] if value is None else [value]
        return [_show_use(info, use) for use in uses]
    if info.path == LINES[0] and isinstance(value, list):
        return "\n".join(_quoted_line(str(item)) for item in value)
    if info.kind == "list":
        return _show_list(info, value)
    if info.kind == "mapping" and isinstance(value, Mapping):
        return ", ".join(f"{_quoted(str(key))}={_shown(number)}" for key, number in value.items())
    if info.kind == "choice":
        return str(value) if str(value) in info.choices else info.default
    return "" if value is None else _shown(value)


def _show_use(info: FieldInfo, use: Any) -> Any:
    """Return one dataset or reward: a name alone as a text, else texts by their keys."""
    if not isinstance(use, Mapping):
        dumped = use.model_dump(exclude_none=True) if hasattr(use, "model_dump") else None
        if dumped is None:
            return {"name": str(use)} if info.path == REWARDS else str(use)
        use = dumped
    said = {str(key): _shown(value) for key, value in use.items() if value is not None}
    return said["name"] if list(said) == ["name"] and info.path in DATASETS else said


def _show_list(info: FieldInfo, value: Any) -> str:
    if not isinstance(value, list):
        return str(value or "")
    either = isinstance(info.default, str)
    entries = [_quoted(str(item), either=either) for item in value]
    if either and any(entry.startswith('"') for entry in entries):
        entries[0] = json.dumps(str(value[0]), ensure_ascii=False)
    return ", ".join(entries)


def _quoted(text: str, *, either: bool = False) -> str:
    """Return an entry, in quotes where its signs would be misread."""
    odd = text != text.strip() or not text or any(sign in text for sign in ',="\n')
    pattern = either and (text == "all-linear" or any(sign in text for sign in _PATTERN_SIGNS))
    return json.dumps(text, ensure_ascii=False) if odd or pattern else text


def _quoted_line(text: str) -> str:
    odd = "\n" in text or "\r" in text or text != text.strip() or text.startswith('"') or not text
    return json.dumps(text, ensure_ascii=False) if odd else text


def _shown(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number_text(value) if number else str(value)


def number_text(value: float) -> str:
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


# From what the form holds to what a YAML file would say


def read(info: FieldInfo, raw: Any) -> Any:
    """Return what a YAML file would hold for what the form holds."""
    if info.kind == "boolean":
        return bool(raw)
    if info.kind == "uses":
        found = [_read_use(use) for use in raw] if isinstance(raw, list) else []
        return [use for use in found if use not in ("", {"name": ""})]
    text = str(raw if raw is not None else "").strip()
    if info.path == LINES[0]:
        return [_read_line(line.strip()) for line in text.split("\n") if line.strip()]
    if info.kind == "list":
        return _read_list(info, text)
    if info.kind == "mapping":
        return _read_mapping(text)
    if not text and info.optional:
        return None
    return _number(text) if info.kind in ("integer", "number") else text


def _read_use(use: Any) -> Any:
    if not isinstance(use, Mapping):
        return str(use).strip()
    said = {str(key): str(value).strip() for key, value in use.items()}
    return {key: _number(value) if key in _NUMBERS else value
            for key, value in said.items() if value or key == "name"}


def _read_line(line: str) -> str:
    return _unquoted(line) if line.startswith('"') else line


def _unquoted(text: str) -> str:
    try:
        value = json.loads(text, strict=False)
    except ValueError:
        return text
    return value if isinstance(value, str) else text


_ENTRY = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^,]*?)\s*(?:,|$)', re.DOTALL)
_PAIR = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^="]+?)\s*=\s*([^,=]*?)\s*(?:,|$)', re.DOTALL)


def _read_list(info: FieldInfo, text: str) -> list[str] | str:
    """Read entries; where a field takes either, a pattern stays one text."""
    if isinstance(info.default, str) and not text.startswith('"') and (
            text == "all-linear" or any(sign in text for sign in _PATTERN_SIGNS)):
        return text
    found = [match[1] for match in _ENTRY.finditer(text)]
    return [_unquoted(one) if one.startswith('"') else one for one in found if one]


def _read_mapping(text: str) -> dict[str, Any] | str:
    """Read pairs; a text that has anything else stays text, for the contract to refuse."""
    found: dict[str, Any] = {}
    at = 0
    while at < len(text):
        match = _PAIR.match(text, at)
        if match is None:
            return text
        name = _unquoted(match[1]) if match[1].startswith('"') else match[1]
        found[name] = _number(match[2])
        at = match.end()
    return found


def _number(text: str) -> int | float | str:
    """Read a number; text that is none stays text, for the contract to refuse by its value."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


# The whole form


def read_all(raws: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nested mapping for the raws of all fields; one that is left out stays so."""
    values: dict[str, Any] = {}
    for path, info in all_fields().items():
        if path not in raws:
            continue
        node = values
        *sections, name = path.split(".")
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = read(info, raws[path])
    return values


def show_all(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the raws of all fields for a mapping; what it leaves out has its default."""
    raws = {}
    for path, info in all_fields().items():
        node: Any = values
        for part in path.split("."):
            node = node.get(part, _ABSENT) if isinstance(node, Mapping) else _ABSENT
        raws[path] = show(info, info.default if node is _ABSENT else node)
    return raws


def from_browser(text: str) -> dict[str, Any]:
    """Return the raws that the page sent as JSON; what is no such thing has its default."""
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        found = {}
    known = {path: found[path] for path in all_fields() if path in found} if isinstance(
        found, dict) else {}
    return {**show_all({}), **known}


def owner_of(path: str) -> str:
    """Return the field that a problem's path belongs to: ``data.train.0`` -> ``data.train``."""
    while path and path not in all_fields():
        path = path.rpartition(".")[0]
    return path


# What can be chosen by name


def known_choices(studio: Any, locale: str) -> dict[str, list[tuple[str, str]]]:
    """Return (label, value) of what is known for fields that take names."""
    data = [(t(locale, "dataset.rows", name=d.name, rows=f"{d.rows:,}") if d.rows else d.name,
             d.name) for d in studio.datasets()]
    models = [(t(locale, "model.starter"), name) if name == "starter"
              else (_model_label(studio, locale, name), name) for name in studio.models()]
    devices = [(t(locale, "device.auto"), "auto"),
               *((device.name or device.key, device.key) for device in studio.devices())]
    templates = [(t(locale, "template.auto"), "auto"), *((n, n) for n in template_names())]
    return {"data.train": data, "data.eval": data, **dict.fromkeys(MODELS, models),
            "training.device": devices, "data.template": templates}


def fitting_objectives(studio: Any) -> dict[str, list[str]]:
    """Return for each registered dataset the objectives that its rows can serve."""
    return {one.name: list(one.objectives) for one in studio.datasets()}


def names_of(uses: Sequence[Any] | None) -> list[str]:
    """Return the names alone of the datasets that the form holds."""
    return [str(use.get("name", "")) if isinstance(use, Mapping) else str(use)
            for use in uses or []]


def _model_label(studio: Any, locale: str, name: str) -> str:
    try:
        run = studio.run(name)
    except ValueError:
        return name
    return t(locale, "model.run", name=run.name)

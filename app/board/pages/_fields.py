"""The fields of the Train form as HTML: native inputs, drawn once, filled and read by form.js.

Native, since Gradio's components for every field of the run config took seconds to come up. Each
field is ``#field-<path>`` with its label, its input and its description tied to it; what stands in
them travels as one JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from app.board.forms import (
    DATASETS,
    LINES,
    MODELS,
    REWARDS,
    element_id,
    fields_of,
    groups,
    hidden_fields,
    show,
    show_all,
)
from app.board.i18n import choice_label, field_help, field_title, has, t
from app.board.pages._parts import text
from trainer.contract.config import FieldInfo, RewardUse
from trainer.contract.config.rewards import NEEDS, TAKES

OBJECTIVE_GROUPS: dict[str, tuple[str, ...]] = {
    "answers": ("sft", "pretrain", "classification"),
    "preferences": ("dpo", "kto", "orpo", "simpo", "cpo", "reward"),
    "trying": ("grpo", "rloo"),
    "teacher": ("distillation", "gkd"),
}
_TUNERS_USUAL = ("lora", "full", "freeze")
_TUNERS_PROMPT = ("prompt_tuning", "prefix_tuning", "p_tuning")
_NAMED = (*MODELS, "training.device", "data.template")
_WIDTHS = {"name": 3, "objective": 12, "model.name_or_path": 6, "model.quantization": 3,
           "data.train": 6, "data.eval": 6, "tuner.type": 6, "evaluation.exact_match": 6,
           "teacher.name_or_path": 12, REWARDS: 12, "evaluation.prompts": 12,
           "tuner.prompt.init_text": 12}
_RADIO_LIMIT = 3
_LONG = ("json_schema", "instruction")


def cards(locale: str) -> dict[str, str]:
    """Return the HTML of the fields of each card: what, how, while."""
    return {name: _grid(locale, fields_of(name)) for name in ("what", "how", "while")}


def advanced(locale: str) -> str:
    """Return the advanced fields under their headings, with the search above them."""
    sections = "".join(
        f'<div class="f-section" role="group" aria-label="{text(heading)}">'
        f"<h3>{text(heading)}</h3>{_grid(locale, fields)}</div>"
        for heading, fields in _headed(locale))
    words = text(t(locale, "train.search"))
    return (f'<div class="f-card-head"><h2>{text(t(locale, "train.advanced_title"))}</h2></div>'
            f'<input type="search" id="train-search" class="f-search" autocomplete="off" '
            f'aria-label="{words}" placeholder="{words}">'
            f'<p class="f-quiet" id="train-no-field" hidden>{text(t(locale, "train.no_field"))}'
            f"</p>{sections}")


def _headed(locale: str) -> list[tuple[str, list[FieldInfo]]]:
    """Return (heading, fields); what belongs to the objective comes first."""
    found = groups()
    own = ("sft", "dpo", "orpo", "simpo", "cpo", "kto", "reward", "classification", "rollout",
           "grpo", "rloo", "teacher")
    order = [*(g for g in own if g in found), *(g for g in found if g not in own)]
    return [(t(locale, f"group.{group}") if has(f"group.{group}") else group, found[group])
            for group in order]


def _grid(locale: str, fields: Iterable[FieldInfo]) -> str:
    return f'<div class="f-grid12">{"".join(field(locale, info) for info in fields)}</div>'


def field(locale: str, info: FieldInfo) -> str:
    """Return one field: label, input with its default, description."""
    kind, body = _body(locale, info)
    width = _WIDTHS.get(info.path, 3 if info.basic else 4)
    group = kind in ("radio", "objective", "rewards")
    identity = element_id(info.path)
    tag, said = ("fieldset", f' aria-describedby="{identity}-help"') if group else ("div", "")
    extra = ""
    if info.path == "training.learning_rate":
        extra = (f'<button type="button" class="f-link" id="train-find-lr">'
                 f'{text(t(locale, "finder.button"))}</button>')
    help_words = text(field_help(locale, info))
    off = " data-off" if info.path in _off() else ""
    return (f'<{tag} class="f-w{width}" id="{identity}" data-path="{info.path}" '
            f'data-kind="{kind}"{said}{off}>{body}{extra}'
            f'<p class="f-help" id="{identity}-help">{help_words}</p></{tag}>')


@cache
def _off() -> frozenset[str]:
    """Return the fields that mean nothing beside the defaults: what the first paint leaves out."""
    return frozenset(hidden_fields(show_all({})))


def _body(locale: str, info: FieldInfo) -> tuple[str, str]:
    """Return (kind of widget, its label and input)."""
    title = text(field_title(locale, info))
    label = f'<label for="{_input_id(info)}">{title}</label>'
    if info.kind == "boolean":
        on = " checked" if info.default else ""
        return "tick", (f'<label class="f-tick"><input type="checkbox" {_names(info)}{on}>'
                        f"<span>{title}</span></label>")
    if info.path == "objective":
        return "objective", f"<legend>{title}</legend>{_objectives(locale, info)}"
    if info.kind == "choice":
        if len(info.choices) <= _RADIO_LIMIT and info.basic:
            return "radio", f"<legend>{title}</legend>{_radios(locale, info)}"
        return "select", f"{label}<select {_names(info)}>{_options(locale, info)}</select>"
    if info.path == REWARDS:
        return "rewards", f"<legend>{title}</legend>{_rewards(locale)}"
    if info.path in DATASETS:
        return "datasets", label + _chooser(locale, info, several=True)
    if info.path in _NAMED:
        return "name", label + _chooser(locale, info)
    value = text(show(info, info.default))
    empty = ' placeholder="—"' if info.optional or not value else ""
    if info.path in LINES:
        return "lines", f"{label}<textarea rows=2 {_names(info)}{empty}>{value}</textarea>"
    number = ' inputmode="decimal"' if info.kind in ("integer", "number") else ""
    return "text", (f'{label}<input type="text" {_names(info)}{number}{empty} '
                    f'value="{value}">')


def _input_id(info: FieldInfo) -> str:
    return element_id(info.path) + "-in"


def _names(info: FieldInfo) -> str:
    return (f'id="{_input_id(info)}" autocomplete="off" spellcheck="false" '
            f'aria-describedby="{element_id(info.path)}-help"')


def _radio(info: FieldInfo, value: str, label: str, about: str = "") -> str:
    on = " checked" if value == info.default else ""
    hint = f' title="{text(about)}" data-about="{text(about)}"' if about else ""
    return (f'<label class="f-pill"{hint}><input type="radio" name="{info.path}" '
            f'value="{text(value)}"{on}><span>{text(label)}</span></label>')


def _radios(locale: str, info: FieldInfo) -> str:
    pills = "".join(_radio(info, value, choice_label(locale, info.path, value))
                    for value in info.choices)
    return f'<div class="f-pills">{pills}</div>'


def _objectives(locale: str, info: FieldInfo) -> str:
    """Return the objectives by what they learn from; the chosen one is described below."""
    rows = ""
    for group, values in OBJECTIVE_GROUPS.items():
        pills = "".join(_radio(info, value, choice_label(locale, "objective", value),
                               t(locale, f"about.objective.{value}")) for value in values)
        rows += (f'<div class="f-kindrow"><span>{text(t(locale, f"objectives.{group}"))}</span>'
                 f'<div class="f-pills">{pills}</div></div>')
    return f'{rows}<p class="f-about" id="train-objective-about" aria-live="polite"></p>'


def _options(locale: str, info: FieldInfo) -> str:
    """Return the options of a long choice; tuners are grouped and described."""
    def option(value: str) -> str:
        key = f"about.{info.path}.{value}"
        label = choice_label(locale, info.path, value)
        words = f"{label} — {t(locale, key)}" if has(key) else label
        on = " selected" if value == info.default else ""
        return f'<option value="{text(value)}"{on}>{text(words)}</option>'

    if info.path != "tuner.type":
        return "".join(map(option, info.choices))
    parts = {"usual": [v for v in _TUNERS_USUAL if v in info.choices],
             "adapters": [v for v in info.choices
                          if v not in (*_TUNERS_USUAL, *_TUNERS_PROMPT)],
             "prompts": [v for v in _TUNERS_PROMPT if v in info.choices]}
    return "".join(f'<optgroup label="{text(t(locale, f"tuners.{key}"))}">'
                   f'{"".join(map(option, values))}</optgroup>' for key, values in parts.items())


def _chooser(locale: str, info: FieldInfo, *, several: bool = False) -> str:
    """Return a text field with a list of what is known; of several each is a chip."""
    identity = _input_id(info)
    chips = '<span class="f-chips"></span>' if several else ""
    value = "" if several else f' value="{text(show(info, info.default))}"'
    hint = f' placeholder="{text(t(locale, "chooser.add"))}"' if several else ""
    return (f'<div class="f-combo">{chips}<input type="text" role="combobox" '
            f'aria-expanded="false" aria-autocomplete="list" aria-controls="{identity}-list" '
            f"{_names(info)}{value}{hint}>"
            f'<ul class="f-list-of" id="{identity}-list" role="listbox" tabindex="-1" '
            f'aria-label="{text(field_title(locale, info))}" hidden></ul></div>')


def _rewards(locale: str) -> str:
    """Return the editor of rewards; form.js makes a row of each."""
    fields = RewardUse.model_fields
    kinds: dict[str, dict[str, Any]] = {}
    for name, needed in NEEDS.items():
        keys = [key for key in (*needed, *TAKES.get(name, ()), "weight")
                if key != "sha256" and key in fields]
        kinds[name] = {"label": t(locale, f"reward.{name}") if has(f"reward.{name}") else name,
                       "keys": keys, "needed": list(needed)}
    settings = {key: {"label": t(locale, f"reward.key.{key}") if has(f"reward.key.{key}")
                  else str(fields[key].title), "long": key in _LONG}
            for kind in kinds.values() for key in kind["keys"]}
    words = {key: t(locale, f"reward.words.{key}") for key in (
        "remove", "consent", "weight", "optional")}
    data = text(json.dumps({"kinds": kinds, "keys": settings, "words": words}, ensure_ascii=False))
    return (f'<div class="f-rewards" data-rewards="{data}"></div>'
            f'<button type="button" class="f-button f-small" id="train-reward-add">'
            f'{text(t(locale, "reward.add"))}</button>')


def presets_html(locale: str, listed: dict[str, list[tuple[str, str, str]]]) -> str:
    """Return the chooser of recipes: grouped, with what the chosen one is for below it.

    Args:
        locale: Language.
        listed: By heading the (name, label, description) of recipes.
    """
    body = f'<option value="" data-about="">{text(t(locale, "train.preset_none"))}</option>'
    for heading, recipes in listed.items():
        options = "".join(f'<option value="{text(name)}" data-about="{text(about)}">{text(label)}'
                          "</option>" for name, label, about in recipes)
        body += f'<optgroup label="{text(heading)}">{options}</optgroup>'
    return (f'<div id="train-preset"><label for="train-preset-in">'
            f'{text(t(locale, "train.preset"))}</label><select id="train-preset-in" '
            f'aria-describedby="train-preset-about">{body}</select>'
            f'<p class="f-help" id="train-preset-about"></p></div>')


def title(locale: str) -> str:
    """Return the head of the page with the switch between both views."""
    def button(view: str) -> str:
        return (f'<button type="button" id="train-{view}" data-view="{view}" '
                f'aria-pressed="{str(view == "basic").lower()}">'
                f'{text(t(locale, f"train.{view}"))}</button>')

    return (f'<div class="f-title"><div><h1>{text(t(locale, "page.train"))}</h1>'
            f'<p>{text(t(locale, "train.lead"))}</p></div><div class="f-views" role="group" '
            f'aria-label="{text(t(locale, "train.view"))}">{button("basic")}{button("advanced")}'
            f"</div></div>")


def chip_words(locale: str) -> str:
    """Return the words that the script needs, as a hidden element."""
    words = {key: t(locale, f"chooser.{key}") for key in (
        "remove", "weight", "fits", "others")}
    words["weight_help"] = t(locale, "train.weights_help")
    return (f'<div id="train-words" hidden data-words="'
            f'{text(json.dumps(words, ensure_ascii=False))}"></div>')



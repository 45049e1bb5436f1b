"""The Train page's side panel as HTML; pure functions of a dry run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from app.board import icons
from app.board.forms import element_id, hidden_fields, owner_of
from app.board.i18n import field_title, has, problem_text, reason_text, t
from app.board.pages._parts import card, pairs, text
from app.board.pages._run_html import choices as choices_html
from app.board.wording import count, size
from trainer.contract.config import RunConfig, all_fields
from trainer.contract.problems import Problem

_COLOURS = ("--f-s1", "--f-s2", "--f-s3", "--f-s4", "--f-s5", "--f-s6")
_TIGHT = 0.9


def fit(locale: str, estimate: Any, wrong: bool) -> str:
    """Return whether the run will fit, its parts as a bar and as a table with reasons."""
    title = t(locale, "fit.title")
    if estimate is None:
        words = t(locale, "fit.unknown" if wrong else "fit.none")
        return card(title, f'<p class="f-quiet">{text(words)}</p>')
    share = estimate.total_bytes / max(1, estimate.available_bytes)
    kind = "no" if share > 1 else "tight" if share > _TIGHT else "yes"
    big = (f'<div class="f-big f-fit-{kind}">{size(estimate.total_bytes)} '
           f'<small>{text(t(locale, "fit.of", available=size(estimate.available_bytes)))}</small>'
           f'</div><p class="f-fit-words f-fit-{kind}">{text(t(locale, f"fit.{kind}"))}</p>')
    return card(title, big + _parts(locale, estimate) + _numbers(locale, estimate))


def _parts(locale: str, estimate: Any) -> str:
    whole = max(estimate.total_bytes, estimate.available_bytes, 1)
    parts = [part for part in estimate.parts if part.bytes > 0]
    keyed = [(part, _COLOURS[i % len(_COLOURS)]) for i, part in enumerate(parts)]
    stack = "".join(f'<i style="width:{max(0.6, 100 * part.bytes / whole):.2f}%;'
                    f'background:var({colour})"></i>' for part, colour in keyed)
    rows = "".join(
        f'<tr><th scope="row"><i class="f-key f-square" style="background:var({colour})"></i>'
        f"{text(_part_name(locale, part))}"
        f"<span>{text(reason_text(locale, part.reason))}</span></th>"
        f"<td>{size(part.bytes)}</td></tr>" for part, colour in keyed)
    return (f'<div class="f-stack" aria-hidden="true">{stack}</div>'
            f'<table class="f-pairs f-parts"><tbody>{rows}</tbody></table>')


def _part_name(locale: str, part: Any) -> str:
    key = f"part.{part.key}"
    return t(locale, key) if locale != "en" and has(key) else str(part.label)


def _numbers(locale: str, estimate: Any) -> str:
    rows = []
    if estimate.steps:
        rows.append((t(locale, "fit.steps"), count(estimate.steps)))
    if estimate.checkpoint_bytes:
        rows.append((t(locale, "fit.disk"), size(estimate.checkpoint_bytes)))
    if estimate.trainable_parameters:
        rows.append((t(locale, "fit.trainable"), count(estimate.trainable_parameters)))
    return f'<div class="f-more">{pairs(rows)}</div>' if rows else ""


def problems(locale: str, found: Sequence[Problem], raws: Mapping[str, Any],
             consents: Mapping[str, str] | None = None) -> str:
    """Return every problem at once, and for the script what belongs next to which field.

    Args:
        locale: Language.
        found: What is wrong.
        raws: What stands in the form.
        consents: Fingerprints of files of code that a person may let run.
    """
    beside: dict[str, list[str]] = {}
    items = ""
    for problem in found:
        path = owner_of(problem.field)
        message, advice = problem_text(locale, problem)
        if path:
            beside.setdefault(element_id(path), []).append(f"{message} {advice}".strip())
        items += _problem(locale, path, message, advice)
    state = {"problems": beside, "consents": dict(consents or {}),
             "hidden": [element_id(path) for path in hidden_fields(raws)]}
    data = text(json.dumps(state, ensure_ascii=False))
    return f'<div id="train-state" data-state="{data}">{verdict(locale, len(found), items)}</div>'


def _problem(locale: str, path: str, message: str, advice: str) -> str:
    if path:
        title = field_title(locale, all_fields()[path])
        link = (f'<a href="#{element_id(path)}" data-field="{element_id(path)}">'
                f"{text(title)}</a>")
    else:
        link = f'<b>{text(t(locale, "before.whole"))}</b>'
    return f"<li>{link}<p>{text(message)} {text(advice)}</p></li>"


def verdict(locale: str, number: int, items: str) -> str:
    """Return the card that says whether a run may start; ``items`` are the problems as HTML."""
    if not number:
        return (f'<section class="f-card f-ready" role="status">{icons.CHECK}<div>'
                f'<h2>{text(t(locale, "before.ready"))}</h2>'
                f'<p>{text(t(locale, "before.ready_lead"))}</p></div></section>')
    words = t(locale, "before.one") if number == 1 else t(locale, "before.many", n=number)
    return (f'<section class="f-card f-unready" role="alert"><div class="f-card-head">'
            f'<h2>{icons.WARN}{text(t(locale, "before.title"))}</h2><span class="f-chip f-failed">'
            f"{text(words)}</span></div><ul>{items}</ul></section>")


def choices(locale: str, made: Sequence[Any]) -> str:
    """Return what would be chosen automatically."""
    return choices_html(locale, made)


def short_yaml(config: RunConfig) -> str:
    """Return the config as people would write it: what matters most, and what is not default."""
    values = config.model_dump(mode="json", exclude_defaults=True)
    lead: dict[str, Any] = {"name": config.name, "objective": config.objective,
                            "model": {"name_or_path": config.model.name_or_path},
                            "data": {"train": [
                                use if isinstance(use, str) else use.model_dump(
                                    mode="json", exclude_none=True)
                                for use in config.data.train]}}
    for key, value in values.items():
        lead[key] = {**lead.get(key, {}), **value} if isinstance(value, dict) else value
    return yaml.safe_dump(lead, sort_keys=False, allow_unicode=True, width=100)


def same_run(locale: str, yaml_text: str) -> str:
    """Return the run as YAML and as a command, ready to copy."""
    if not yaml_text:
        return ""
    command = "finestra train run.yaml"

    def block(key: str, identity: str, body: str, lead: str = "") -> str:
        copy = (f'<button type="button" class="f-button f-small" data-copy="{identity}" '
                f'data-done="{text(t(locale, "copied"))}">{text(t(locale, "copy"))}</button>')
        return (f'<div class="f-copy"><h3>{text(t(locale, key))}</h3>{copy}</div>{lead}'
                f'<pre class="f-code" tabindex="0" id="{identity}">{text(body)}</pre>')

    lead = f'<p class="f-quiet">{text(t(locale, "as.command_help"))}</p>'
    script = (f'<button type="button" class="f-button f-small" id="train-script">'
              f'{icons.DOWNLOAD}{text(t(locale, "as.script"))}</button>')
    return card(t(locale, "as.title"), block("as.yaml", "train-yaml", yaml_text)
                + block("as.command", "train-command", command, lead) + script, kind="f-same")


def script(name: str, words: str) -> str:
    """Return a script that the page's own script hands to the person as a file."""
    told = text(json.dumps({"name": f"{name}.py", "text": words}, ensure_ascii=False))
    return f'<div id="train-script-made" hidden data-script="{told}"></div>'

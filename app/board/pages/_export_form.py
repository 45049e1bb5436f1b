"""Forms of runs that do not train, as native HTML; ``static/export.js`` fills and reads them.

Each field is ``#field-<path>`` with the kind of its widget in ``data-kind``; what stands in them
travels as one JSON text, as on the Train page. Titles and descriptions come from the contract in
English and from ``i18n.methods.exporting`` in Chinese.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel

from app.board.forms import element_id
from app.board.i18n import has, problem_text, t
from app.board.i18n.methods import evaluating, exporting
from app.board.pages._parts import card, text
from app.board.pages._train_html import verdict
from trainer.contract.problems import Problem

Option = tuple[str, str]
_IN_CHINESE = exporting.KIND_FIELDS | evaluating.KIND_FIELDS


@dataclass(frozen=True)
class Form:
    """Draws the fields of one config.

    Attributes:
        locale: Language.
        config: The config's model.
        kind: What the config calls itself: 'export' or 'merge'.
    """

    locale: str
    config: type[BaseModel]
    kind: str

    def words(self, path: str) -> tuple[str, str]:
        """Return a field's title, its unit behind it, and its description."""
        node: Any = self.config
        *sections, name = path.split(".")
        for section in sections:
            node = node.model_fields[section].annotation
        info = node.model_fields[name]
        extra = info.json_schema_extra
        unit = str(extra.get("unit") or "") if isinstance(extra, dict) else ""
        title, about = str(info.title), str(info.description)
        if self.locale == "zh":
            title, about = _IN_CHINESE.get(f"{self.kind}.{path}", (title, about))
        shown = t(self.locale, f"unit.{unit}") if unit and has(f"unit.{unit}") else unit
        return f"{title} ({shown})" if shown else title, about

    def owner(self, path: str) -> tuple[str, str]:
        """Return (path, title) of the field that a problem's path is about; '' for the whole."""
        head, _, rest = path.partition(".")
        if head not in self.config.model_fields:
            return "", ""
        owner = path if head in ("parity", "push") else head
        number = rest.partition(".")[0]
        ordinal = f" {int(number) + 1}" if head == "sources" and number.isdigit() else ""
        return owner, self.words(owner)[0] + ordinal

    def field(self, path: str, kind: str, body: str, *, width: int = 6, group: bool = False,
              label: bool = True) -> str:
        """Return a field around its input: label above, description below."""
        title, about = self.words(path)
        identity = element_id(path)
        tag = "fieldset" if group else "div"
        head = (f"<legend>{text(title)}</legend>" if group else
                f'<label for="{identity}-in">{text(title)}</label>') if label else ""
        said = f' aria-describedby="{identity}-help"' if group else ""
        return (f'<{tag} class="f-w{width}" id="{identity}" data-path="{path}" '
                f'data-kind="{kind}"{said}>{head}{body}'
                f'<p class="f-help" id="{identity}-help">{text(about)}</p></{tag}>')

    def _names(self, path: str) -> str:
        identity = element_id(path)
        return (f'id="{identity}-in" autocomplete="off" spellcheck="false" '
                f'aria-describedby="{identity}-help"')

    def text(self, path: str, *, width: int = 3, number: bool = False, hint: str = "") -> str:
        """Return a field to type into."""
        mode = ' inputmode="decimal"' if number else ""
        return self.field(path, "text", f'<input type="text" {self._names(path)}{mode} '
                          f'placeholder="{text(hint)}">', width=width)

    def long(self, path: str, *, width: int = 12, hint: str = "", lines: int = 2) -> str:
        """Return a field for text of several lines."""
        return self.field(path, "text", f'<textarea rows="{lines}" {self._names(path)} '
                          f'placeholder="{text(hint)}"></textarea>', width=width)

    def tick(self, path: str, *, width: int = 6) -> str:
        """Return a field to tick."""
        title = text(self.words(path)[0])
        return self.field(path, "tick", f'<label class="f-tick"><input type="checkbox" '
                          f"{self._names(path)}><span>{title}</span></label>", width=width,
                          label=False)

    def select(self, path: str, options: Iterable[Option], *, width: int = 3) -> str:
        """Return a field to choose one of a few in; options are (value, label)."""
        body = "".join(f'<option value="{text(value)}">{text(label)}</option>'
                       for value, label in options)
        return self.field(path, "select", f"<select {self._names(path)}>{body}</select>",
                          width=width)

    def pills(self, path: str, options: Iterable[Option], *, width: int = 6) -> str:
        """Return a field to choose one of two or three in."""
        body = "".join(f'<label class="f-pill"><input type="radio" name="{path}" '
                       f'value="{text(value)}"><span>{text(label)}</span></label>'
                       for value, label in options)
        return self.field(path, "radio", f'<div class="f-pills">{body}</div>', width=width,
                          group=True)

    def names(self, path: str, *, width: int = 6, hint: str = "") -> str:
        """Return a field for a name, with a list of what is known."""
        return self.field(path, "name", self.combo(element_id(path), path, hint), width=width)

    def several(self, path: str, *, width: int = 12, hint: str = "", first: str = "") -> str:
        """Return a field for several names, a chip each; ``first`` is said of the first one."""
        body = self.combo(element_id(path), path, hint).replace(
            '<div class="f-combo">', '<div class="f-combo"><span class="f-chips"></span>', 1)
        drawn = self.field(path, "datasets", body, width=width)
        return drawn.replace(" data-path=", f' data-plain data-first="{text(first)}" data-path=', 1)

    def combo(self, identity: str, path: str, hint: str = "") -> str:
        """Return an input with a list below it, for ``fields.js``."""
        return (f'<div class="f-combo"><input type="text" role="combobox" aria-expanded="false" '
                f'aria-autocomplete="list" aria-controls="{identity}-list" {self._names(path)} '
                f'placeholder="{text(hint)}"><ul class="f-list-of" id="{identity}-list" '
                f'role="listbox" tabindex="-1" aria-label="{text(self.words(path)[0])}" hidden>'
                "</ul></div>")


def grid(*fields: str) -> str:
    """Return fields side by side, twelve columns a line."""
    return f'<div class="f-grid12">{"".join(fields)}</div>'


def rows(kind: str, name: str, options: Iterable[tuple[str, str, str]]) -> str:
    """Return choices as rows of (value, label, what it is for).

    Args:
        kind: 'checkbox' or 'radio'.
        name: The field's path.
        options: The choices.
    """
    return "".join(
        f'<label class="f-option" data-option="{text(value)}"><input type="{kind}" '
        f'name="{text(name)}" value="{text(value)}"><span class="f-option-words">'
        f"<b>{text(label)}</b><span>{text(about)}</span>"
        '<span class="f-option-said" hidden></span></span>'
        '<span class="f-option-size"></span></label>' for value, label, about in options)


def title(locale: str, kind: str) -> str:
    """Return the head of the page, and the word on what an earlier visit left in the form."""
    return (f'<div class="f-title"><div><h1>{text(t(locale, f"{kind}.title"))}</h1>'
            f'<p>{text(t(locale, f"{kind}.lead"))}</p></div></div>{draft(locale)}')


def draft(locale: str) -> str:
    """Return the word on what an earlier visit left in the form, not shown yet."""
    return (f'<div id="kind-draft" class="f-note f-info" role="status" hidden><div>'
            f'<b>{text(t(locale, "train.draft"))}</b> <button type="button" class="f-link" '
            f'id="kind-reset">{text(t(locale, "train.reset"))}</button></div></div>')


def filling(raws: Mapping[str, Any], known: Mapping[str, Sequence[Option]], serial: str,
            words: Mapping[str, str]) -> str:
    """Return the element from which the script fills the form; ``known`` is (label, value)."""
    told = {"serial": serial, "values": dict(raws), "known": {k: list(v) for k, v in known.items()},
            "words": dict(words)}
    return (f'<div id="kind-filled" hidden data-filled="'
            f'{text(json.dumps(told, ensure_ascii=False))}"></div>')


def problems(form: Form, found: Sequence[Problem], owners: Mapping[str, str],
             state: Mapping[str, Any]) -> str:
    """Return every problem at once, and for the script what belongs beside which field.

    Args:
        form: The form.
        found: What is wrong.
        owners: The field that a problem of the whole config is about, by its code.
        state: What else the script is told.
    """
    beside: dict[str, list[str]] = {}
    items = ""
    for problem in found:
        path = problem.field or owners.get(problem.code, "")
        message, advice = problem_text(form.locale, problem)
        if path:
            beside.setdefault(path, []).append(f"{message} {advice}".strip())
        items += _item(form, path, message, advice)
    told = text(json.dumps({"problems": beside, **state}, ensure_ascii=False))
    return (f'<div id="kind-state" data-state="{told}">'
            f"{verdict(form.locale, len(found), items)}</div>")


def _item(form: Form, path: str, message: str, advice: str) -> str:
    owner, words = form.owner(path)
    identity = element_id(owner)
    name = f'<a href="#{identity}" data-field="{identity}">{text(words)}</a>' if owner else (
        f'<b>{text(t(form.locale, "before.whole"))}</b>')
    return f"<li>{name}<p>{text(message)} {text(advice)}</p></li>"


def waiting(locale: str, words: str, state: Mapping[str, Any]) -> str:
    """Return what stands in place of problems while nothing is chosen yet."""
    told = text(json.dumps({"problems": {}, **state}, ensure_ascii=False))
    return (f'<div id="kind-state" data-state="{told}"><section class="f-card" role="status">'
            f'<p class="f-quiet">{text(words)}</p></section></div>')


def brief(values: Mapping[str, Any], shortened: Mapping[str, Any]) -> str:
    """Return a config as people would write it: kind, name, what it is of, what is not default."""
    return yaml.safe_dump({**values, **shortened}, sort_keys=False, allow_unicode=True, width=100)


def same(locale: str, kind: str, command: str, yaml_text: str) -> str:
    """Return the run as a command and as YAML, ready to copy."""
    def block(key: str, identity: str, body: str) -> str:
        copy = (f'<button type="button" class="f-button f-small" data-copy="{identity}" '
                f'data-done="{text(t(locale, "copied"))}">{text(t(locale, "copy"))}</button>')
        return (f'<div class="f-copy"><h3>{text(t(locale, key))}</h3>{copy}</div>'
                f'<pre class="f-code f-wrapped" tabindex="0" id="{identity}">{text(body)}</pre>')

    return card(t(locale, "as.title"), block("as.command", f"{kind}-command", command)
                + block("as.yaml", f"{kind}-yaml", yaml_text), kind="f-same")

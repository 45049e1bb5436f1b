"""The Data page's tools: what the columns mean, fixes, a split, versions, deleting."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from app.board.doors import QUIET, door, error_note, toast
from app.board.i18n import row_text, t
from app.board.pages import _data_html
from app.board.pages._parts import html, note, paragraph, text
from app.datachanges import Fixes
from trainer.data import DatasetError
from trainer.data.reading.entry import Tags
from trainer.data.reading.rows import RowProblem
from trainer.data.shapes.messages import Example, Message

ROLES = ("prompt", "query", "response", "history", "system", "messages", "tools", "chosen",
         "rejected", "kto_tag", "reference", "label")
TAGS = tuple(Tags.model_fields)
_GO = "(name) => { if (name) location.assign('./data?name=' + encodeURIComponent(name)); }"


class MappingEditor:
    """Which column plays which role; shows the first rows as they would become."""

    def __init__(self, studio: Any, locale: str, name: gr.Textbox) -> None:
        self.studio, self.locale, self.name = studio, locale, name

    def build(self) -> None:
        """Lay the editor out."""
        word = self._word
        with gr.Column(elem_classes="f-card f-mapfields", elem_id="data-mapping"):
            html(f"<h2>{word('map.title')}</h2><p class=\"f-quiet\">{word('map.lead')}</p>")
            self.columns = [self._column(role) for role in ROLES]
            with gr.Accordion(t(self.locale, "map.tags"), open=False, elem_classes="f-tagfields"):
                self.tags = [self._tag(tag) for tag in TAGS]
            self.effect = html("", "data-effect")
            with gr.Row(elem_classes="f-actions"):
                self.save = gr.Button(t(self.locale, "map.save"), variant="primary", scale=0,
                                      elem_id="data-mapping-save", min_width=90)
                self.reset = gr.Button(t(self.locale, "map.reset"), scale=0, min_width=90,
                                       elem_id="data-mapping-reset")

    def _word(self, key: str) -> str:
        return text(t(self.locale, key))

    def _column(self, role: str) -> gr.Dropdown:
        return gr.Dropdown([("—", "")], value="", label=t(self.locale, f"role.{role}"),
                           allow_custom_value=True, interactive=True, min_width=40,
                           elem_id=f"data-map-{role}", elem_classes=["f-field", "f-w4"])

    def _tag(self, tag: str) -> gr.Textbox:
        return gr.Textbox("", label=t(self.locale, f"tag.{tag}"), max_lines=1, min_width=40,
                          elem_id=f"data-map-{tag}", elem_classes=["f-field", "f-w4"])

    @property
    def inputs(self) -> list[Any]:
        """The components that hold the mapping."""
        return [*self.columns, *self.tags]

    def values(self, mapping: Mapping[str, str], columns: Sequence[str]) -> list[Any]:
        """Return updates that show a mapping, with the columns to choose from."""
        options = [("—", ""), *((name, name) for name in columns)]
        return [*(gr.update(choices=options, value=mapping.get(role, "")) for role in ROLES),
                *(mapping.get(tag, "") for tag in TAGS)]

    def wire(self, gone: gr.Textbox) -> None:
        """Connect the events; ``gone`` takes the name of the dataset to go to."""
        show = door(self.locale, lambda banner: banner)(self._show)
        gr.on([one.change for one in self.inputs], show, [self.name, *self.inputs], self.effect,
              trigger_mode="always_last", **QUIET)
        self.save.click(self._save, [self.name, *self.inputs], [gone, self.effect], **QUIET).then(
            None, gone, None, js=_GO, **QUIET)
        self.reset.click(self._recognise, self.name, [gone, self.effect], **QUIET).then(
            None, gone, None, js=_GO, **QUIET)

    def _show(self, name: str, *values: str) -> Any:
        mapping = _mapping(values)
        if not name or not mapping:
            return ""
        try:
            found = self.studio.changes.effect(name, mapping)
        except DatasetError as error:
            return error_note(self.locale, error)
        return effect(self.locale, found)

    def _save(self, name: str, *values: str) -> Any:
        try:
            return self.studio.changes.map(name, _mapping(values)), gr.skip()
        except Exception as error:
            return "", error_note(self.locale, error)

    def _recognise(self, name: str) -> Any:
        try:
            return self.studio.changes.map(name, None), gr.skip()
        except Exception as error:
            return "", error_note(self.locale, error)


def _mapping(values: Sequence[str]) -> dict[str, str]:
    return {key: str(value).strip() for key, value in zip((*ROLES, *TAGS), values, strict=True)
            if value and str(value).strip()}


def effect(locale: str, found: Sequence[Example | RowProblem]) -> str:
    """Return the first rows as a mapping makes them (rule R13)."""
    items = "".join(_effect(locale, item) for item in found)
    return (f'<h3>{text(t(locale, "map.effect"))}</h3><div class="f-effect">{items}</div>'
            if items else "")


def _effect(locale: str, item: Example | RowProblem) -> str:
    title = f'<h4>{text(t(locale, "ds.row_n", n=item.row))}</h4>'
    if isinstance(item, RowProblem):
        words = note("bad", row_text(locale, item.message))
        return f'<article data-bad="true">{title}{words}</article>'
    lines = [*_turns(locale, item.messages), *_turns(locale, item.chosen, "row.chosen"),
             *_turns(locale, item.rejected, "row.rejected")]
    if item.text:
        lines.append(("", item.text))
    if item.label is not None:
        lines.append((t(locale, "role.kto_tag"), str(item.label)))
    if item.reference:
        lines.append((t(locale, "role.reference"), item.reference))
    body = "".join(f"<p>{f'<b>{text(who)}</b>' if who else ''}{text(words[:600])}</p>"
                   for who, words in lines)
    return f'<article tabindex="0">{title}{body}</article>'


def _turns(locale: str, messages: Sequence[Message], key: str = "") -> list[tuple[str, str]]:
    found = []
    for message in messages:
        words = message.content or json.dumps(message.tool_calls, ensure_ascii=False, default=str)
        found.append((t(locale, key) if key else t(locale, f"turn.{message.role}"), words))
    return found


class FixTools:
    """Fixes and a split, each of which writes a new version; the versions; deleting."""

    def __init__(self, studio: Any, locale: str, name: gr.Textbox) -> None:
        self.studio, self.locale, self.name = studio, locale, name

    def _button(self, key: str, identity: str, **settings: Any) -> gr.Button:
        return gr.Button(t(self.locale, key), elem_id=identity, scale=0, min_width=90, **settings)

    def _text(self, key: str, identity: str, width: int, value: str = "") -> gr.Textbox:
        return gr.Textbox(value, label=t(self.locale, key), elem_id=identity, max_lines=1,
                          min_width=40, interactive=True, elem_classes=["f-field", f"f-w{width}"])

    def build(self) -> None:
        """Lay the tools out."""
        self._fixes()
        with gr.Column(elem_classes="f-card f-fixfields", elem_id="data-split"):
            html(f'<h2>{text(t(self.locale, "split.title"))}</h2>'
                 f'<p class="f-quiet">{text(t(self.locale, "split.lead"))}</p>')
            self.size = self._text("split.size", "data-split-size", 6, "0.1")
            self.seed = self._text("split.seed", "data-split-seed", 6, "42")
            self.split_said = html("", "data-split-said")
            with gr.Row(elem_classes="f-actions"):
                self.split = self._button("split.go", "data-split-go")
        with gr.Column(elem_classes="f-card", elem_id="data-versions-card"):
            html(f'<h2>{text(t(self.locale, "ds.versions"))}</h2>')
            self.versions = html("", "data-versions")

    def _fixes(self) -> None:
        with gr.Column(elem_classes="f-card f-fixfields", elem_id="data-fix"):
            html(f'<h2>{text(t(self.locale, "fix.title"))}</h2>'
                 f'<p class="f-quiet">{text(t(self.locale, "fix.lead"))}</p>')
            self.drop = gr.Checkbox(True, label=t(self.locale, "fix.drop_bad"), min_width=40,
                                    elem_id="data-fix-bad", elem_classes=["f-field", "f-w12"])
            self.alike = gr.Radio(
                [(t(self.locale, f"fix.{kind}"), kind) for kind in ("none", "exact", "near")],
                value="none", label=t(self.locale, "fix.duplicates"), min_width=40,
                elem_id="data-fix-duplicates", elem_classes=["f-field", "f-w12"])
            self.filters = [self._text(f"fix.{key}", f"data-fix-{key}", 6) for key in (
                "min_characters", "max_characters", "languages", "include", "exclude")]
            self.fix_said = html("", "data-fix-said")
            with gr.Row(elem_classes="f-actions"):
                self.fix = self._button("fix.go", "data-fix-go", variant="primary")

    def wire(self, after: Callable[[Any], Any]) -> None:
        """Connect the events; ``after`` adds what redraws the page."""
        after(self.fix.click(self._fix, [self.name, self.drop, self.alike, *self.filters],
                             self.fix_said, **QUIET))
        after(self.split.click(self._split, [self.name, self.size, self.seed],
                               self.split_said, **QUIET))

    def _fix(self, name: str, drop: bool, alike: str, *filters: str) -> str:
        try:
            self.studio.changes.fix(name, Fixes(drop, alike, filters=read_filters(filters)))
        except Exception as error:
            return error_note(self.locale, error)
        return ""

    def _split(self, name: str, size: str, seed: str) -> str:
        try:
            self.studio.changes.split(name, _number(size), int(_number(seed)))
        except Exception as error:
            return error_note(self.locale, error)
        return ""

    def restore(self, name: str, number: int) -> None:
        """Bring a version back; what goes wrong is shown in the corner."""
        try:
            self.studio.changes.restore(name, number)
        except Exception as error:
            toast(self.locale, error)

    def versions_html(self, name: str) -> str:
        """Return the older versions of a dataset."""
        older = [v for v in self.studio.changes.versions(name) if not v.current]
        return _data_html.versions(self.locale, [
            {"number": v.number, "note": v.note, "when": v.made_at.replace("T", " ")[:16]}
            for v in reversed(older)])


def _number(words: str) -> float:
    try:
        return float(str(words).strip())
    except ValueError:
        raise DatasetError("not_a_number", f"'{str(words)[:40]}' is not a number.",
                           "Write a number such as 0.1 or 200.") from None


def read_filters(values: Sequence[str]) -> dict[str, Any]:
    """Return what the fields of the filters hold, as the run config has it."""
    shortest, longest, languages, include, exclude = (str(v or "").strip() for v in values)
    found: dict[str, Any] = {"min_characters": int(_number(shortest)) if shortest else None,
                             "max_characters": int(_number(longest)) if longest else None,
                             "languages": [w.strip() for w in languages.split(",") if w.strip()],
                             "include": include or None, "exclude": exclude or None}
    return {key: value for key, value in found.items() if value}


def lost_words(locale: str, studio: Any, name: str) -> str:
    """Say what deleting a dataset takes away."""
    return _data_html.losing(locale, studio.data.choice(name)) + paragraph("")

"""The Train page: the form, and beside it what it means before Start is pressed."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr

from app.board import presets
from app.board.doors import door, error_note, toast
from app.board.forms import (
    DATASETS,
    component,
    fields_of,
    known_choices,
    name_of,
    read_all,
    show_all,
    unknown_weights,
    weights_text,
    with_weights,
)
from app.board.i18n import problem_text, t
from app.board.pages import _train_html
from app.board.pages._parts import html, note, paragraph, text
from app.runs import RunError
from trainer.contract.config import all_fields, load_yaml, parse
from trainer.contract.problems import ConfigError
from trainer.data.reading.sources import ENDINGS

QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "concurrency_limit": None,
                         "api_visibility": "private"}
_DRAFT = "() => { try { return [sessionStorage.getItem('finestra_draft') || '']; } " \
         "catch { return ['']; } }"
_GO = "(id) => { if (id) { try { sessionStorage.removeItem('finestra_draft'); } catch {} " \
      "location.assign('./run?id=' + encodeURIComponent(id)); } }"


class TrainPage:
    """The page's components and handlers for one language."""

    def __init__(self, studio: Any, locale: str) -> None:
        self.studio, self.locale = studio, locale
        self.fields: dict[str, Any] = {}

    def build(self, blocks: gr.Blocks) -> None:
        """Lay out the page and wire its events."""
        self.draft = gr.Textbox("", visible=False)
        self.key = gr.Textbox("", visible=False)
        self.going = gr.Textbox("", visible=False)
        # While a file is being read for the first time, the form is looked at again by itself.
        self.again = gr.Timer(2.0, active=False)
        html(self._title())
        self.said = html("", "train-said")
        with gr.Row(elem_classes="f-split", equal_height=False):
            with gr.Column(scale=8, min_width=320, elem_id="train-form"):
                self._begin()
                choices = known_choices(self.studio, self.locale)
                for name in ("what", "how", "while"):
                    self._card(name, choices)
                self._advanced(choices)
            with gr.Column(scale=4, min_width=300, elem_classes="f-side"):
                self._side()
        self.all = [self.fields[path] for path in all_fields()]
        self._wire(blocks)

    def _word(self, key: str) -> str:
        return text(t(self.locale, key))

    def _title(self) -> str:
        return (f'<div class="f-title"><div><h1>{self._word("page.train")}</h1>'
                f'<p>{self._word("train.lead")}</p></div>'
                f'<div class="f-views" role="group" aria-label="{self._word("train.view")}">'
                f'<button type="button" id="train-basic" data-view="basic" aria-pressed="true">'
                f'{self._word("train.basic")}</button>'
                f'<button type="button" id="train-advanced" data-view="advanced" '
                f'aria-pressed="false">{self._word("train.advanced")}</button></div></div>')

    def _begin(self) -> None:
        with gr.Column(elem_classes="f-card f-begin"):
            with gr.Row(elem_classes="f-actions"):
                self.preset = gr.Dropdown(
                    presets.choices(self.locale), value="", label=t(self.locale, "train.preset"),
                    elem_id="train-preset", filterable=False, interactive=True, min_width=220)
                self.paste = gr.Button(t(self.locale, "train.import"), elem_id="train-import",
                                       scale=0, min_width=90)
                self.reset = gr.Button(t(self.locale, "train.reset"), elem_id="train-reset",
                                       scale=0, min_width=80)
            with gr.Column(visible=False, elem_id="train-yaml-panel") as self.pasting:
                self.yaml_in = gr.Textbox(
                    label=t(self.locale, "train.yaml_label"), lines=6, max_lines=18,
                    placeholder=t(self.locale, "train.yaml_placeholder"),
                    elem_id="train-yaml-in", elem_classes="f-mono")
                with gr.Row(elem_classes="f-actions"):
                    self.fill = gr.Button(t(self.locale, "train.yaml_fill"), variant="primary",
                                          elem_id="train-yaml-fill", scale=0, min_width=110)
                    self.cancel = gr.Button(t(self.locale, "train.yaml_cancel"), scale=0,
                                            min_width=90)

    def _card(self, name: str, choices: Mapping[str, Any]) -> None:
        with gr.Column(elem_classes="f-card f-fields"):
            html(f"<h2>{self._word(f'train.{name}')}</h2>")
            for info in fields_of(name):
                self.fields[info.path] = component(info, self.locale, choices.get(info.path, ()))
            if name == "what":
                self.weights = gr.Textbox(
                    "", visible=False, label=t(self.locale, "train.weights"), max_lines=1,
                    info=t(self.locale, "train.weights_help"), elem_id="train-weights",
                    elem_classes=["f-field", "f-w12"], interactive=True)
                self.look = html("", "train-look")
                with gr.Row(elem_classes="f-upload"):
                    self.upload = gr.UploadButton(
                        t(self.locale, "train.upload"), file_types=list(ENDINGS),
                        elem_id="train-upload", size="sm", scale=0, min_width=130)
                    html(f'<p class="f-quiet">{self._word("train.upload_help")}</p>')
                self.uploaded = html("", "train-uploaded")

    def _advanced(self, choices: Mapping[str, Any]) -> None:
        with gr.Column(elem_classes="f-card f-fields f-advanced", elem_id="train-advanced-card"):
            html(self._search())
            rest = fields_of("advanced")
            for section in dict.fromkeys(info.section for info in rest):
                with gr.Column(elem_classes="f-section"):
                    html(f"<h3>{self._word(f'section.{section}')}</h3>")
                    for info in rest:
                        if info.section == section:
                            self.fields[info.path] = component(info, self.locale,
                                                               choices.get(info.path, ()))

    def _search(self) -> str:
        return (f'<div class="f-card-head"><h2>{self._word("train.advanced_title")}</h2></div>'
                f'<input type="search" id="train-search" class="f-search" autocomplete="off" '
                f'aria-label="{self._word("train.search")}" '
                f'placeholder="{self._word("train.search")}">'
                f'<p class="f-quiet" id="train-no-field" hidden>{self._word("train.no_field")}</p>')

    def _side(self) -> None:
        self.problems = html("", "train-problems")
        self.start = gr.Button(t(self.locale, "train.start"), variant="primary",
                               elem_id="train-start", interactive=False)
        self.fit = html("", "train-fit")
        self.chosen = html("", "train-choices")
        self.same = html("", "train-same")

    def _wire(self, blocks: gr.Blocks) -> None:
        sides = [self.problems, self.start, self.fit, self.chosen, self.same, self.look,
                 self.again]
        check = door(self.locale, lambda banner: (banner, *[gr.skip()] * 6))(self._check)
        load = door(self.locale, lambda banner: (
            banner, gr.skip(), "", *[gr.skip()] * len(self.all)))(self._load)
        blocks.load(load, [self.draft], [self.said, self.preset, self.key, *self.all],
                    js=_DRAFT, **QUIET).then(check, self.all, sides, **QUIET)
        gr.on([field.change for field in self.all], check, self.all, sides,
              trigger_mode="always_last", **QUIET)
        self.again.tick(check, self.all, sides, **QUIET)
        train = self.fields["data.train"]
        train.change(self._weigh, [train, self.weights], self.weights, **QUIET)
        gr.on([self.weights.blur, self.weights.submit], self._weighed, [train, self.weights],
              [train, self.weights], **QUIET)
        self.preset.input(self._choose, self.preset, [self.said, *self.all], **QUIET)
        self.paste.click(lambda: gr.update(visible=True), None, self.pasting, **QUIET)
        self.cancel.click(lambda: gr.update(visible=False), None, self.pasting, **QUIET)
        self.fill.click(self._fill, self.yaml_in, [self.said, self.pasting, *self.all], **QUIET)
        self.reset.click(None, None, None, js="() => { sessionStorage.removeItem("
                         "'finestra_draft'); location.reload(); }", **QUIET)
        self.upload.upload(self._add, [self.upload, self.fields["data.train"]],
                           [self.uploaded, *(self.fields[path] for path in DATASETS)],
                           show_progress="minimal", queue=False, api_visibility="private")
        self.start.click(self._start, [self.key, *self.all], [self.going, self.problems],
                         **QUIET).then(None, self.going, None, js=_GO, **QUIET)

    def _load(self, draft: str, request: gr.Request) -> Any:
        query = request.query_params
        address = {key: query.get(key, "") for key in ("clone", "preset", "data")}
        said, preset, values = self._from_address(**address)
        raws = show_all(values)
        kept = _kept(draft, address)
        if kept is not None and kept != raws:
            raws, said = kept, note("info", t(self.locale, "train.draft"))
        choices = known_choices(self.studio, self.locale)
        fields = [gr.update(value=raw, choices=choices[path]) if choices.get(path) else raw
                  for path, raw in zip(all_fields(), raws, strict=True)]
        return (said, preset, uuid.uuid4().hex, *fields)

    def _from_address(self, clone: str, preset: str,
                      data: str) -> tuple[str, str, dict[str, Any]]:
        """Return (what to say, preset shown, values) for the address."""
        if data:
            return self._with_data(data)
        if clone:
            try:
                values: dict[str, Any] = self.studio.clone_values(clone)
                name = self.studio.run(clone).name
            except RunError:
                return note("warn", t(self.locale, "train.clone_missing")), "", {}
            return note("info", t(self.locale, "train.cloned", name=name)), "", values
        recipe = presets.read(preset) if preset else {}
        if recipe is None:
            return note("warn", t(self.locale, "train.preset_missing", name=preset)), "", {}
        return "", preset, recipe

    def _with_data(self, name: str) -> tuple[str, str, dict[str, Any]]:
        """Return the defaults with a dataset chosen, and an objective that it fits."""
        one = next((d for d in self.studio.datasets() if d.name == name), None)
        if one is None:
            return "", "", {}
        objective = one.objectives[0] if one.objectives else "sft"
        values = {"name": name[:100], "objective": objective, "data": {"train": [name]}}
        return note("info", t(self.locale, "train.data_chosen")), "", values

    def _weigh(self, chosen: list[str] | None, before: str) -> Any:
        """Show the weights where there is something to weigh."""
        several = len(chosen or []) > 1
        names = ", ".join(f"{name_of(item)}=1" for item in chosen or [])
        return gr.update(visible=several, value=weights_text(chosen or []) if several else "",
                         placeholder=names)

    def _weighed(self, chosen: list[str] | None, words: str) -> Any:
        """Take the weights that were typed; what names no chosen dataset is said."""
        if wrong := unknown_weights(chosen or [], words or ""):
            said = t(self.locale, "train.weights_unknown", names=", ".join(wrong)[:200])
            return gr.skip(), gr.update(info=f"⚠ {said}")
        return (with_weights(chosen or [], words or ""),
                gr.update(info=t(self.locale, "train.weights_help")))

    def _looked_at(self, chosen: list[str] | None) -> str:
        """Return links to the pages of the chosen datasets."""
        known = {one.name for one in self.studio.datasets()}
        names = [name for name in map(name_of, chosen or []) if name in known]
        links = "".join(f'<a href="./data?name={quote(name, safe="")}">{text(name)}</a>'
                        for name in names)
        return f'<p class="f-look">{self._word("train.look")} {links}</p>' if links else ""

    def _check(self, *raws: Any) -> Any:
        dry = self.studio.dry_run(read_all(raws), origin="web")
        named = dict(zip(all_fields(), raws, strict=True))
        yaml_text = _train_html.short_yaml(dry.config) if dry.config else ""
        return (_train_html.problems(self.locale, dry.problems, named),
                gr.update(interactive=not dry.problems),
                _train_html.fit(self.locale, dry.estimate, bool(dry.problems)),
                _train_html.choices(self.locale, dry.choices),
                _train_html.same_run(self.locale, yaml_text),
                self._looked_at(named["data.train"]),
                gr.Timer(active=any(p.code == "still_reading" for p in dry.problems)))

    def _choose(self, name: str) -> Any:
        return ("", *show_all(presets.read(name) or {}))

    def _fill(self, yaml_text: str) -> Any:
        """Take what can be taken from a pasted config; say what could not."""
        nothing = [gr.skip()] * len(self.all)
        try:
            values = load_yaml(yaml_text or "")
        except ConfigError as error:
            return (self._list(error), gr.skip(), *nothing)
        try:
            parse(values)
            said = ""
        except ConfigError as error:
            said = self._list(error)
        return (said, gr.update(visible=bool(said)), *show_all(values))

    def _list(self, error: ConfigError) -> str:
        words = [" ".join((f"{p.field}:" if p.field else "", *problem_text(self.locale, p))).strip()
                 for p in error.problems]
        title = t(self.locale, "before.one") if len(words) == 1 else t(
            self.locale, "before.many", n=len(words))
        return note("bad", title, "".join(paragraph(line) for line in words))

    def _add(self, path: str | None, chosen: list[str] | None) -> Any:
        if not path:
            return gr.skip(), gr.skip(), gr.skip()
        try:
            name = self.studio.changes.add_file(Path(path), Path(path).name, rename=True)
        except Exception as error:
            return error_note(self.locale, error), gr.skip(), gr.skip()
        choices = known_choices(self.studio, self.locale)["data.train"]
        said = note("ok", t(self.locale, "train.uploaded", name=name))
        kept = [other for other in chosen or [] if not other.startswith("sample_")]
        return (said, gr.update(choices=choices, value=[*kept, name]), gr.update(choices=choices))

    def _start(self, key: str, *raws: Any) -> Any:
        values = read_all(raws)
        digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
        try:
            run = self.studio.create(values, origin="web",
                                     idempotency_key=f"{key}-{digest}" if key else None)
        except ConfigError as error:
            named = dict(zip(all_fields(), raws, strict=True))
            return "", _train_html.problems(self.locale, error.problems, named)
        except Exception as error:
            toast(self.locale, error)
            return "", gr.skip()
        return run.id, gr.skip()


def _kept(draft: str, address: Mapping[str, str]) -> list[Any] | None:
    """Return the raws of an unfinished form, when it belongs to this address and still fits."""
    try:
        document = json.loads(draft) if draft else {}
    except ValueError:
        return None
    if not isinstance(document, dict) or document.get("address") != dict(address):
        return None
    values = document.get("values")
    if not isinstance(values, dict) or list(values) != list(all_fields()):
        return None
    return list(values.values())


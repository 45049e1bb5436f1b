"""The Train page: the form, and beside it what it means before Start is pressed.

The fields are native HTML (``_fields``); what stands in them travels as one JSON text. ``_filled``
puts values into the form, ``values`` brings them back, ``ask`` carries the other wishes of the
page: another recipe, a sweep over learning rates, the run as a script.
"""

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
from app.board.doors import QUIET, door, error_note, toast
from app.board.forms import (
    fitting_objectives,
    from_browser,
    known_choices,
    names_of,
    read,
    read_all,
    show_all,
)
from app.board.i18n import t
from app.board.pages import _fields, _import, _train_html
from app.board.pages._parts import html, note, text
from app.fitting import consents
from app.names import new_run_id
from app.runs import RunError
from app.script import write_script
from trainer.contract.config import all_fields, parse
from trainer.contract.problems import ConfigError
from trainer.data.reading.sources import ENDINGS

ADDRESS = ("clone", "preset", "data", "rate", "model")
_DRAFT = "() => { try { return [sessionStorage.getItem('finestra_draft') || '']; } " \
         "catch { return ['']; } }"
_GO = "(id) => { if (id) { try { sessionStorage.removeItem('finestra_draft'); } catch {} " \
      "location.assign('./run?id=' + encodeURIComponent(id)); } }"


class TrainPage:
    """The page's components and handlers for one language."""

    def __init__(self, studio: Any, locale: str) -> None:
        self.studio, self.locale = studio, locale

    def build(self, blocks: gr.Blocks) -> None:
        """Lay out the page and wire its events."""
        self.draft = gr.Textbox("", visible=False)
        self.key = gr.Textbox("", visible=False)
        self.going = gr.Textbox("", visible=False)
        # While a file is being read for the first time, the form is looked at again by itself.
        self.again = gr.Timer(2.0, active=False)
        html(_fields.title(self.locale) + _fields.chip_words(self.locale))
        self.said = html("", "train-said")
        with gr.Row(elem_classes="f-split", equal_height=False):
            with gr.Column(scale=8, min_width=320, elem_id="train-form"):
                self._begin()
                for name, drawn in _fields.cards(self.locale).items():
                    self._card(name, drawn)
                with gr.Column(elem_classes="f-card f-fields f-advanced",
                               elem_id="train-advanced-card"):
                    html(_fields.advanced(self.locale))
            with gr.Column(scale=4, min_width=300, elem_classes="f-side"):
                self._side()
        self.filled = html("", "train-fill")
        self.values = self._unseen("train-values")
        self.ask = self._unseen("train-ask")
        self.script = html("", "train-script-out")
        self._wire(blocks)

    def _word(self, key: str) -> str:
        return text(t(self.locale, key))

    def _unseen(self, identity: str) -> gr.Textbox:
        return gr.Textbox("", elem_id=identity, elem_classes="f-away", show_label=False,
                          container=False, interactive=True)

    def _begin(self) -> None:
        with gr.Column(elem_classes="f-card f-begin"):
            with gr.Row(elem_classes="f-actions"):
                html(_fields.presets_html(self.locale, presets.listed(self.locale)),
                     "train-presets")
                self.paste = gr.Button(t(self.locale, "train.import"), elem_id="train-import",
                                       scale=0, min_width=90)
                self.reset = gr.Button(t(self.locale, "train.reset"), elem_id="train-reset",
                                       scale=0, min_width=80)
            with gr.Column(visible=False, elem_id="train-yaml-panel") as self.pasting:
                self.yaml_in = gr.Textbox(
                    label=t(self.locale, "train.yaml_label"), lines=6, max_lines=18,
                    placeholder=t(self.locale, "train.yaml_placeholder"),
                    info=t(self.locale, "import.help"),
                    elem_id="train-yaml-in", elem_classes="f-mono")
                with gr.Row(elem_classes="f-actions"):
                    self.fill = gr.Button(t(self.locale, "train.yaml_fill"), variant="primary",
                                          elem_id="train-yaml-fill", scale=0, min_width=110)
                    self.cancel = gr.Button(t(self.locale, "train.yaml_cancel"), scale=0,
                                            min_width=90)

    def _card(self, name: str, drawn: str) -> None:
        with gr.Column(elem_classes="f-card f-fields"):
            html(f"<h2>{self._word(f'train.{name}')}</h2>{drawn}")
            if name == "what":
                self.look = html("", "train-look")
                with gr.Row(elem_classes="f-upload"):
                    self.upload = gr.UploadButton(
                        t(self.locale, "train.upload"), file_types=list(ENDINGS),
                        elem_id="train-upload", size="sm", scale=0, min_width=130)
                    html(f'<p class="f-quiet">{self._word("train.upload_help")}</p>')
                self.uploaded = html("", "train-uploaded")

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
        load = door(self.locale, lambda banner: (banner, "", gr.skip()))(self._load)
        blocks.load(load, [self.draft], [self.said, self.key, self.filled], js=_DRAFT, **QUIET)
        self.values.change(check, self.values, sides, trigger_mode="always_last", **QUIET)
        self.again.tick(check, self.values, sides, **QUIET)
        wish = door(self.locale, lambda banner: (banner, gr.skip(), "", ""))(self._wish)
        self.ask.change(wish, [self.ask, self.key, self.values],
                       [self.said, self.filled, self.going, self.script], **QUIET).then(
                           None, self.going, None, js=_GO, **QUIET)
        self.paste.click(lambda: gr.update(visible=True), None, self.pasting, **QUIET)
        self.cancel.click(lambda: gr.update(visible=False), None, self.pasting, **QUIET)
        self.fill.click(self._fill, self.yaml_in, [self.said, self.pasting, self.filled], **QUIET)
        self.reset.click(None, None, None, js="() => { sessionStorage.removeItem("
                         "'finestra_draft'); location.reload(); }", **QUIET)
        self.upload.upload(self._add, [self.upload, self.values], [self.uploaded, self.filled],
                           show_progress="minimal", queue=False, api_visibility="private")
        self.start.click(self._start, [self.key, self.values], [self.going, self.problems],
                         **QUIET).then(None, self.going, None, js=_GO, **QUIET)

    # What stands in the form

    def _filling(self, raws: Mapping[str, Any], preset: str | None = None) -> str:
        """Return the element from which the script fills the form."""
        told: dict[str, Any] = {
            "serial": uuid.uuid4().hex, "values": dict(raws), "known": {
                "choices": known_choices(self.studio, self.locale),
                "fits": fitting_objectives(self.studio)}}
        if preset is not None:
            told["preset"] = preset
        return (f'<div id="train-filled" hidden data-filled="'
                f'{text(json.dumps(told, ensure_ascii=False))}"></div>')

    def _load(self, draft: str, request: gr.Request) -> Any:
        query = request.query_params
        address = {key: query.get(key, "") for key in ADDRESS}
        said, preset, values = self._from_address(address)
        raws = show_all(values)
        kept = _kept(draft, address)
        if kept is not None and kept != raws:
            raws, said = kept, note("info", t(self.locale, "train.draft"))
        return said, uuid.uuid4().hex, self._filling(raws, preset)

    def _from_address(self, address: Mapping[str, str]) -> tuple[str, str, dict[str, Any]]:
        """Return (what to say, preset shown, values) for the address."""
        if address["data"]:
            return self._with_data(address["data"])
        if address["clone"]:
            return self._cloned(address["clone"], address["rate"])
        if address["model"]:
            return self._with_model(address["model"][:1000])
        preset = address["preset"]
        recipe = presets.read(preset) if preset else {}
        if recipe is None:
            return note("warn", t(self.locale, "train.preset_missing", name=preset)), "", {}
        return "", preset, recipe

    def _cloned(self, run_id: str, rate: str) -> tuple[str, str, dict[str, Any]]:
        """Return a run's config under a new name; with the rate that its sweep proposed."""
        try:
            values: dict[str, Any] = self.studio.clone_values(run_id)
            name = self.studio.run(run_id).name
        except RunError:
            return note("warn", t(self.locale, "train.clone_missing")), "", {}
        if not rate:
            return note("info", t(self.locale, "train.cloned", name=name)), "", values
        training = values.setdefault("training", {})
        training["learning_rate"] = read(all_fields()["training.learning_rate"], rate)
        values["lr_finder"] = {}
        values["name"] = str(values["name"]).removesuffix(" copy")
        values["name"] = values["name"].removesuffix(t(self.locale, "finder.suffix"))
        return note("info", t(self.locale, "finder.taken", rate=rate)), "", values

    def _with_data(self, name: str) -> tuple[str, str, dict[str, Any]]:
        """Return the defaults with a dataset chosen, and an objective that it fits."""
        one = next((d for d in self.studio.datasets() if d.name == name), None)
        if one is None:
            return "", "", {}
        objective = one.objectives[0] if one.objectives else "sft"
        values = {"name": name[:100], "objective": objective, "data": {"train": [name]}}
        return note("info", t(self.locale, "train.data_chosen")), "", values

    def _with_model(self, name: str) -> tuple[str, str, dict[str, Any]]:
        """Return the defaults with a base chosen, named after it."""
        short = name.rstrip("/").rpartition("/")[2]
        return (note("info", t(self.locale, "train.model_chosen", name=short)), "",
                {"name": short[:100] or "run", "model": {"name_or_path": name}})

    def _fill(self, yaml_text: str) -> Any:
        """Take what can be taken from a pasted config; say what could not."""
        values, said, stay = _import.taken(self.locale, yaml_text or "")
        if values is None:
            return said, gr.skip(), gr.skip()
        return said, gr.update(visible=stay), self._filling(show_all(values))

    def _add(self, path: str | None, sent: str) -> Any:
        if not path:
            return gr.skip(), gr.skip()
        try:
            name = self.studio.changes.add_file(Path(path), Path(path).name, rename=True)
        except Exception as error:
            return error_note(self.locale, error), gr.skip()
        said = note("ok", t(self.locale, "train.uploaded", name=name))
        chosen = from_browser(sent)["data.train"]
        kept = [use for use in chosen if not names_of([use])[0].startswith("sample_")]
        return said, self._filling({"data.train": [*kept, name]})

    # What it means

    def _looked_at(self, chosen: list[Any] | None) -> str:
        """Return links to the pages of the chosen datasets."""
        known = {one.name for one in self.studio.datasets()}
        names = [name for name in names_of(chosen) if name in known]
        links = "".join(f'<a href="./data?name={quote(name, safe="")}">{text(name)}</a>'
                        for name in names)
        return f'<p class="f-look">{self._word("train.look")} {links}</p>' if links else ""

    def _check(self, sent: str) -> Any:
        raws = from_browser(sent)
        values = read_all(raws)
        dry = self.studio.dry_run(values, origin="web")
        yaml_text = _train_html.short_yaml(dry.config) if dry.config else ""
        allowed = consents(values, self.studio.data.allowed)
        return (_train_html.problems(self.locale, dry.problems, raws, allowed),
                gr.update(interactive=not dry.problems),
                _train_html.fit(self.locale, dry.estimate, bool(dry.problems)),
                _train_html.choices(self.locale, dry.choices),
                _train_html.same_run(self.locale, yaml_text),
                self._looked_at(raws["data.train"]),
                gr.Timer(active=any(p.code == "still_reading" for p in dry.problems)))

    # What is asked for

    def _wish(self, asked: str, key: str, sent: str) -> Any:
        """Do what a button of the form's own asks: another recipe, a sweep, a script."""
        wish = json.loads(asked) if asked else {}
        if wish.get("do") == "preset":
            recipe = presets.read(str(wish.get("name", ""))) or {}
            return "", self._filling(show_all(recipe)), "", ""
        values = read_all(from_browser(sent))
        try:
            if wish.get("do") == "find":
                return "", gr.skip(), self._find(key, values), ""
            if wish.get("do") == "script":
                return "", gr.skip(), "", self._script(values)
        except ConfigError as error:
            return _import.problems_note(self.locale, error), gr.skip(), "", ""
        return gr.skip(), gr.skip(), "", ""

    def _find(self, key: str, values: dict[str, Any]) -> str:
        """Queue a sweep over learning rates for what stands in the form."""
        values["lr_finder"] = {**values.get("lr_finder", {}), "enabled": True}
        suffix = t(self.locale, "finder.suffix")
        values["name"] = str(values.get("name", "run"))[:100 - len(suffix)] + suffix
        return self._create(key, values)

    def _script(self, values: dict[str, Any]) -> str:
        config = parse(values)
        home = self.studio.home
        made = write_script(config, home=home.root, runs=home.runs)
        return _train_html.script(new_run_id(config.name), made.text)

    def _start(self, key: str, sent: str) -> Any:
        raws = from_browser(sent)
        try:
            return self._create(key, read_all(raws)), gr.skip()
        except ConfigError as error:
            return "", _train_html.problems(self.locale, error.problems, raws)
        except Exception as error:
            toast(self.locale, error)
            return "", gr.skip()

    def _create(self, key: str, values: dict[str, Any]) -> str:
        """Put the run into the queue; the same form of the same visit makes one run."""
        digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
        run = self.studio.create(values, origin="web",
                                 idempotency_key=f"{key}-{digest}" if key else None)
        return str(run.id)


def _kept(draft: str, address: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the raws of an unfinished form, when it belongs to this address and still fits."""
    try:
        document = json.loads(draft) if draft else {}
    except ValueError:
        return None
    if not isinstance(document, dict) or document.get("address") != dict(address):
        return None
    values = document.get("values")
    if not isinstance(values, dict) or set(values) != set(all_fields()):
        return None
    return {path: values[path] for path in all_fields()}

"""The Models page: what is on this machine, a catalogue, downloads, deleting.

What is shown - which list, which filters - stands in the address, so that a refresh shows it again.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

import gradio as gr

from app.board.doors import QUIET, door, error_note, toast
from app.board.i18n import t
from app.board.pages import _models_html
from app.board.pages._parts import html, note, text
from app.models import Filter
from trainer.contract.catalogue import METHODS, load_catalogue
from trainer.contract.models import ModelError

FILTERS = ("search", "family", "fits", "licence", "access")
_ADDRESS = """(...given) => { const query = new URLSearchParams(location.search);
NAMES.forEach((name, at) => {
  if (given[at]) query.set(name, given[at]); else query.delete(name); });
history.replaceState(null, "", `${location.pathname}${query.size ? "?" + query : ""}`); }
""".replace("NAMES", json.dumps([*FILTERS, "all"]))


class ModelsPage:
    """The page's components and handlers for one language."""

    def __init__(self, studio: Any, locale: str) -> None:
        self.studio, self.locale = studio, locale

    def build(self, blocks: gr.Blocks) -> None:
        """Lay out the page and wire its events."""
        self.view = gr.Textbox("here", visible=False)
        self.everything = gr.Textbox("", visible=False)
        self.seen = gr.Textbox("", visible=False)
        self.doomed = gr.Textbox("", visible=False)
        # The script hands over what buttons inside our own HTML ask for, as on the Data page.
        self.do = gr.Textbox("", elem_id="data-do", elem_classes="f-offscreen", max_lines=1,
                             label=t(self.locale, "ds.do"))
        html(_models_html.title(self.locale))
        with gr.Row(elem_classes="f-filters"):
            self.tabs = html(_models_html.tabs(self.locale, "here"), "models-tabs", fit=True)
            self.filters = self._filters()
        self.said = html("", "models-said")
        self.work = html("", "models-work")
        self._delete_panel()
        self.table = html(f'<div class="f-card f-wait" role="status">'
                          f'{text(t(self.locale, "loading"))}</div>', "models-table")
        with gr.Row(elem_classes="f-card f-source", visible=False) as self.adding:
            self.source = gr.Textbox(
                "", label=t(self.locale, "models.source"), max_lines=1, scale=4,
                info=t(self.locale, "models.source_help"), elem_id="models-source",
                elem_classes=["f-field"], interactive=True)
            self.go = gr.Button(t(self.locale, "models.download"), elem_id="models-go",
                                variant="primary", scale=0, min_width=110)
        self._wire(blocks, gr.Timer(1.0))

    def _filters(self) -> list[Any]:
        def choose(name: str, choices: list[tuple[str, str]]) -> gr.Dropdown:
            label = t(self.locale, f"models.{name}")
            return gr.Dropdown(choices, value="", label=label, show_label=False, container=False,
                               scale=1, min_width=140, elem_id=f"models-{name}",
                               filterable=name in ("family", "licence"))

        def known(name: str, key: str) -> list[tuple[str, str]]:
            found = sorted({value for model in load_catalogue() if (value := getattr(model, name))})
            return [(t(self.locale, key), ""), *((value, value) for value in found)]

        word = t(self.locale, "models.search")
        return [
            gr.Textbox(placeholder=word, label=word, show_label=False, container=False, scale=3,
                       max_lines=1, elem_id="models-search"),
            choose("family", known("family", "models.any_family")),
            choose("fits", [(t(self.locale, "models.any_size"), ""),
                            *((t(self.locale, f"models.fits_{name}"), name) for name in METHODS)]),
            choose("licence", known("licence", "models.any_licence")),
            choose("access", [(t(self.locale, "models.any_access"), ""),
                              (t(self.locale, "models.open"), "open"),
                              (t(self.locale, "models.gated"), "gated")])]

    def _delete_panel(self) -> None:
        with gr.Column(visible=False, elem_id="models-delete-panel") as self.asking:
            self.losing = html("", "models-losing")
            with gr.Row(elem_classes="f-actions"):
                self.really = gr.Button(t(self.locale, "delete.yes"), variant="stop", scale=0,
                                        min_width=90, elem_id="models-delete-confirm")
                self.keep = gr.Button(t(self.locale, "delete.no"), scale=0, min_width=90,
                                      elem_id="models-delete-cancel")

    def _wire(self, blocks: gr.Blocks, timer: gr.Timer) -> None:
        asked = [self.view, self.everything, self.seen, *self.filters]
        live = [self.table, self.work, self.seen]
        draw = door(self.locale, lambda banner: (banner, gr.skip(), ""))(self._draw)
        first = [self.view, self.everything, self.tabs, self.adding, *self.filters]
        load = door(self.locale, lambda banner: (gr.skip(), gr.skip(), banner,
                                                 *[gr.skip()] * (len(first) - 3)))(self._load)
        blocks.load(load, None, first, **QUIET).then(draw, asked, live, **QUIET)
        timer.tick(draw, asked, live, **QUIET)
        address = [*self.filters, self.everything]
        gr.on([each.change for each in self.filters], draw, asked, live,
              trigger_mode="always_last", **QUIET).then(None, address, None, js=_ADDRESS, **QUIET)
        self.do.change(self._act, self.do, [self.said, self.asking, self.losing, self.doomed,
                                            self.really, self.everything], **QUIET).then(
            draw, asked, live, **QUIET).then(None, address, None, js=_ADDRESS, **QUIET)
        gr.on([self.go.click, self.source.submit], self._fetch, self.source,
              [self.said, self.source], **QUIET).then(draw, asked, live, **QUIET)
        self.keep.click(lambda: gr.update(visible=False), None, self.asking, **QUIET)
        self.really.click(self._delete, self.doomed, [self.said, self.asking, self.seen],
                          **QUIET).then(draw, asked, live, **QUIET)

    def _load(self, request: gr.Request) -> Any:
        query = request.query_params
        view = query.get("view", "")
        view = view if view in _models_html.VIEWS else "here"
        values = [query.get(name, "")[:200] for name in FILTERS]
        shown: list[Any] = [gr.update(value=value, **self._choices(name, value, view))
                            for name, value in zip(FILTERS, values, strict=True)]
        return (view, query.get("all", "")[:1], _models_html.tabs(self.locale, view),
                gr.update(visible=True), *shown)

    def _choices(self, name: str, value: str, view: str) -> dict[str, Any]:
        """Return what is special about a filter in this list: no access where all is here."""
        if name == "access":
            return {"visible": view == "catalogue"}
        if name not in ("family", "licence") or view == "catalogue":
            return {}
        found = {one.facts.family if name == "family" else one.licence
                 for one in self.studio.library.all()} | {value}
        return {"choices": [(t(self.locale, f"models.any_{name}"), ""),
                            *((each, each) for each in sorted(found - {""}))]}

    def _draw(self, view: str, everything: str, before: str, *values: str) -> Any:
        """Draw what changed: downloads every second, the list when there is a reason to."""
        library = self.studio.library
        jobs = library.jobs.of()
        wanted = Filter(*(value or "" for value in values))
        ended = [job.id for job in jobs if not job.active]
        mark = repr((view, everything, wanted, ended, library.mark(), self.studio.watermark()))
        old_mark, _, rest = before.partition("#")
        old_table, _, old_work = rest.partition("#")
        mark = hashlib.sha256(mark.encode()).hexdigest()[:12]
        drawn_work = _models_html.work(self.locale, jobs, time.time())
        new_work = hashlib.sha256(drawn_work.encode()).hexdigest()[:12]
        work = gr.skip() if new_work == old_work else drawn_work
        if mark == old_mark:
            return gr.skip(), work, f"{mark}#{old_table}#{new_work}"
        drawn = self._list(view, bool(everything), wanted)
        new_table = hashlib.sha256(drawn.encode("utf-8", "replace")).hexdigest()[:12]
        return (gr.skip() if new_table == old_table else drawn, work,
                f"{mark}#{new_table}#{new_work}")

    def _list(self, view: str, everything: bool, wanted: Filter) -> str:
        library = self.studio.library
        if view == "catalogue":
            return _models_html.catalogue(self.locale, library.catalogue(wanted), library.room(),
                                          everything)
        return _models_html.here(self.locale, library.here(wanted), library.room())

    def _act(self, asked: str) -> Any:
        """Do what a button inside our own HTML asks for, as the script passes it on."""
        verb, _, name = asked.rpartition("#")[0].partition(":")
        hidden = gr.update(visible=False)
        said, losing, doomed, really, everything = "", gr.skip(), "", gr.skip(), gr.skip()
        try:
            if verb == "all":
                everything = "1"
            elif verb == "download":
                self.studio.library.download(name, web=True)
            elif verb == "cancel":
                self.studio.library.cancel(name)
            elif verb == "delete":
                found = self.studio.library.losses(name)
                one = self.studio.library.one(name).model
                losing, doomed = _models_html.losing(self.locale, one, found), name
                really, hidden = gr.update(visible=found.forbidden is None), gr.update(visible=True)
        except (ValueError, OSError) as error:
            said = error_note(self.locale, error)
        return said, hidden, losing, doomed, really, everything

    def _fetch(self, source: str) -> Any:
        try:
            if not (source or "").strip():
                raise ModelError("model_hub_name", "Nothing is named.", "Fill in the field.")
            self.studio.library.download(source, web=True)
        except (ValueError, OSError) as error:
            return error_note(self.locale, error), gr.skip()
        return "", ""

    def _delete(self, name: str) -> Any:
        try:
            label = self.studio.library.one(name).model.label
            self.studio.library.delete(name)
        except (ValueError, OSError) as error:
            toast(self.locale, error)
            return gr.skip(), gr.update(visible=False), gr.skip()
        return (note("ok", t(self.locale, "models.deleted", name=label)),
                gr.update(visible=False), "")

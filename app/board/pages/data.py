"""The Data page: what datasets there are, what is wrong with their rows, what a model sees."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import gradio as gr

from app.board.doors import QUIET, door, error_note, toast
from app.board.i18n import t
from app.board.pages import _data_html, _data_row
from app.board.pages._data_add import AddBox
from app.board.pages._data_tools import FixTools, MappingEditor, lost_words
from app.board.pages._data_viewer import RowViewer, view_options
from app.board.pages._parts import html, text
from app.datajobs import Job
from app.datarows import lengths
from app.datasetviews import DatasetChoice, ReportView
from trainer.data import DatasetError
from trainer.data.templates.sandbox import TemplateError

PANELS = ("hero", "work", "problems", "shape", "lengths", "versions", "of")
_GO = "(name) => { if (name) location.assign('./data?name=' + encodeURIComponent(name)); }"
_MEASURED_ROWS = 200_000


class DataPage:
    """The page's components and handlers for one language."""

    def __init__(self, studio: Any, locale: str, limit: int) -> None:
        self.studio, self.locale, self.limit = studio, locale, limit

    def build(self, blocks: gr.Blocks) -> None:
        """Lay out the page and wire its events."""
        self.name = gr.Textbox("", visible=False)
        self.seen = gr.Textbox("", visible=False)
        self.pages = gr.Textbox("", visible=False)
        self.gone = gr.Textbox("", visible=False)
        self.do = gr.Textbox("", elem_id="data-do", elem_classes="f-offscreen", max_lines=1,
                             label=t(self.locale, "ds.do"))
        self.status = html(f'<div class="f-card f-wait" role="status">'
                           f'{text(t(self.locale, "loading"))}</div>', "data-status")
        self._list()
        with gr.Column(visible=False, elem_id="data-body") as self.body:
            self._detail()
        self._wire(blocks, gr.Timer(1.0))

    def _list(self) -> None:
        with gr.Column(visible=False, elem_id="data-all") as self.all:
            html(f'<div class="f-title"><div><h1>{text(t(self.locale, "page.data"))}</h1>'
                 f'<p>{text(t(self.locale, "ds.lead"))}</p></div></div>')
            self.table = html("", "data-table")
            self.box = AddBox(self.studio, self.locale, self.limit)
            self.box.build()

    def _button(self, key: str, identity: str, **settings: Any) -> gr.Button:
        return gr.Button(t(self.locale, key), elem_id=identity, scale=0, min_width=90, **settings)

    def _detail(self) -> None:
        self.panels = {"hero": html("", "data-hero"), "work": html("", "data-work")}
        self._actions()
        with gr.Row(elem_classes="f-split", equal_height=False):
            with gr.Column(scale=7, min_width=300):
                self.panels["problems"] = html("", "data-problems")
            with gr.Column(scale=5, min_width=280):
                self.panels["shape"] = html("", "data-recognised")
                self.panels["lengths"] = html("", "data-lengths")
        self.viewer = RowViewer(self.studio, self.locale, self.name)
        self.viewer.build()
        self.panels["of"] = self.viewer.of
        self.mapping = MappingEditor(self.studio, self.locale, self.name)
        self.tools = FixTools(self.studio, self.locale, self.name)
        with gr.Row(elem_classes="f-split", equal_height=False):
            with gr.Column(scale=7, min_width=300):
                self.mapping.build()
            with gr.Column(scale=5, min_width=280):
                self.tools.build()
        self.panels["versions"] = self.tools.versions

    def _actions(self) -> None:
        with gr.Row(elem_classes="f-actions", elem_id="data-actions"):
            self.train = html("", "data-train", fit=True)
            self.check = self._button("ds.check", "data-check")
            self.delete = self._button("run.delete", "data-delete")
        with gr.Column(visible=False, elem_id="data-delete-panel") as self.asking:
            self.losing = html("", "data-delete-words")
            with gr.Row(elem_classes="f-actions"):
                self.really = self._button("delete.yes", "data-delete-confirm", variant="stop")
                self.keep = self._button("delete.no", "data-delete-cancel")

    def _wire(self, blocks: gr.Blocks, timer: gr.Timer) -> None:
        self.live = [*(self.panels[name] for name in PANELS), self.table, self.seen]
        self.asked = [self.name, self.seen, self.pages, *self.viewer.options]
        self.tick = door(self.locale, self._failed)(self._tick)
        timer.tick(self.tick, self.asked, self.live, **QUIET)
        load = door(self.locale, lambda banner: (banner, *[gr.skip()] * (len(first) - 1)))(
            self._load)
        first = [self.status, self.name, self.all, self.body, self.train, self.delete,
                 self.viewer.row, *self.viewer.options, *self.mapping.inputs]
        show = door(self.locale, lambda banner: banner)(self.viewer.show)
        loaded = blocks.load(load, None, first, **QUIET)
        self._again(loaded.then(show, [self.name, self.viewer.row, *self.viewer.options],
                                self.viewer.view, **QUIET))
        self.viewer.wire()
        self.mapping.wire(self.gone)
        self.box.wire(self.gone, QUIET, _GO)
        self.tools.wire(self._again)
        asked = [self.do, self.name, self.pages, *self.viewer.options]
        self._again(self.do.change(self._act, asked, [self.pages, self.box.said, self.seen],
                                   **QUIET))
        self._again(self.check.click(self._check, self.name, self.seen, **QUIET))
        self._wire_delete()

    def _again(self, event: Any) -> None:
        """Draw anew after an event."""
        event.then(self.tick, self.asked, self.live, **QUIET)

    def _wire_delete(self) -> None:
        self.delete.click(self._ask, self.name, [self.asking, self.losing], **QUIET)
        self.keep.click(lambda: gr.update(visible=False), None, self.asking, **QUIET)
        self.really.click(self._remove, self.name, [self.gone, self.asking], **QUIET).then(
            None, self.gone, None, js="(name) => { if (name) location.assign('./data') }", **QUIET)

    def _load(self, request: gr.Request) -> Any:
        query = dict(request.query_params)
        name = query.get("name", "")
        rest = [gr.skip()] * (len(self.viewer.options) + 1 + len(self.mapping.inputs))
        hidden, shown = gr.update(visible=False), gr.update(visible=True)
        if not name:
            return ("", "", shown, hidden, "", gr.skip(), *rest)
        try:
            one = self.studio.data.choice(name)
        except DatasetError:
            return (_data_html.not_found(self.locale, name), "", hidden, hidden, "", gr.skip(),
                    *rest)
        return ("", name, hidden, shown, "" if one.problem else self._links(name),
                gr.update(visible=one.origin == "user"), *self.viewer.first(query),
                *self._mapped(one))

    def _mapped(self, one: DatasetChoice) -> list[Any]:
        """Return what the mapping editor shows at first."""
        if one.code in ("unknown_shape", "mapping"):
            return self.mapping.values({}, self.studio.data.columns(one.name))
        if one.problem:
            return [gr.skip()] * len(self.mapping.inputs)
        report, _ = self.studio.data.report(one.name)
        return self.mapping.values(dict(report.mapping), report.columns)

    def _links(self, name: str) -> str:
        return (f'<a class="f-button f-primary" id="data-train-link" '
                f'href="./train?data={_data_html.quoted(name)}">'
                f'{text(t(self.locale, "ds.train"))}</a>')

    def _failed(self, banner: str) -> tuple[Any, ...]:
        return (gr.skip(), banner, *[gr.skip()] * (len(PANELS) - 1), "")

    def _tick(self, name: str, before: str, pages: str, *options: Any) -> tuple[Any, ...]:
        old = json.loads(before) if before else {}
        parts = self._parts(name, json.loads(pages) if pages else {}, options, old) if name else {
            "table": _data_html.table(self.locale, self.studio.data.all(),
                                      self.studio.data.working())}
        new: dict[str, Any] = {"options": list(options)}
        fresh = []
        for key in (*PANELS, "table"):
            drawn = parts.get(key)
            digest = hashlib.sha256((drawn or "").encode("utf-8", "replace")).hexdigest()[:8]
            fresh.append(gr.skip() if drawn is None or old.get(key) == digest else drawn)
            new[key] = old.get(key) if drawn is None else digest
        return (*fresh, json.dumps(new))

    def _parts(self, name: str, pages: dict[str, int], options: tuple[Any, ...],
               old: dict[str, Any]) -> dict[str, str | None]:
        """Return the panels' HTML; None leaves one as it is."""
        data, locale = self.studio.data, self.locale
        one = data.choice(name)
        jobs = data.jobs.of(name)
        if one.problem:
            return {"hero": _data_html.hero(locale, one, None, _at_work(jobs)),
                    "work": _data_html.work(locale, jobs) + _data_html.unusable(locale, one),
                    "problems": "", "shape": "", "lengths": "", "of": "",
                    "versions": self.tools.versions_html(name)}
        report, check = data.report(name)
        jobs = data.jobs.of(name)
        settled = old.get("options") == list(options)
        return {
            "hero": _data_html.hero(locale, one, report, _at_work(jobs)),
            "work": _data_html.work(locale, jobs),
            "problems": _data_html.problems(locale, name, report, data.problems(name, pages),
                                            reading=check is not None and check.active),
            "shape": _data_html.recognised(locale, report),
            "lengths": self._lengths(one, report, options) if settled else None,
            "versions": self.tools.versions_html(name),
            "of": self.viewer.of_words(report.rows, report.complete)}

    def _lengths(self, one: DatasetChoice, report: ReportView, options: tuple[Any, ...]) -> str:
        """Return how long the rows are; measured by itself where that takes moments."""
        chosen = view_options(*options)
        if not report.complete or not report.usable or not one.objectives:
            words = t(self.locale, "len.none" if report.complete else "len.after")
            return _data_row.lengths(self.locale, None, chosen.max_length, waiting=words)
        start = report.rows <= _MEASURED_ROWS
        try:
            found, job = lengths(self.studio.data, one.name, chosen, start=start)
        except ValueError as error:
            return error_note(self.locale, error)
        measuring = job is not None and job.active
        waiting = t(self.locale, "len.measuring") if measuring else ""
        return _data_row.lengths(self.locale, found, chosen.max_length, waiting=waiting)

    def _act(self, asked: str, name: str, pages: str, *options: Any) -> Any:
        """Do what a button inside our own HTML asks for, as the script passes it on."""
        verb, _, rest = asked.rpartition("#")[0].partition(":")
        try:
            if verb == "error":
                return gr.skip(), self.box.refused(rest), gr.skip()
            if verb == "cancel":
                self.studio.changes.cancel(self.studio.data.jobs.get(rest))
            elif verb == "restore" and rest.isdecimal():
                self.tools.restore(name, int(rest))
            elif verb == "measure":
                lengths(self.studio.data, name, view_options(*options), again=True)
            elif verb == "page":
                code, _, offset = rest.rpartition(":")
                kept = json.loads(pages) if pages else {}
                kept[code] = int(offset) if offset.isdecimal() else 0
                return json.dumps(kept), gr.skip(), ""
        except (DatasetError, TemplateError) as error:
            toast(self.locale, error)
        return gr.skip(), gr.skip(), ""

    def _check(self, name: str) -> str:
        try:
            if self.studio.data.choice(name).code == "hub_not_here":
                self.studio.data.fetch(name)
            else:
                self.studio.data.check(name, again=True)
        except DatasetError as error:
            toast(self.locale, error)
        return ""

    def _ask(self, name: str) -> Any:
        try:
            return gr.update(visible=True), lost_words(self.locale, self.studio, name)
        except DatasetError as error:
            toast(self.locale, error)
            return gr.skip(), gr.skip()

    def _remove(self, name: str) -> Any:
        try:
            self.studio.changes.delete(name)
        except Exception as error:
            toast(self.locale, error)
            return "", gr.update(visible=False)
        return name, gr.skip()


def _at_work(jobs: list[Job]) -> Job | None:
    return next((job for job in reversed(jobs) if job.active), None)

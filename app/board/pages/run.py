"""The Run page: one run, live, rebuilt from its address at every visit."""

from __future__ import annotations

import hashlib
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from app.board.doors import QUIET, door, error_note, toast
from app.board.i18n import t
from app.board.pages import _export_run, _parity_html, _run_html
from app.board.pages._ask import ask_card, chat_address, slow_note
from app.board.pages._chart import chart_html
from app.board.pages._evaluate_found import Shown
from app.board.pages._export_page import model_label
from app.board.pages._parts import html, text, trains
from app.board.wording import count
from app.documents import export_document, merge_document
from app.outcome import Result
from app.runs import ACTIVE, ENDED, RESUMABLE, Run, RunError, RunState
from trainer.contract.files import read_json

PANELS = ("hero", "health", "chat", "cannot", "written", "samples", "data", "checkpoints",
          "choices", "log")
_CHECKPOINTS_EVERY_S = 8.0


class RunPage:
    """The page's components and handlers for one language."""

    def __init__(self, studio: Any, locale: str) -> None:
        self.studio, self.locale = studio, locale

    def build(self, blocks: gr.Blocks) -> None:
        """Lay out the page and wire its events."""
        self.run_id = gr.Textbox("", visible=False)
        self.seen = gr.Textbox("", visible=False)
        self.gone = gr.Textbox("", visible=False)
        self.missing = html(self._waiting(), "run-status")
        with gr.Column(visible=False, elem_id="run-body") as self.body:
            self.panels = {"hero": html("", "run-hero"), "health": html("", "run-health")}
            self._actions()
            with gr.Row(elem_classes="f-split", equal_height=False):
                with gr.Column(scale=7, min_width=300):
                    self.panels["chat"] = html("", "run-chat-card")
                    self.panels["cannot"] = html("", "run-chat-cannot")
                    self.panels["written"] = html("", "run-written")
                    self.charts = html("", "run-charts")
                    self._log()
                with gr.Column(scale=4, min_width=280):
                    for name in ("samples", "checkpoints", "data", "choices"):
                        self.panels[name] = html("", f"run-{name}")
                    self.facts = html("", "run-facts")
            self.config = html("", "run-config")
        self._wire(blocks, gr.Timer(1.0))

    def _waiting(self) -> str:
        words = text(t(self.locale, "loading"))
        return f'<div class="f-card f-wait" role="status">{words}</div>'

    def _button(self, key: str, identity: str, **settings: Any) -> gr.Button:
        return gr.Button(t(self.locale, key), elem_id=identity, scale=0, min_width=90, **settings)

    def _actions(self) -> None:
        with gr.Row(elem_classes="f-actions", elem_id="run-actions"):
            self.stop = self._button("run.stop", "run-stop", variant="stop", visible=False)
            self.resume = self._button("run.resume", "run-resume", variant="primary",
                                       visible=False)
            self.talk = self._button("run.chat", "run-chat-open", visible=False)
            self.links = html("", "run-links", fit=True)
            self.delete = self._button("run.delete", "run-delete", visible=False)
        with gr.Column(visible=False, elem_id="run-delete-panel") as self.asking:
            self.losing = html("", "run-delete-words")
            with gr.Row(elem_classes="f-actions"):
                self.really = self._button("delete.yes", "run-delete-confirm", variant="stop")
                self.keep = self._button("delete.no", "run-delete-cancel")

    def _log(self) -> None:
        with gr.Column(elem_classes="f-card f-logcard"):
            with gr.Row(elem_classes="f-loghead"):
                html(f"<h2>{text(t(self.locale, 'log.title'))}</h2>", fit=True)
                self.words = gr.Textbox(
                    label=t(self.locale, "log.search"), show_label=False, container=False,
                    placeholder=t(self.locale, "log.search"), elem_id="run-log-search", scale=2,
                    max_lines=1)
                self.follow = gr.Checkbox(True, label=t(self.locale, "log.follow"),
                                          elem_id="run-log-follow", container=False, scale=0,
                                          min_width=90)
                self.log_link = html("", "run-log-head", fit=True)
            self.panels["log"] = html("", "run-log-panel")

    def _wire(self, blocks: gr.Blocks, timer: gr.Timer) -> None:
        live = [*(self.panels[name] for name in PANELS), self.stop, self.resume, self.delete,
                self.talk, self.seen]
        inputs = [self.run_id, self.seen, self.words, self.follow]
        tick = door(self.locale, lambda banner: self._failed(banner))(self._tick)
        timer.tick(tick, inputs, live, **QUIET)
        self.words.change(tick, inputs, live, trigger_mode="always_last", **QUIET)
        load = door(self.locale, lambda banner: (
            "", banner, gr.update(visible=False), *[gr.skip()] * 5))(self._load)
        first = [self.run_id, self.missing, self.body, self.charts, self.links, self.log_link,
                 self.facts, self.config]
        blocks.load(load, None, first, **QUIET).then(tick, inputs, live, **QUIET)
        again = [self.run_id, self.seen]
        for button, verb in ((self.stop, "stop"), (self.resume, "resume")):
            button.click(self._verb(verb), again, [self.seen], **QUIET).then(
                tick, inputs, live, **QUIET)
        self._wire_delete()

    def _wire_delete(self) -> None:
        self.delete.click(self._ask, self.run_id, [self.asking, self.losing], **QUIET)
        self.keep.click(lambda: gr.update(visible=False), None, self.asking, **QUIET)
        self.really.click(self._remove, self.run_id, [self.gone, self.asking], **QUIET).then(
            None, self.gone, None, js="(id) => { if (id) location.assign('./') }", **QUIET)

    def _load(self, request: gr.Request) -> Any:
        run_id = request.query_params.get("id", "")
        try:
            run: Run = self.studio.run(run_id)
        except RunError:
            hidden = gr.update(visible=False)
            return ("", _run_html.not_found(self.locale, run_id), hidden, *[gr.skip()] * 5)
        yaml_text = self.studio.config_yaml(run.id)
        return (run.id, "", gr.update(visible=True),
                chart_html(self.locale, [run]) if trains(run) else "",
                _run_html.links(self.locale, run),
                _run_html.log_link(self.locale, run.id),
                _run_html.facts(self.locale, run), _run_html.config(self.locale, yaml_text))

    def _failed(self, banner: str) -> tuple[Any, ...]:
        """Show what failed as a banner and leave the rest of the page as it is."""
        rest = [gr.skip()] * (len(PANELS) - 2)
        return (gr.skip(), banner, *rest, *[gr.skip()] * 4, "")

    def _tick(self, run_id: str, before: str, words: str, follow: bool) -> tuple[Any, ...]:
        nothing = (*[gr.skip()] * (len(PANELS) + 5),)
        if not run_id:
            return nothing
        old = json.loads(before) if before else {}
        mark = f"{self.studio.watermark(run_id)}|{words}|{follow}"
        try:
            run: Run = self.studio.run(run_id)
        except RunError as error:
            return self._failed(error_note(self.locale, error))
        if old.get("mark") == mark and run.state not in ACTIVE:
            return nothing
        parts, new = self._parts(run, old, words or "", follow)
        fresh = []
        for name in PANELS:
            drawn = parts.get(name)
            digest = hashlib.sha256((drawn or "").encode()).hexdigest()[:8]
            fresh.append(gr.skip() if drawn is None or old.get(name) == digest else drawn)
            new[name] = old.get(name) if drawn is None else digest
        buttons = self._buttons(run, int(new["resume"])) if (
            old.get("state"), old.get("resume")) != (new["state"], new["resume"]) else (
            [gr.skip()] * 4)
        return (*fresh, *buttons, json.dumps({**new, "mark": mark}))

    def _parts(self, run: Run, old: dict[str, Any], words: str,
               follow: bool) -> tuple[dict[str, str | None], dict[str, Any]]:
        """Return the panels' HTML (None: leave as it is) and what to remember."""
        studio, locale = self.studio, self.locale
        now = time.time()
        look = old.get("state") != str(run.state) or (
            now - float(old.get("looked", 0)) > _CHECKPOINTS_EVERY_S)
        found = studio.checkpoints(run.id) if look else None
        resume = int(old.get("resume", 0)) if found is None else max(
            (item.step for item in found if not item.problem), default=0)
        place = _place(studio, run) if run.state == RunState.QUEUED else 0
        frozen = not follow and old.get("log") and old.get("words") == words
        parts: dict[str, str | None] = {
            "hero": _run_html.hero(locale, run, exact_match(studio, run), place),
            "health": _run_html.health(locale, run, studio.warnings(run.id),
                                       resume_step=resume, result=_result(studio, run)),
            "chat": ask_card(locale, run) if answers(run) else "",
            "cannot": slow_note(locale, studio.devices()) if answers(run)
            else _run_html.cannot_chat(locale, run),
            "written": self._written(run),
            "samples": "" if _run_html.gives_scores(run) or _run_html.is_sweep(run)
            or not trains(run) else _run_html.samples(locale, studio.samples(run.id)),
            "data": _run_html.data(locale, studio.data_events(run.id)),
            "checkpoints": None if found is None else _run_html.checkpoints(locale, found),
            "choices": _run_html.choices(locale, studio.choices(run.id)),
            "log": None if frozen else _run_html.log(
                locale, studio.log_tail(run.id, search=words), words),
        }
        return parts, {"state": str(run.state), "resume": resume, "words": words,
                       "looked": now if look else old.get("looked", 0)}

    def _written(self, run: Run) -> str:
        """Return what a run without training has made or found."""
        if trains(run):
            return ""
        if run.objective != "evaluate":
            return _written(self.locale, run)
        return Shown(self.studio, self.locale, partial(
            model_label, self.studio, self.locale)).brief(run)

    def _buttons(self, run: Run, resume: int) -> list[Any]:
        key = "run.resume_from" if resume else "run.resume"
        label = t(self.locale, key, step=count(resume)) if resume else t(self.locale, key)
        busy = run.state == RunState.STOPPING
        stop = t(self.locale, "run.cancel" if run.state == RunState.QUEUED else
                 "run.stop" if trains(run) else "run.end")
        return [gr.update(visible=run.state in ACTIVE or run.state == RunState.QUEUED,
                          interactive=not busy, value=stop),
                gr.update(visible=run.state in RESUMABLE, value=label),
                gr.update(visible=run.state not in ACTIVE),
                gr.update(visible=answers(run), link=chat_address(run))]

    def _verb(self, verb: str) -> Any:
        def act(run_id: str, _before: str) -> Any:
            try:
                getattr(self.studio, verb)(run_id)
            except Exception as error:
                toast(self.locale, error)
                return gr.skip()
            return ""
        return act

    def _ask(self, run_id: str) -> Any:
        try:
            run = self.studio.run(run_id)
            words = _run_html.lost(self.locale, run, self.studio.checkpoints(run_id))
        except Exception as error:
            toast(self.locale, error)
            return gr.skip(), gr.skip()
        return gr.update(visible=True), words

    def _remove(self, run_id: str) -> Any:
        try:
            self.studio.delete(run_id)
        except Exception as error:
            toast(self.locale, error)
            return "", gr.update(visible=False)
        return run_id, gr.skip()


def answers(run: Run) -> bool:
    """Tell whether a run's result can be talked to."""
    return (run.state == RunState.COMPLETED and trains(run)
            and not _run_html.gives_scores(run) and not _run_html.is_sweep(run))


def exact_match(studio: Any, run: Run) -> tuple[float | None, float | None]:
    """Return the share of right answers (before, after); None where it was not measured."""
    if run.latest.get("exact_match") is None:
        return None, None
    points = [v for v in studio.series(run.id, ["exact_match"]).get("exact_match", [])
              if v[1] is not None]
    if not points:
        return None, None
    before = points[0][1] if points[0][0] == 0 else None
    return before, points[-1][1] if len(points) > 1 or before is None else None


def _written(locale: str, run: Run) -> str:
    """Return what an export or a merge has made, and how it compares with its source."""
    if run.objective == "merge":
        merge = merge_document(run) or {}
        return _export_run.merged(locale, run, merge) + _parity_html.parity(
            locale, merge.get("parity"))
    export = export_document(run)
    report = read_json(Path(export["dir"]) / "parity.json") if export else None
    return _export_run.written(locale, run, export) + _parity_html.parity(locale, report)


def _result(studio: Any, run: Run) -> Result | None:
    """Return how the last attempt ended, or None while it has not."""
    attempt = studio.attempt(run.id) if run.state in ENDED else None
    return Result.read(read_json(attempt.result)) if attempt else None


def _place(studio: Any, run: Run) -> int:
    queued = sorted(studio.runs(state=RunState.QUEUED), key=lambda other: other.queued_at)
    return next((place for place, other in enumerate(queued) if other.id == run.id), 0)

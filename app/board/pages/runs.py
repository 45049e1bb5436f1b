"""The Runs page: every run at a glance, live; several side by side."""

from __future__ import annotations

import hashlib
from typing import Any

import gradio as gr

from app.board import icons
from app.board.doors import door
from app.board.i18n import t
from app.board.pages import _compare
from app.board.pages._parity_html import chip as verdict_chip
from app.board.pages._parts import (
    bar,
    chip,
    device_words,
    html,
    method_words,
    progress_words,
    shown_fraction,
    sparkline,
    text,
    trains,
)
from app.board.wording import ago, loss, size
from app.runs import Run, RunState
from trainer.contract.kinds import OTHERS


def page(blocks: gr.Blocks, studio: Any, locale: str) -> None:
    """Lay out the page inside the current Blocks."""
    html(_title(locale))
    compared = html("", "runs-compare")
    with gr.Row(elem_classes="f-filters"):
        search = gr.Textbox(placeholder=t(locale, "runs.search"), label=t(locale, "runs.search"),
                            show_label=False, container=False, scale=4, max_lines=1,
                            elem_id="runs-search")
        state = gr.Dropdown(_states(locale), value="", label=t(locale, "runs.state"),
                            show_label=False, container=False, scale=1, min_width=150,
                            filterable=False, elem_id="runs-state")
        kind = gr.Dropdown(_kinds(locale), value="", label=t(locale, "runs.kind"),
                           show_label=False, container=False, scale=1, min_width=150,
                           filterable=False, elem_id="runs-kind")
        html(_compare_button(locale), fit=True)
    table = html(_waiting(locale), "runs-table")
    seen = gr.Textbox("", visible=False)
    timer = gr.Timer(1.0)

    @door(locale, lambda banner: (banner, ""))
    def refresh(words: str, wanted: str, kind: str, before: str) -> Any:
        mark = f"{studio.watermark()}|{words}|{wanted}|{kind}"
        if before.partition("#")[0] == mark:
            return gr.skip(), gr.skip()
        drawn = table_html(studio, locale, words or "", wanted or "", kind or "")
        digest = hashlib.sha256(drawn.encode()).hexdigest()[:12]
        same = before.partition("#")[2] == digest
        return gr.skip() if same else drawn, f"{mark}#{digest}"

    @door(locale, lambda banner: (banner, gr.skip(), gr.skip()))
    def load(request: gr.Request) -> Any:
        ids = [i for i in request.query_params.get("compare", "").split(",") if i][:6]
        chart = _compare.panel(studio, locale, ids) if len(ids) > 1 else ""
        return chart, table_html(studio, locale, "", ""), ""

    inputs, outputs = [search, state, kind, seen], [table, seen]
    quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden",
                             "concurrency_limit": None, "api_visibility": "private"}
    timer.tick(refresh, inputs, outputs, **quiet)
    gr.on([search.change, state.change, kind.change], refresh, inputs, outputs, 
          trigger_mode="always_last", **quiet)
    blocks.load(load, None, [compared, table, seen], **quiet)


def _states(locale: str) -> list[tuple[str, str]]:
    return [(t(locale, "runs.any_state"), ""),
            *((t(locale, f"state.{state}"), str(state)) for state in RunState)]


def _kinds(locale: str) -> list[tuple[str, str]]:
    return [(t(locale, "runs.any_kind"), ""), (t(locale, "runs.training"), "train"),
            *((t(locale, f"objective.{kind}"), kind) for kind in OTHERS)]


def _title(locale: str) -> str:
    return (f'<div class="f-title"><div><h1>{text(t(locale, "page.runs"))}</h1>'
            f'<p>{text(t(locale, "runs.lead"))}</p></div>'
            f'<a class="f-button f-primary" id="new-run" href="./train">{icons.PLUS}'
            f'{text(t(locale, "runs.new"))}</a></div>')


def _compare_button(locale: str) -> str:
    return ('<a class="f-button" id="runs-compare-button" role="button" aria-disabled="true" '
            f'title="{text(t(locale, "compare.hint"))}">{text(t(locale, "compare.button"))}'
            '<span id="runs-compare-count"></span></a>')


def _waiting(locale: str) -> str:
    return f'<div class="f-card f-wait" role="status">{text(t(locale, "loading"))}</div>'


def table_html(studio: Any, locale: str, words: str, wanted: str, kind: str = "") -> str:
    """Return the whole table, or what to do first when there is nothing to show."""
    found: list[Run] = studio.runs(state=wanted or None, search=words)
    runs = [run for run in found if not kind or (
        trains(run) if kind == "train" else run.objective == kind)]
    if not runs:
        return _nothing(locale) if words or wanted or kind else _empty(locale)
    curves = studio.sparkline([run.id for run in runs])
    line = _line(studio)
    heads = "".join(f"<span>{text(t(locale, f'runs.head.{key}'))}</span>" for key in
                    ("run", "state", "progress", "loss", "device", "age"))
    rows = "".join(_row(locale, run, curves.get(run.id, []), line.get(run.id, 0))
                   for run in runs)
    return (f'<div class="f-table" role="list"><div class="f-head" aria-hidden="true"><span></span>'
            f"{heads}</div>{rows}</div>")


def _line(studio: Any) -> dict[str, int]:
    """Return each queued run's place in the queue, 0 is next."""
    queued = sorted(studio.runs(state=RunState.QUEUED), key=lambda run: run.queued_at)
    return {run.id: place for place, run in enumerate(queued)}


def _row(locale: str, run: Run, curve: list[float | None], place: int) -> str:
    words = progress_words(locale, run, place)
    tags = "".join(f'<i class="f-tag">{text(tag)}</i>' for tag in run.tags)
    pick = t(locale, "compare.pick", name=run.name)
    box = (f'<input type="checkbox" class="f-pick" value="{text(run.id)}" '
           f'aria-label="{text(pick)}">' if trains(run) else "<span></span>")
    return (f'<div class="f-row" role="listitem" data-id="{text(run.id)}">'
            f'{box}<div class="f-name"><a href="./run?id={text(run.id)}">{text(run.name)}</a>'
            f"<span>{text(method_words(locale, run))}{tags}</span></div>"
            f"<div>{chip(locale, run)}</div>"
            f'<div class="f-prog">{bar(shown_fraction(run), str(run.state), words)}'
            f"<span>{text(words)}</span></div>"
            f"{_result(locale, run, curve)}"
            f'<div class="f-dim f-device">{text(device_words(locale, run.device))}</div>'
            f'<div class="f-dim f-age">{text(ago(locale, run.created_at))}</div></div>')


def _result(locale: str, run: Run, curve: list[float | None]) -> str:
    """Return a run's curve; of an export how large it is, and whether it says the same."""
    last = run.latest.get("loss")
    if trains(run):
        trend = t(locale, "runs.trend", loss=loss(last))
        return f'<div class="f-curve">{sparkline(curve, trend)}<b>{loss(last)}</b></div>'
    made = run.latest.get("bytes")
    same, other = run.latest.get("parity_same"), run.latest.get("parity_different")
    verdict = "different" if other else "same" if same else ""
    return (f'<div class="f-curve f-made"><b>{size(made) if made else ""}</b>'
            f"{verdict_chip(locale, verdict) if verdict else ''}</div>")


def _empty(locale: str) -> str:
    steps = "".join(f"<li>{text(t(locale, f'empty.step{n}'))}</li>" for n in (1, 2, 3))
    return (f'<div class="f-card f-empty" id="runs-empty">{icons.MARK}'
            f'<h2>{text(t(locale, "empty.title"))}</h2><p>{text(t(locale, "empty.lead"))}</p>'
            f'<ol>{steps}</ol><div class="f-actions">'
            f'<a class="f-button f-primary" id="empty-quickstart" href="./train?preset=quickstart">'
            f'{text(t(locale, "empty.quickstart"))}</a>'
            f'<a class="f-button" href="./train">{text(t(locale, "empty.own"))}</a></div></div>')


def _nothing(locale: str) -> str:
    return (f'<div class="f-card f-empty"><h2>{text(t(locale, "runs.none_found"))}</h2>'
            f'<p>{text(t(locale, "runs.none_found_advice"))}</p></div>')

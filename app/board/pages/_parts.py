"""Small pieces of HTML; whatever came from a person, a file or a model is escaped (rule R13)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import gradio as gr

from app.board import icons
from app.board.i18n import choice_label, has, t
from app.board.wording import count, duration, place_in_line, size
from app.datajobs import Job
from app.runs import ACTIVE, Run, RunState
from trainer.contract.kinds import OTHERS


def text(value: object) -> str:
    """Return any value as HTML text, safe in elements and in quoted attributes."""
    return escape(str(value), quote=True)


def html(value: str = "", element_id: str | None = None, *, fit: bool = False) -> gr.HTML:
    """Return a component that shows HTML of ours with our styles alone."""
    classes = ["f-plain", "f-fit"] if fit else ["f-plain"]
    return gr.HTML(value, elem_id=element_id, elem_classes=classes, apply_default_css=False,
                   js_on_load=None)


def chip(locale: str, run: Run) -> str:
    """Return the coloured chip of a run's state."""
    state = str(run.state)
    return f'<span class="f-chip f-{state}">{text(t(locale, f"state.{state}"))}</span>'


def bar(fraction: float, state: str, label: str, *, tall: bool = False) -> str:
    """Return a progress bar that screen readers can read."""
    share = round(100 * min(1.0, max(0.0, fraction)), 1)
    kind = "f-bar f-tall" if tall else "f-bar"
    return (f'<div class="{kind} f-{text(state)}" role="progressbar" aria-valuemin="0" '
            f'aria-valuemax="100" aria-valuenow="{share:.0f}" aria-label="{text(label)}">'
            f'<i style="width:{share}%"></i></div>')


def sparkline(values: Sequence[float | None], label: str) -> str:
    """Return a small curve, or nothing when there are fewer than two points."""
    points = [v for v in values if v is not None]
    if len(points) < 2:
        return '<span class="f-dim">—</span>'
    low, high = min(points), max(points)
    span = (high - low) or 1.0
    step = 112 / (len(points) - 1)
    line = " ".join(f"{i * step + 1:.1f},{27 - (v - low) / span * 24:.1f}"
                    for i, v in enumerate(points))
    return (f'<svg class="f-spark" viewBox="0 0 114 30" role="img" aria-label="{text(label)}">'
            f'<polyline points="{line}"/></svg>')


def card(title: str, body: str, *, kind: str = "", element_id: str = "", side: str = "") -> str:
    """Return a white card; ``title`` is escaped, ``body`` and ``side`` are HTML."""
    identity = f' id="{element_id}"' if element_id else ""
    head = f'<div class="f-card-head"><h2>{text(title)}</h2>{side}</div>' if title else ""
    return f'<section class="f-card {kind}"{identity}>{head}{body}</section>'


def note(kind: str, title: str, body: str = "") -> str:
    """Return a banner of kind 'bad', 'warn', 'info' or 'ok'; ``body`` is HTML."""
    icon = {"bad": icons.WARN, "warn": icons.WARN, "ok": icons.CHECK}.get(kind, icons.INFO)
    role = "alert" if kind == "bad" else "status"
    return (f'<div class="f-note f-{kind}" role="{role}">{icon}<div><b>{text(title)}</b>'
            f"{body}</div></div>")


def job_card(job: Job, mark: str, title: str, line: str, cancel: str) -> str:
    """Return a card of work under way; ``mark`` is its attribute, escaped already."""
    return (f'<section class="f-card f-job" {mark} role="status"><div><b>{text(title)}</b>'
            f'<p class="f-progress-words">{text(line)}</p></div>'
            f'<button type="button" class="f-button f-small" data-do="cancel:{text(job.id)}">'
            f'{text(cancel)}</button>{bar(job.fraction, "running", f"{title}: {line}")}</section>')


def paragraph(words: str, kind: str = "") -> str:
    """Return an escaped paragraph, or nothing for an empty text."""
    style = f' class="{kind}"' if kind else ""
    return f"<p{style}>{text(words)}</p>" if words else ""


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """Return a two-column table of (escaped name, HTML value)."""
    body = "".join(f'<tr><th scope="row">{text(name)}</th><td>{value}</td></tr>'
                   for name, value in rows)
    return f'<table class="f-pairs"><tbody>{body}</tbody></table>'


def method_words(locale: str, run: Run) -> str:
    """Return "Supervised · LoRA · starter" for a run."""
    words = [t(locale, key) if has(key) else choice_label(locale, path, plain)
             for key, path, plain in (
                 (f"objective.{run.objective}", "objective", run.objective),
                 (f"method.{run.method}", "tuner.type", run.method)) if plain]
    return " · ".join([*words, run.model]) if run.model else " · ".join(words)


def device_words(locale: str, device: str) -> str:
    """Return a device's short name."""
    if device == "cpu":
        return t(locale, "device.cpu")
    return device.partition(":")[2].strip() or device or "—"


def trains(run: Run) -> bool:
    """Tell whether a run trains; an export and a merge have pieces in place of steps."""
    return run.objective not in OTHERS


def unit_of(run: Run) -> str:
    """Return what a run counts: 'steps', the 'rows' of an evaluation, 'pieces' of other work."""
    return "steps" if trains(run) else "rows" if run.objective == "evaluate" else "pieces"


def stage_words(locale: str, run: Run) -> str:
    """Say what a working run does now, with numbers when the stage counts something."""
    progress = run.progress
    name = t(locale, f"stage.{progress.stage}") if has(f"stage.{progress.stage}") else ""
    if progress.stage in ("training", "") or not progress.stage_total:
        return name
    if progress.stage_unit == "bytes":
        return t(locale, "stage.counted", stage=name, done=size(progress.stage_done),
                 total=size(progress.stage_total))
    return t(locale, "stage.counted", stage=name, done=count(progress.stage_done),
             total=count(progress.stage_total))


def time_taken(run: Run) -> tuple[str, float]:
    """Return how long an ended run took: what was measured, and seconds.

    'took' is the whole of a run of one attempt; 'trained' the training of all attempts; 'last'
    the last attempt alone, where the trainer had no time to say more; '' is not known.
    """
    if run.attempt > 1 and run.state == RunState.COMPLETED:
        trained = run.latest.get("train_runtime_s")
        if trained:
            return "trained", trained
    seconds = (run.ended_at or 0) - (run.started_at or 0)
    if not run.started_at or seconds <= 0:
        return "", 0.0
    return "last" if run.attempt > 1 else "took", seconds


def progress_words(locale: str, run: Run, place: int = 0) -> str:
    """Return the sentence under a run's progress bar."""
    progress, state = run.progress, run.state
    steps = t(locale, f"progress.{unit_of(run)}", step=count(progress.step),
              total=count(progress.total_steps)) if progress.total_steps else ""
    if state == RunState.QUEUED:
        return place_in_line(locale, place)
    if state == RunState.COMPLETED:
        kind, seconds = time_taken(run)
        return t(locale, f"progress.{kind}", time=duration(locale, seconds)) if kind else steps
    if state in ACTIVE:
        if state == RunState.STOPPING:
            return t(locale, "progress.stopping" if trains(run) else "progress.ending")
        stage = stage_words(locale, run)
        if stage and steps and not trains(run):
            return f"{stage} · {steps}"
        if progress.stage in ("training", "") and progress.total_steps:
            left = progress.eta_s
            return steps if left is None else t(
                locale, "progress.left", steps=steps, time=duration(locale, left))
        return stage or t(locale, "progress.starting")
    where = t(locale, f"progress.ended.{unit_of(run)}",
              step=count(progress.step),
              total=count(progress.total_steps)) if progress.total_steps else ""
    return where or t(locale, f"ended.{state}")


def shown_fraction(run: Run) -> float:
    """Return what the bar shows: the stage's share before training, else the steps' share."""
    progress = run.progress
    if run.state == RunState.COMPLETED:
        return 1.0
    if not trains(run) and progress.total_steps:
        inside = progress.stage_done / progress.stage_total if progress.stage_total else 0.0
        return min(1.0, (progress.step + min(1.0, inside)) / progress.total_steps)
    if run.state in ACTIVE and progress.stage_total and progress.stage not in (
            "training", "evaluating", "saving"):
        return progress.stage_done / progress.stage_total
    return progress.fraction

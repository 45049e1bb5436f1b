"""The Run page's panels as HTML; pure functions of what the studio knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from app.board import icons
from app.board.forms import number_text
from app.board.i18n import choice_label, field_title, has, reason_text, said, t
from app.board.pages._export_run import TOLD
from app.board.pages._parts import (
    bar,
    card,
    chip,
    device_words,
    method_words,
    note,
    pairs,
    paragraph,
    progress_words,
    shown_fraction,
    text,
    time_taken,
    trains,
    unit_of,
)
from app.board.wording import ago, count, duration, loss, number, percent, size
from app.outcome import Result
from app.runs import ACTIVE, RESUMABLE, Run, RunState
from trainer.contract.commits import CheckpointInfo
from trainer.contract.config import (
    OBJECTIVES,
    all_fields,
    brief_yaml,
    load_yaml,
    parse,
    to_yaml,
)
from trainer.contract.events import ChoiceEvent, DataEvent, SampleEvent, WarningEvent
from trainer.contract.kinds import kind_of, parse_any

# What a sweep does on purpose: it raises the rate until training breaks.
_MEANT = {"gradient_spike", "nan_gradient"}
_ACCURACIES = ("eval_accuracy", "eval_rewards_accuracies")


def _stat(value: str, label: str) -> str:
    return f"<div><b>{text(value)}</b><span>{text(label)}</span></div>"


def _stats(locale: str, run: Run, matches: tuple[float | None, float | None]) -> str:
    progress, latest = run.progress, run.latest
    stats = []
    if progress.total_steps:
        of = t(locale, f"stat.of_{unit_of(run)}",
               total=count(progress.total_steps))
        stats.append(_stat(count(progress.step), of))
    if not trains(run) and latest.get("bytes"):
        stats.append(_stat(size(latest["bytes"] or 0), t(locale, "stat.written")))
    if run.state in ACTIVE and progress.eta_s is not None:
        stats.append(_stat(duration(locale, progress.eta_s), t(locale, "stat.left")))
    elif run.ended_at and (taken := time_taken(run))[0]:
        stats.append(_stat(duration(locale, taken[1]), t(locale, f"stat.{taken[0]}")))
    if latest.get("reward") is not None:
        stats.append(_stat(number(latest["reward"], 3), t(locale, "stat.reward")))
    elif latest.get("loss") is not None:
        stats.append(_stat(loss(latest["loss"]), t(locale, "stat.loss")))
    held_out = next((latest[key] for key in _ACCURACIES if latest.get(key) is not None), None)
    if held_out is not None:
        stats.append(_stat(percent(held_out), t(locale, "stat.accuracy")))
    if latest.get("tokens_per_s"):
        stats.append(_stat(number(round(latest["tokens_per_s"] or 0)), t(locale, "stat.tokens_s")))
    if latest.get("memory_mib"):
        stats.append(_stat(size((latest["memory_mib"] or 0) * 1024 * 1024),
                           t(locale, "stat.memory")))
    before, after = matches
    if before is not None and after is not None:
        stats.append(_stat(f"{percent(before)} → {percent(after)}", t(locale, "stat.match")))
    elif before is not None:
        stats.append(_stat(percent(before), t(locale, "stat.match_before")))
    return "".join(stats)


def hero(locale: str, run: Run, matches: tuple[float | None, float | None], place: int) -> str:
    """Return the head of the page: what the run is, how it stands, how far it is."""
    words = progress_words(locale, run, place)
    when = t(locale, "hero.started", ago=ago(locale, run.started_at)) if run.started_at else t(
        locale, "hero.created", ago=ago(locale, run.created_at))
    about = [method_words(locale, run), device_words(locale, run.device) if run.device else "",
             when, t(locale, "hero.attempt", n=run.attempt) if run.attempt > 1 else ""]
    return (f'<div class="f-hero" data-state="{text(run.state)}"><div><h1>{text(run.name)} '
            f"{chip(locale, run)}</h1><p>{text(' · '.join(a for a in about if a))}</p></div>"
            f'<div class="f-stats">{_stats(locale, run, matches)}</div></div>'
            f"{bar(shown_fraction(run), str(run.state), words, tall=True)}"
            f'<p class="f-progress-words" id="run-progress">{text(words)}</p>')


def health(locale: str, run: Run, warnings: Sequence[WarningEvent], *, resume_step: int,
           result: Result | None) -> str:
    """Return banners: why it ended, how to go on, and what was odd on the way.

    Args:
        locale: Language.
        run: The run.
        warnings: What was odd.
        resume_step: The step of the newest checkpoint that can be used, 0 for none.
        result: How its last attempt ended, if it has.
    """
    banners = []
    if run.state in (RunState.FAILED, RunState.INTERRUPTED, RunState.STOPPED):
        kind = {RunState.FAILED: "bad", RunState.STOPPED: "info"}.get(run.state, "warn")
        reason, advice = said(locale, result.code, result.message, result.advice) if (
            result and result.message == run.reason) else (
                reason_text(locale, run.reason), "")
        body = paragraph(reason) + paragraph(advice if run.state == RunState.FAILED else "")
        body += paragraph(_resume_words(locale, run, resume_step) if trains(run)
                          else t(locale, "resume.pieces"))
        banners.append(note(kind, t(locale, f"ended.{run.state}"), body))
    seen = dict.fromkeys((warning.code, warning.message) for warning in warnings
                         if not (is_sweep(run) and warning.code in _MEANT)
                         and not (run.state is RunState.COMPLETED and warning.code in TOLD))
    for code, message in list(seen)[-4:]:
        steps = [w.step for w in warnings if w.code == code and w.step is not None]
        words = t(locale, f"warning.{code}") if has(f"warning.{code}") else message
        where = t(locale, "warning.at", step=count(steps[-1])) if steps else ""
        detail = paragraph(reason_text(locale, message)) if has(f"warning.{code}") else ""
        banners.append(note("warn", f"{words} {where}".strip(), detail))
    return _proposal(locale, run) + "".join(banners)


def is_sweep(run: Run) -> bool:
    """Tell whether a run looks for a learning rate instead of training."""
    return run.latest.get("lr_finder_rate") is not None


def _proposal(locale: str, run: Run) -> str:
    """Return the learning rate that a sweep proposes, with the way to train with it."""
    rate = run.latest.get("proposed_learning_rate")
    if rate is None or run.state != RunState.COMPLETED:
        return ""
    shown = number_text(rate)
    address = f"./train?clone={quote(run.id, safe='')}&rate={shown}"
    return note("ok", t(locale, "finder.proposal", rate=shown),
                f'<div class="f-actions"><a class="f-button f-primary f-small" id="run-use-rate" '
                f'href="{text(address)}">{text(t(locale, "finder.use"))}</a></div>')


def gives_scores(run: Run) -> bool:
    """Tell whether a run's model scores texts instead of writing any."""
    facts = OBJECTIVES.get(run.objective)
    return bool(facts and facts.head)


def cannot_chat(locale: str, run: Run) -> str:
    """Say why a result cannot be talked to; nothing for one that can, or that is not there yet."""
    kind = "finder" if is_sweep(run) else "head" if gives_scores(run) else ""
    if not kind or run.state != RunState.COMPLETED:
        return ""
    return card(t(locale, "chat.title"), _quiet(t(locale, f"chat.cannot.{kind}")),
                element_id="run-chat-reason")


def _resume_words(locale: str, run: Run, resume_step: int) -> str:
    if run.state not in RESUMABLE:
        return ""
    if resume_step:
        return t(locale, "resume.from", step=count(resume_step))
    return t(locale, "resume.again")


def samples(locale: str, events: Sequence[SampleEvent]) -> str:
    """Return the answers of the newest steps, grouped by step."""
    if not events:
        return card(t(locale, "samples.title"), _quiet(t(locale, "samples.none")))
    steps = sorted({event.step for event in events}, reverse=True)[:3]
    body = ""
    for step in steps:
        body += f'<h3>{text(t(locale, "samples.step", step=count(step)))}</h3>'
        body += "".join(_sample(locale, event) for event in events if event.step == step)
    return card(t(locale, "samples.title"), f'<div class="f-samples" tabindex="0">{body}</div>')


def _sample(locale: str, event: SampleEvent) -> str:
    right = bool(event.reference) and event.output.strip() == event.reference.strip()
    mark = f'<i class="f-right">{icons.CHECK}</i>' if right else ""
    expected = "" if right or not event.reference else (
        f'<p class="f-dim">{text(t(locale, "samples.expected"))} {text(event.reference)}</p>')
    answer = event.output.strip() or t(locale, "samples.empty")
    reward = "" if event.reward is None else (
        f'<p class="f-dim">{text(t(locale, "samples.reward"))} {number(event.reward, 3)}</p>')
    return (f'<div class="f-sample"><b>{text(event.prompt)}</b>'
            f"<p>{mark}{text(answer)}</p>{expected}{reward}</div>")


def _quiet(words: str) -> str:
    return f'<p class="f-quiet">{text(words)}</p>'


def data(locale: str, events: Iterable[DataEvent]) -> str:
    """Return what became of the rows of each split, from the newest event of each."""
    newest = {event.split: event for event in events}
    if not newest:
        return ""
    seen = [key for key in ("filtered", "duplicates")
            if any(getattr(event, key) for event in newest.values())]
    learned = ["trained_tokens"] if any(e.trained_tokens for e in newest.values()) else []
    measured = ("cut", "dropped", "tokens", *learned, "max_tokens") \
        if any(event.tokens for event in newest.values()) else ()
    keys = ("rows", "used", "bad_rows", *seen, *measured)
    head = "".join(f'<th scope="col">{text(t(locale, f"data.{split}"))}</th>' for split in newest)
    body = "".join(
        f'<tr><th scope="row">{text(t(locale, f"data.{key}"))}</th>'
        + "".join(f"<td>{count(getattr(event, key))}</td>" for event in newest.values()) + "</tr>"
        for key in keys)
    return card(t(locale, "data.title"), f'<table class="f-pairs"><thead><tr><td></td>{head}</tr>'
                f"</thead><tbody>{body}</tbody></table>")


def checkpoints(locale: str, found: Sequence[CheckpointInfo]) -> str:
    """Return the committed checkpoints; a damaged one says why."""
    if not found:
        return ""
    rows = "".join(
        f'<li class="{"f-broken" if item.problem else ""}">'
        f'{icons.WARN if item.problem else icons.CHECK}'
        f'<div><b>{text(t(locale, "checkpoints.step", step=count(item.step)))}</b>'
        f'<span class="f-dim">{size(item.size_bytes)}</span>'
        f"{paragraph(t(locale, 'checkpoints.broken', why=item.problem)) if item.problem else ''}"
        "</div></li>" for item in found)
    return card(t(locale, "checkpoints.title"), f'<ul class="f-list">{rows}</ul>')


def choices(locale: str, made: Iterable[ChoiceEvent | Any]) -> str:
    """Return every value that was chosen automatically, with its reason."""
    rows = {item.field: item for item in made}
    if not rows:
        return ""
    body = "".join(
        f"<li><div><b>{text(choice_title(locale, field))}</b> "
        f"<code>{text(choice_value(locale, field, item.value))}</code>"
        f'<span class="f-dim">{text(reason_text(locale, item.reason))}</span></div></li>'
        for field, item in rows.items())
    return card(t(locale, "choices.title"), f'<ul class="f-list f-choices">{body}</ul>')


def choice_title(locale: str, field: str) -> str:
    """Return what an automatic choice is about."""
    known = all_fields().get(field)
    if known:
        return field_title(locale, known)
    return next((t(locale, key) for key in (f"chosen.{field}", field) if has(key)), field)


def choice_value(locale: str, field: str, value: Any) -> str:
    """Return what was chosen: a choice's label, on or off, words in the language."""
    plain = str(value)
    if plain in ("True", "False"):
        return t(locale, f"value.{plain.lower()}")
    label = choice_label(locale, field, plain)
    return reason_text(locale, plain) if label == plain else label


def log(locale: str, tail: str, words: str) -> str:
    """Return the log's tail as text."""
    if tail.strip():
        return f'<pre class="f-log" tabindex="0" id="run-log">{text(tail)}</pre>'
    return _quiet(t(locale, "log.no_match" if words else "log.none"))


def config(locale: str, yaml_text: str) -> str:
    """Return what the run's config has beside the defaults, and all of it folded, as YAML."""
    copy = (f'<button type="button" class="f-button f-small" data-copy="run-yaml">'
            f'{text(t(locale, "copy"))}</button>')
    brief, folded = _brief(yaml_text), ""
    if brief != yaml_text:
        folded = (f'<details class="f-whole"><summary>{text(t(locale, "config.whole"))}</summary>'
                  f'<pre class="f-code" tabindex="0" id="run-yaml-whole">{text(yaml_text)}</pre>'
                  "</details>")
    return card(t(locale, "config.title"), f'<pre class="f-code" tabindex="0" id="run-yaml">'
                f"{text(brief)}</pre>{folded}", side=copy)


def _brief(yaml_text: str) -> str:
    """Return a config without its defaults; as it is when this version cannot read it."""
    try:
        values = load_yaml(yaml_text)
        if kind_of(values) == "train":
            return brief_yaml(parse(values))
        return f"kind: {kind_of(values)}\n{to_yaml(parse_any(values), complete=False)}"
    except ValueError:
        return yaml_text


def links(locale: str, run: Run) -> str:
    """Return the links of the action row: what to do with the run, and downloads."""
    key = text(run.id)
    api = f"./api/runs/{key}"
    # (id, address, words, attribute)
    items = [("run-clone", f"./{'train' if trains(run) else run.objective}?clone={key}",
              "run.clone", "")]
    if trains(run) and not gives_scores(run) and not is_sweep(run):
        items += [("run-evaluate", f"./evaluate?model={key}", "run.evaluate", ""),
                  ("run-export", f"./export?model={key}", "run.export", "")]
        if run.method not in ("full", "freeze"):
            items.append(("run-merge", f"./merge?models={key}", "run.merge", ""))
    items.append(("run-download-config", f"{api}/config?download=true", "run.config", " download"))
    if trains(run):
        items += [("run-download-metrics", f"{api}/metrics.csv", "run.csv", " download"),
                  ("run-download-script", f"{api}/script", "run.script", " download")]
    return "".join(f'<a class="f-button" id="{identity}" href="{href}"{extra}>'
                   f"{icons.DOWNLOAD if extra else ''}{text(t(locale, word))}</a>"
                   for identity, href, word, extra in items)


def log_link(locale: str, run_id: str) -> str:
    """Return the link that downloads the whole log."""
    return (f'<a class="f-button f-small" id="run-download-log" download '
            f'href="./api/runs/{text(run_id)}/log/download">{icons.DOWNLOAD}'
            f'{text(t(locale, "log.download"))}</a>')


def lost(locale: str, run: Run, found: Sequence[CheckpointInfo]) -> str:
    """Say what deleting a run loses."""
    items = [t(locale, "delete.curves" if trains(run) else "delete.log")]
    if found:
        total = sum(item.size_bytes for item in found)
        items.append(t(locale, "delete.checkpoints", n=len(found), size=size(total)))
    if run.state == RunState.COMPLETED:
        items.append(t(locale, "delete.model" if trains(run) else "delete.written"))
    body = "<ul>" + "".join(f"<li>{text(item)}</li>" for item in items) + "</ul>"
    return note("bad", t(locale, "delete.title", name=run.name),
                body + paragraph(t(locale, "delete.final")))


def not_found(locale: str, run_id: str) -> str:
    """Return the page for an id that no run has."""
    return (f'<div class="f-card f-empty" id="run-missing">{icons.MARK}'
            f'<h2>{text(t(locale, "missing.title"))}</h2>'
            f'<p>{text(t(locale, "missing.lead", id=run_id or "—"))}</p>'
            f'<div class="f-actions"><a class="f-button f-primary" href="./">'
            f'{text(t(locale, "missing.back"))}</a></div></div>')


def facts(locale: str, run: Run) -> str:
    """Return where the run lies and who started it."""
    rows = [(t(locale, "facts.id"), f"<code>{text(run.id)}</code>"),
            (t(locale, "facts.dir"), f"<code>{text(run.dir)}</code>"),
            (t(locale, "facts.attempts"), count(run.attempt))]
    return card(t(locale, "facts.title"), pairs(rows))

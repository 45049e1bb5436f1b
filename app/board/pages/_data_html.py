"""The Data page's panels as HTML; pure functions. Every cell and name is escaped (rule R13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from app.board import icons
from app.board.i18n import has, row_text, said, shape_text, t
from app.board.pages._parts import card, job_card, note, paragraph, text
from app.board.wording import count, duration, percent, size
from app.datajobs import Job
from app.datasetviews import DatasetChoice, ProblemPage, ReportView

PAGE_OF_PROBLEMS = 20


def address(name: str, row: int | None = None) -> str:
    """Return a dataset's address, and a row's in it; safe in an attribute."""
    place = f"./data?name={quote(name, safe='')}"
    return text(place if row is None else f"{place}&row={row}")


def quoted(name: str) -> str:
    """Return a dataset's name as it stands in an address."""
    return text(quote(name, safe=""))


def shape_words(locale: str, kind: str) -> str:
    """Return the name of a shape."""
    key = f"shape.{kind}"
    return t(locale, key) if has(key) else kind


def code_words(locale: str, code: str) -> str:
    """Return what a code of bad rows means in a few words."""
    key = f"rowcode.{code}"
    return t(locale, key) if has(key) else code.replace("_", " ")


# The list


def table(locale: str, found: Sequence[DatasetChoice], working: Mapping[str, Job]) -> str:
    """Return the list of datasets; ``working`` has the job that is at each."""
    if not found:
        return (f'<div class="f-card f-empty" id="data-empty">{icons.MARK}'
                f'<h2>{text(t(locale, "ds.none"))}</h2><p>{text(t(locale, "ds.none_lead"))}</p>'
                "</div>")
    heads = "".join(f"<span>{text(t(locale, f'ds.head.{key}'))}</span>"
                    for key in ("name", "rows", "size", "state", "runs"))
    rows = "".join(_row(locale, one, working.get(one.name)) for one in found)
    return (f'<div class="f-table f-datasets" role="list"><div class="f-head" aria-hidden="true">'
            f"{heads}</div>{rows}</div>")


def _row(locale: str, one: DatasetChoice, job: Job | None) -> str:
    about = " · ".join((shape_words(locale, one.kind), t(locale, f"origin.{one.origin}")))
    rows = "—" if one.rows is None else count(one.rows)
    used = "".join(f'<a href="./run?id={text(run)}">{text(name)}</a>'
                   for run, name in one.used_by[:2])
    more = f'<span class="f-dim">+{len(one.used_by) - 2}</span>' if len(one.used_by) > 2 else ""
    return (f'<div class="f-row" role="listitem" data-name="{text(one.name)}">'
            f'<div class="f-name"><a href="{address(one.name)}">{text(one.name)}</a>'
            f"<span>{text(about)}</span></div>"
            f'<div class="f-num" data-label="{text(t(locale, "ds.head.rows"))}">{rows}</div>'
            f'<div class="f-num f-dim">{size(one.size_bytes) if one.size_bytes else "—"}</div>'
            f"<div>{badge(locale, one, job)}</div>"
            f'<div class="f-used">{used}{more or ("" if used else "—")}</div></div>')


def badge(locale: str, one: DatasetChoice, job: Job | None = None) -> str:
    """Return the chip that says whether a dataset can be used."""
    kind, words = _verdict(locale, one, job)
    return f'<span class="f-chip f-{kind}">{text(words)}</span>'


def _verdict(locale: str, one: DatasetChoice, job: Job | None) -> tuple[str, str]:
    if one.problem:
        return "failed", t(locale, "ds.unusable")
    if job is not None and job.active and job.op in ("check", "fetch"):
        return "running", t(locale, "ds.reading", share=percent(round(job.fraction, 2)))
    if one.bad_rows is None:
        return "queued", t(locale, "ds.unread")
    if one.bad_rows:
        return "interrupted", t(locale, "ds.bad_rows", n=count(one.bad_rows))
    return "completed", t(locale, "ds.fine")


# One dataset


def hero(locale: str, one: DatasetChoice, report: ReportView | None, job: Job | None) -> str:
    """Return the head of a dataset's page: what it is, and its numbers."""
    about = [t(locale, f"origin.{one.origin}"), one.file_name,
             size(one.size_bytes) if one.size_bytes else ""]
    stats = _stats(locale, report) if report is not None else ""
    return (f'<p class="f-crumb"><a href="./data">{text(t(locale, "page.data"))}</a></p>'
            f'<div class="f-hero" data-dataset="{text(one.name)}" '
            f'data-checked="{str(report is not None and report.complete).lower()}">'
            f"<div><h1>{text(one.name)} {badge(locale, one, job)}</h1>"
            f"<p>{text(' · '.join(a for a in about if a))}</p></div>"
            f'<div class="f-stats">{stats}</div></div>')


def _stats(locale: str, report: ReportView) -> str:
    found = [("rows", count(report.rows)), ("usable", count(report.usable)),
             ("bad", count(report.bad_rows))]
    if report.duplicates is not None:
        found.append(("duplicates", count(report.duplicates)))
    if report.characters:
        found.append(("characters", count(report.characters)))
    return "".join(f'<div data-stat="{key}"><b>{value}</b>'
                   f'<span>{text(t(locale, f"ds.stat.{key}"))}</span></div>'
                   for key, value in found)


def recognised(locale: str, report: ReportView) -> str:
    """Return what the rows were taken for, why, and how surely."""
    rows = [(t(locale, "ds.shape"), f"<b>{text(shape_words(locale, report.kind))}</b>"),
            (t(locale, "ds.sure"), percent(round(report.confidence, 3)))]
    if report.encodings:
        said_encodings = ", ".join(report.encodings)
        rows.append((t(locale, "ds.encoding"), text(said_encodings)))
    if report.turns:
        rows.append((t(locale, "ds.turns"), text(_turns(report.turns))))
    if report.mapping:
        roles = "".join(f'<code class="f-role">{text(role)}</code> {text(column)}<br>'
                        for role, column in report.mapping.items())
        rows.append((t(locale, "ds.mapping"), roles))
    body = "".join(f'<tr><th scope="row">{text(name)}</th><td>{value}</td></tr>'
                   for name, value in rows)
    why = paragraph(_sentence(shape_text(locale, report.reason)), "f-quiet")
    return card(t(locale, "ds.recognised"), f"{why}"
                f'<table class="f-pairs"><tbody>{body}</tbody></table>', element_id="data-shape")


def _sentence(words: str) -> str:
    if not words or words.endswith("。"):
        return words
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."


def _turns(turns: Mapping[int, int]) -> str:
    """Return the numbers of turns that are most common, as "2 (7,473), 4 (12)"."""
    common = sorted(turns.items(), key=lambda pair: (-pair[1], pair[0]))[:5]
    return ", ".join(f"{key} ({count(value)})" for key, value in common)


def work(locale: str, jobs: Sequence[Job]) -> str:
    """Return the work that is under way with how to cancel it, and what the last one came to."""
    shown = [job for job in jobs if job.active]
    failed = [job for job in jobs if job.state in ("failed", "cancelled")
              and not any(other.op == job.op and other.asked_at > job.asked_at for other in jobs)]
    made = [job for job in jobs if job.state == "done" and job.op in ("fix", "split")][-1:]
    return ("".join(_job(locale, job) for job in shown)
            + "".join(_ended(locale, job) for job in failed[-2:])
            + "".join(_made(locale, job) for job in made))


def _made(locale: str, job: Job) -> str:
    """Say what a fix or a split came to, with the way there."""
    result = job.result
    if job.op == "split":
        names = [str(result.get("train", "")), str(result.get("eval", ""))]
        words = t(locale, "split.done", train=count(int(result.get("train_rows", 0))),
                  held=count(int(result.get("eval_rows", 0))))
    else:
        names = [str(result.get("name", ""))]
        dropped = ", ".join(f"{code_words(locale, code)}: {count(int(n))}"
                            for code, n in dict(result.get("dropped") or {}).items())
        words = t(locale, "fix.done", rows=count(int(result.get("rows_out", 0)))) if dropped \
            else t(locale, "fix.nothing")
        words = f"{words} {dropped}".strip()
    links = " ".join(f'<a href="{address(name)}">{text(name)}</a>' for name in names if name)
    return note("ok", words, f'<p class="f-look" data-made="{text(job.op)}">{links}</p>')


def job_title(locale: str, job: Job) -> str:
    """Return what a job does."""
    return t(locale, f"job.{job.op}")


def _job(locale: str, job: Job) -> str:
    words = [t(locale, "job.waiting")] if job.state == "waiting" else []
    if job.rows:
        words.append(t(locale, "job.rows", n=count(job.rows)))
    if job.total:
        words.append(percent(round(job.fraction, 3)))
    if (eta_s := job.eta_s()) is not None:
        words.append(t(locale, "job.left", time=duration(locale, eta_s)))
    line = " · ".join(words) or t(locale, "job.begins")
    return job_card(job, f'data-job="{text(job.op)}"', job_title(locale, job), line,
                    t(locale, "job.cancel"))


def _ended(locale: str, job: Job) -> str:
    title = job_title(locale, job)
    if job.state == "cancelled":
        return note("info", t(locale, "job.cancelled", what=title))
    message, advice = said(locale, *(job.error or ("internal", "", "")))
    return note("bad", t(locale, "job.failed", what=title),
                paragraph(row_text(locale, message)) + paragraph(advice))


def unusable(locale: str, one: DatasetChoice) -> str:
    """Return why a dataset cannot be used at all, and what a person can do on this page."""
    message, advice = said(locale, one.code, one.problem, "", params={"name": one.name})
    if one.code == "mapping" or "the columns are" in one.problem:
        message, _ = said(locale, one.code, one.problem.partition(" Columns such as")[0], "",
                          params={"name": one.name})
        advice = t(locale, "ds.map_it")
        return note("warn", t(locale, "ds.cannot_yet"), paragraph(message) + paragraph(advice))
    return note("bad", t(locale, "ds.cannot"), paragraph(message) + paragraph(advice))


def problems(locale: str, name: str, report: ReportView, pages: Sequence[ProblemPage], *,
             reading: bool = False) -> str:
    """Return the bad rows, grouped by what is wrong with them.

    Args:
        locale: Language.
        name: The dataset.
        report: What is known, whole or so far.
        pages: Some rows of each kind of problem.
        reading: Whether the other rows are being read.
    """
    title = t(locale, "ds.problems")
    rows = count(report.rows)
    if not pages:
        key = "no_problems" if report.complete else "no_problems_yet" if reading else "fine_so_far"
        return card(title, f'<p class="f-ok-words">{icons.CHECK}'
                    f'{text(t(locale, f"ds.{key}", rows=rows))}</p>')
    key = "" if report.complete else "ds.so_far" if reading else "ds.only_first"
    said_so = paragraph(t(locale, key, rows=rows), "f-quiet f-so-far") if key else ""
    body = "".join(_group(locale, name, page) for page in pages)
    return card(title, said_so + body)


def _group(locale: str, name: str, page: ProblemPage) -> str:
    kind = "f-failed" if page.severity == "error" else "f-interrupted"
    items = "".join(
        f'<li><a href="{address(name, item.row)}" data-row="{item.row}">'
        f'{text(t(locale, "ds.row_n", n=count(item.row)))}</a>'
        f'<span>{text(_short(row_text(locale, item.message)))}</span></li>'
        for item in page.items)
    return (f'<details class="f-group" open data-code="{text(page.code)}"><summary>'
            f"<b>{text(code_words(locale, page.code))}</b>"
            f'<span class="f-chip {kind}">{count(page.total)}</span></summary>'
            f"<ol>{items}</ol>{_paging(locale, page)}</details>")


def _short(message: str, limit: int = 300) -> str:
    return message if len(message) <= limit else message[:limit - 1] + "…"


def _paging(locale: str, page: ProblemPage) -> str:
    """Return where in the group one is, and the way to the others."""
    if page.total <= len(page.items) and not page.offset:
        return ""
    last = page.offset + len(page.items)
    words = t(locale, "ds.shown", first=count(page.offset + 1), last=count(last),
              total=count(page.total))

    def button(key: str, offset: int, possible: bool) -> str:
        off = "" if possible else " disabled"
        return (f'<button type="button" class="f-button f-small" '
                f'data-do="page:{text(page.code)}:{offset}"{off}>'
                f'{text(t(locale, f"ds.{key}"))}</button>')

    return (f'<div class="f-paging"><span class="f-quiet">{text(words)}</span>'
            f'{button("fewer", max(0, page.offset - PAGE_OF_PROBLEMS), page.offset > 0)}'
            f'{button("more", last, last < page.total and bool(page.items))}</div>')


def not_found(locale: str, name: str) -> str:
    """Return what to say of an address that leads nowhere."""
    return (f'<div class="f-card f-empty" id="data-missing">{icons.MARK}'
            f'<h2>{text(t(locale, "ds.missing"))}</h2>'
            f'<p>{text(t(locale, "ds.missing_lead", name=name))}</p><div class="f-actions">'
            f'<a class="f-button f-primary" href="./data">{text(t(locale, "ds.all"))}</a>'
            "</div></div>")


def versions(locale: str, found: Sequence[Mapping[str, Any]]) -> str:
    """Return the versions of a dataset that are kept, newest first, each with a way back."""
    if not found:
        return paragraph(t(locale, "ds.no_versions"), "f-quiet")
    rows = "".join(
        f'<li><div><b>{text(t(locale, "ds.version_n", n=one["number"]))}</b> '
        f'<span class="f-dim">{text(one["when"])}</span>{paragraph(str(one["note"]))}</div>'
        f'<button type="button" class="f-button f-small" data-do="restore:{one["number"]}">'
        f'{text(t(locale, "ds.restore"))}</button></li>' for one in found)
    return f'<ul class="f-list f-versions">{rows}</ul>'


def losing(locale: str, one: DatasetChoice) -> str:
    """Say what deleting a dataset takes away, and which runs used it."""
    lost = [t(locale, "ds.lost_file", size=size(one.size_bytes))] if one.origin == "user" else [
        t(locale, "ds.lost_entry")]
    if one.versions:
        lost.append(t(locale, "ds.lost_versions", n=one.versions))
    items = "".join(f"<li>{text(line)}</li>" for line in lost)
    runs = ", ".join(name for _, name in one.used_by)
    used = paragraph(t(locale, "ds.lost_runs", runs=runs)) if runs else ""
    return note("bad", t(locale, "delete.title", name=one.name),
                f"<ul>{items}</ul>{used}{paragraph(t(locale, 'delete.final'))}")

"""One evaluation as HTML: what it is, what came of it, in what way answers are wrong; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import quote

from app.board import icons
from app.board.i18n import has, reason_text, t
from app.board.pages._evaluate_html import (
    Label,
    address,
    chance_text,
    change_text,
    data_mark,
    data_text,
    metric_text,
    value_text,
    verdict,
)
from app.board.pages._parts import (
    bar,
    card,
    chip,
    note,
    pairs,
    paragraph,
    progress_words,
    shown_fraction,
    text,
)
from app.board.wording import ago, count, duration, number, percent
from app.evaluations.reading import Histogram, Kept
from app.runs import ENDED, Run
from trainer.contract.kinds.evaluation import (
    Answered,
    Compared,
    EvaluationReport,
    Judged,
    MistakeCount,
)

_VERDICTS = ("better", "worse", "unclear")
_SERIES = 6
_NOTES = 50


class Chosen(NamedTuple):
    """Rows that are shown: of one or two models, and of a kind of mistakes of the last."""

    dataset: str
    models: Sequence[str]
    kind: str


def hero(locale: str, run: Run, report: EvaluationReport | None) -> str:
    """Return the head: name, state, how much was asked, the way back and the downloads."""
    key = text(quote(run.id, safe=""))
    facts = [ago(locale, run.created_at)]
    if report is not None:
        rows = sum(one.rows for one in report.answered)
        facts = [t(locale, "evaluate.facts", models=count(len(report.models)),
                   data=count(len(report.datasets)), answers=count(rows)), *facts]
    items = [("evaluate-back", "./evaluate", "evaluate.back", ""),
             ("evaluate-run", f"./run?id={key}", "evaluate.run", ""),
             ("evaluate-clone", f"./evaluate?clone={key}", "evaluate.again", "")]
    if report is not None:
        items += [(f"evaluate-{kind or 'json'}", f"./api/runs/{key}/evaluation{end}",
                   f"evaluate.download.{kind or 'json'}", f' download="{key}.{kind or "json"}"')
                  for kind, end in (("csv", ".csv"), ("", ""), ("md", ".md"))]
    links = "".join(f'<a class="f-button f-small" id="{identity}" href="{href}"{more}>'
                    f"{icons.DOWNLOAD if more else ''}{text(t(locale, word))}</a>"
                    for identity, href, word, more in items)
    return (f'<div class="f-hero" data-evaluation="{text(run.id)}" data-state="{text(run.state)}">'
            f"<div><h1>{text(run.name)} {chip(locale, run)}</h1>"
            f"<p>{text(' · '.join(facts))}</p></div></div>"
            f'<div class="f-actions f-evaluate-links">{links}</div>')


def live(locale: str, run: Run, place: int = 0) -> str:
    """Return the slim bar of an evaluation that has not ended; '' for one that has."""
    if run.state in ENDED:
        return ""
    words = progress_words(locale, run, place)
    left = run.progress.eta_s
    if left is not None:
        words += " · " + t(locale, "evaluate.left", time=duration(locale, left))
    key = text(quote(run.id, safe=""))
    return (f'<section class="f-card f-evaluate-live" data-live="{text(run.id)}" role="status">'
            f'<div><b><a href="./evaluate?run={key}">{text(run.name)}</a></b> '
            f"{chip(locale, run)}<span class=\"f-progress-words\">{text(words)}</span></div>"
            f'{bar(shown_fraction(run), str(run.state), f"{run.name}: {words}")}'
            f'<a class="f-button f-small" href="./run?id={key}">'
            f'{text(t(locale, "evaluate.steer"))}</a></section>')


def ended(locale: str, run: Run) -> str:
    """Say that an evaluation ended without having found anything."""
    key = text(quote(run.id, safe=""))
    link = (f'<p><a href="./run?id={key}">{text(t(locale, "evaluate.why"))}</a></p>')
    return note("warn", t(locale, f"ended.{run.state}"),
                paragraph(t(locale, "evaluate.no_report")) + link)


def notes(locale: str, report: EvaluationReport) -> str:
    """Return what a person should know; datasets are called as in the tables."""
    if not report.notes:
        return ""
    told = ""
    for one in report.notes[:_NOTES]:
        for dataset in report.datasets:
            one = one.replace(dataset, data_text(dataset))
        told += f"<li>{text(reason_text(locale, one))}</li>"
    return note("info", t(locale, "warning.evaluation_note"), f"<ul>{told}</ul>")


def summary(locale: str, report: EvaluationReport, label: Label) -> str:
    """Return a card for each model that was compared with the first: how often it is what."""
    first = report.models[0]
    cards = ""
    for model in report.models[1:]:
        found = [one for one in report.comparisons if one.a == first and one.b == model]
        if found:
            cards += _summed(locale, label(model), label(first), found)
    return f'<div class="f-sums">{cards}</div>' if cards else ""


def _summed(locale: str, model: str, first: str, found: Sequence[Compared]) -> str:
    counts = {name: sum(one.verdict == name for one in found) for name in _VERDICTS}
    if counts["better"] and counts["worse"]:
        key = "mixed"
    else:
        key = next((name for name in ("better", "worse") if counts[name]), "unclear")
    all_of = count(len(found))
    body = "".join(f"<li>{verdict(locale, name)} "
                   f"{text(t(locale, 'evaluate.sum_of', count=count(n), all=all_of))}</li>"
                   for name, n in counts.items() if n)
    lost = [one for one in found if one.verdict == "worse"]
    where = "" if not lost else paragraph(t(locale, "evaluate.worse_at", where=", ".join(
        dict.fromkeys(f"{data_text(one.dataset)} ({metric_text(locale, one.metric)})"
                      for one in lost))),
        "f-quiet")
    said = t(locale, f"evaluate.sum.{key}", model=model, first=first)
    return (f'<section class="f-card f-sum" data-sum="{key}"><h3>{text(said)}</h3>'
            f'<ul aria-label="{text(t(locale, "evaluate.sum_label"))}">{body}</ul>{where}'
            "</section>")


def comparisons(locale: str, report: EvaluationReport, label: Label,
                share_of: dict[tuple[str, str], bool]) -> str:
    """Return every comparison with its numbers, folded."""
    if not report.comparisons:
        return ""
    heads = "".join(f'<th scope="col">{text(t(locale, f"evaluate.head.{key}"))}</th>' for key in (
        "score", "models", "difference", "interval", "p", "adjusted", "rows", "verdict"))
    body = "".join(_comparison(locale, one, label, share_of) for one in report.comparisons[:500])
    return (f'<details class="f-fold" id="evaluate-comparisons"><summary><h2>'
            f'{text(t(locale, "evaluate.comparisons"))}</h2><span class="f-quiet">'
            f'{text(t(locale, "evaluate.comparisons_lead"))}</span></summary>'
            f'<div class="f-scroll" tabindex="0"><table class="f-grid"><thead><tr>{heads}</tr>'
            f"</thead><tbody>{body}</tbody></table></div></details>")


def _comparison(locale: str, one: Compared, label: Label,
                share_of: dict[tuple[str, str], bool]) -> str:
    share = share_of.get((one.dataset, one.metric), False)
    interval = "—" if one.low is None or one.high is None else t(
        locale, "evaluate.interval", low=change_text(locale, one.low, share),
        high=change_text(locale, one.high, share))
    cells = (t(locale, "evaluate.b_beside_a", b=label(one.b), a=label(one.a)),
             change_text(locale, one.difference, share), interval, chance_text(one.p_value),
             chance_text(one.p_adjusted), count(one.n))
    return (f'<tr><th scope="row">{data_mark(one.dataset)}<small>'
            f"{text(metric_text(locale, one.metric))}</small></th>"
            + "".join(f"<td>{text(cell)}</td>" for cell in cells)
            + f'<td title="{text(one.test)}">{verdict(locale, one.verdict)}</td></tr>')


def mistakes(locale: str, run_id: str, found: Sequence[MistakeCount], label: Label,
             chosen: Chosen) -> str:
    """Return the wrong answers of one score by kind and model; each count leads to its rows.

    Args:
        locale: Language.
        run_id: The evaluation.
        found: What the report has of one dataset and metric.
        label: Says what people call a model.
        chosen: Whose rows are shown.
    """
    if not found:
        return ""
    models = list(dict.fromkeys(one.model for one in found))
    totals: dict[str, int] = {}
    for one in found:
        totals[one.kind] = totals.get(one.kind, 0) + one.count
    heads = "".join(f'<th scope="col">{text(label(model))}</th>' for model in models)
    most = max(one.count for one in found) or 1
    body = ""
    for kind in sorted(totals, key=lambda name: -totals[name]):
        cells = "".join(_mistake(locale, run_id, next(
            (one for one in found if one.kind == kind and one.model == model), None),
            most, chosen) for model in models)
        about = t(locale, f"about.mistake.{kind}") if has(f"about.mistake.{kind}") else ""
        body += (f'<tr data-kind="{text(kind)}"><th scope="row">{text(mistake_text(locale, kind))}'
                 f"<small>{text(about)}</small></th>{cells}</tr>")
    return card(t(locale, "evaluate.mistakes"), f'<div class="f-scroll" tabindex="0">'
                f'<table class="f-grid f-mistakes"><thead><tr><th scope="col">'
                f'{text(t(locale, "evaluate.kind"))}</th>{heads}</tr></thead><tbody>{body}'
                "</tbody></table></div>", element_id="evaluate-mistakes")


def mistake_text(locale: str, kind: str) -> str:
    """Return what people call a kind of mistake."""
    return t(locale, f"mistake.{kind}") if has(f"mistake.{kind}") else kind


def _mistake(locale: str, run_id: str, one: MistakeCount | None, most: int,
             chosen: Chosen) -> str:
    if one is None or not one.count:
        return '<td><span class="f-dim">0</span></td>'
    here = (chosen.dataset, chosen.models[-1], chosen.kind) == (one.dataset, one.model, one.kind)
    beside = next((model for model in chosen.models if model != one.model), one.model)
    href = address(run_id, dataset=one.dataset, metric=one.metric, a=beside, b=one.model,
                   mistake="" if here else one.kind)
    pressed = ' aria-current="true"' if here else ""
    said = t(locale, "evaluate.mistake_link", n=count(one.count),
             kind=mistake_text(locale, one.kind))
    return (f'<td><a data-look href="{text(href)}"{pressed} aria-label="{text(said)}">'
            f'{count(one.count)}</a><i class="f-share" aria-hidden="true" '
            f'style="width:{round(64 * one.count / most)}px"></i></td>')


def histogram(locale: str, found: Histogram, label: Label, share: bool) -> str:
    """Return how many answers have which score, a strip of bars for each model."""
    most = max((n for counts in found.counts.values() for n in counts), default=0)
    if not most:
        return ""
    strips = "".join(_strip(locale, label(model), counts, found.edges, most, at)
                     for at, (model, counts) in enumerate(found.counts.items()))
    low, high = value_text(found.edges[0], share), value_text(found.edges[-1], share)
    title = t(locale, "evaluate.histogram", metric=metric_text(locale, found.metric))
    return card(title, f'<div class="f-strips">{strips}<div class="f-strip-ends" '
                f'aria-hidden="true"><span>{text(low)}</span><span>{text(high)}</span></div></div>',
                element_id="evaluate-histogram")


def _strip(locale: str, name: str, counts: Sequence[int], edges: Sequence[float], most: int,
           at: int) -> str:
    width = 300 / len(counts)
    bars = "".join(
        f'<rect x="{place * width + 1:.1f}" y="{44 - 42 * n / most:.1f}" '
        f'width="{width - 2:.1f}" height="{max(1.5, 42 * n / most) if n else 0:.1f}">'
        f"<title>{number(edges[place], 3)} – {number(edges[place + 1], 3)}: {count(n)}</title>"
        "</rect>" for place, n in enumerate(counts))
    peak = max(range(len(counts)), key=counts.__getitem__)
    said = t(locale, "evaluate.strip", model=name, n=count(sum(counts)),
             low=number(edges[peak], 3), high=number(edges[peak + 1], 3))
    return (f'<div class="f-strip"><span>{text(name)} <span class="f-dim">{count(sum(counts))}'
            f'</span></span><svg viewBox="0 0 300 46" preserveAspectRatio="none" role="img" '
            f'class="f-s{at % _SERIES + 1}" aria-label="{text(said)}"><path d="M0 44.5H300"/>{bars}'
            "</svg></div>")


def judged(locale: str, found: Sequence[Judged], label: Label) -> str:
    """Return what the judge says: wins, ties and losses, or points."""
    if not found:
        return ""
    heads = "".join(f'<th scope="col">{text(t(locale, f"judged.{key}"))}</th>' for key in (
        "model", "value", "rows", "agreement", "calls"))
    body = "".join(_verdicts(locale, one, label) for one in found)
    return card(t(locale, "judged.title"), f'<div class="f-scroll" tabindex="0"><table '
                f'class="f-grid"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>',
                element_id="evaluate-judged")


def _verdicts(locale: str, one: Judged, label: Label) -> str:
    pairwise = bool(one.against)
    name = f"{text(label(one.model))}<small>{data_mark(one.dataset)}"
    name += f" · {text(t(locale, 'judged.against', model=label(one.against)))}" if pairwise else ""
    value = value_text(one.value, pairwise)
    interval = "" if one.low is None or one.high is None else t(
        locale, "evaluate.interval", low=value_text(one.low, pairwise),
        high=value_text(one.high, pairwise))
    told = [interval, "" if one.p_value is None else chance_text(one.p_value)]
    rows = count(one.n) if not pairwise else t(
        locale, "judged.counts", wins=count(one.wins), ties=count(one.ties),
        losses=count(one.losses))
    unread = "" if not one.unreadable else t(locale, "judged.unreadable", n=count(one.unreadable))
    agreed = "—" if one.agreement is None else t(
        locale, "judged.agreed", share=percent(round(one.agreement, 3)), n=count(one.votes))
    calls = t(locale, "judged.called", n=count(one.calls), cached=count(one.cached))
    cost = "" if one.cost is None else t(locale, "judged.cost", cost=f"{one.cost:.4g}")
    return (f'<tr><th scope="row">{name}</small></th><td><b>{text(value)}</b>'
            f"<small>{text(' · '.join(filter(None, told)))}</small></td>"
            f"<td>{text(rows)}<small>{text(unread)}</small></td><td>{text(agreed)}</td>"
            f"<td>{text(calls)}<small>{text(cost)}</small></td></tr>")


def kept(locale: str, found: Sequence[Kept], tuned: str, base: str) -> str:
    """Return the same benchmarks before and after training, what was lost first."""
    if not found:
        return ""
    heads = "".join(f'<th scope="col">{text(t(locale, f"kept.{key}"))}</th>' for key in (
        "what", "before", "after", "change"))
    body = "".join(_kept(locale, one) for one in found[:100])
    lost = sum(one.verdict == "worse" for one in found)
    lead = t(locale, "kept.lost" if lost else "kept.nothing_lost", n=count(lost),
             total=count(len(found)), tuned=tuned, base=base)
    return card(t(locale, "kept.title"), paragraph(lead, "f-quiet")
                + f'<div class="f-scroll" tabindex="0"><table class="f-grid"><thead><tr>{heads}'
                f"</tr></thead><tbody>{body}</tbody></table></div>", element_id="evaluate-kept")


def _kept(locale: str, one: Kept) -> str:
    chance = one.p_adjusted if one.p_adjusted is not None else one.p_value
    how = "" if one.paired else t(locale, "kept.unpaired")
    said = " · ".join(filter(None, (chance_text(chance) if chance is not None else "", how)))
    return (f'<tr><th scope="row">{data_mark(one.dataset)}<small>'
            f"{text(metric_text(locale, one.metric))}</small></th>"
            f"<td>{text(value_text(one.before, one.share))}</td>"
            f"<td>{text(value_text(one.after, one.share))}</td>"
            f"<td>{verdict(locale, one.verdict)} "
            f"<b>{text(change_text(locale, one.difference, one.share))}</b>"
            f"<small>{text(said)}</small></td></tr>")


def answered(locale: str, found: Iterable[Answered], label: Label) -> str:
    """Return how each model answered: engine, speed, what was kept of an earlier attempt."""
    rows = []
    for one in found:
        speed = "" if one.seconds <= 0 else t(
            locale, "answered.speed", rate=number((one.rows - one.kept) / one.seconds, 3),
            time=duration(locale, one.seconds))
        again = "" if not one.kept else t(locale, "answered.kept", n=count(one.kept))
        engine = f"{one.engine} {one.version}".strip()
        rows.append((label(one.model), text(" · ".join(filter(None, (
            engine, t(locale, "evaluate.of_rows", n=count(one.rows)), speed, again))))))
    return card(t(locale, "answered.title"), pairs(rows)) if rows else ""

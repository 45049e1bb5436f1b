"""One row as the model will see it, and the lengths of all rows, as HTML (rule R13)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from app.board.i18n import has, row_text, said, t
from app.board.pages._parts import card, note, paragraph, text
from app.board.wording import count, percent
from app.rowview import Cell, Piece, RowView, Side

UNMAPPED = ("unknown_shape", "mapping")



def viewer(locale: str, view: RowView | None, state: Mapping[str, Any]) -> str:
    """Return a row beside what becomes of it.

    Args:
        locale: Language.
        view: The row; None while there is none to show.
        state: What the address has to say so that this can be shown again.
    """
    data = text(json.dumps(dict(state), ensure_ascii=False))
    if view is None:
        return f'<div id="data-view" data-state="{data}">{_nothing(locale)}</div>'
    bad = "true" if view.problem else "false"
    return (f'<div id="data-view" data-state="{data}" data-row="{view.number}" data-bad="{bad}">'
            f"{_banner(locale, view)}"
            f'<div class="f-two"><section aria-label="{text(t(locale, "row.raw"))}">'
            f'<h3>{text(t(locale, "row.raw"))}</h3>{_cells(locale, view)}</section>'
            f'<section aria-label="{text(t(locale, "row.model"))}">{_model(locale, view)}'
            "</section></div></div>")


def _nothing(locale: str) -> str:
    return paragraph(t(locale, "row.none"), "f-quiet")


def _banner(locale: str, view: RowView) -> str:
    if view.problem is None:
        return ""
    code, words, hint = view.problem
    message, advice = said(locale, code, row_text(locale, words), hint)
    return note("bad", t(locale, "row.bad"), paragraph(message) + paragraph(advice))


def _cells(locale: str, view: RowView) -> str:
    if not view.cells:
        return paragraph(t(locale, "row.no_cells"), "f-quiet")
    more = paragraph(t(locale, "row.more_columns", n=count(view.columns_left_out)), "f-quiet") \
        if view.columns_left_out else ""
    return f'<dl class="f-cells">{"".join(_cell(locale, c) for c in view.cells)}</dl>{more}'


def _cell(locale: str, cell: Cell) -> str:
    role = f'<i class="f-tag">{text(t(locale, f"role.{cell.role}"))}</i>' if cell.role else ""
    more = paragraph(t(locale, "row.more_text", n=count(cell.left_out)), "f-quiet") \
        if cell.left_out else ""
    return (f"<dt>{text(cell.column)}{role}</dt>"
            f'<dd tabindex="0"><pre>{text(cell.text)}</pre>{more}</dd>')


def _model(locale: str, view: RowView) -> str:
    head = f'<h3>{text(t(locale, "row.model"))}</h3>'
    if view.error is not None and view.error[0] in UNMAPPED:
        return head + paragraph(t(locale, "row.map_first"), "f-quiet")
    if view.error is not None:
        message, advice = said(locale, *view.error)
        return head + note("warn", t(locale, "row.no_model"),
                           paragraph(message) + paragraph(advice))
    if not view.sides:
        return head + paragraph(t(locale, "row.nothing_seen"), "f-quiet")
    sides = "".join(_side(locale, side, view.rows) for side in view.sides)
    kind = "f-sides f-pair" if len(view.sides) > 1 else "f-sides"
    return (f'{head}{_extras(locale, view)}<div class="{kind}">{sides}</div>'
            f"{_legend(locale)}{_how(locale, view)}")


def _extras(locale: str, view: RowView) -> str:
    parts = []
    if view.label is not None:
        key, kind = ("row.desired", "completed") if view.label else ("row.undesired", "failed")
        parts.append(f'<p class="f-judged"><span class="f-chip f-{kind}" id="data-label">'
                     f"{text(t(locale, key))}</span></p>")
    if view.tools:
        items = "".join(f"<pre>{text(tool)}</pre>" for tool in view.tools)
        words = t(locale, "row.tools", n=len(view.tools))
        parts.append(f'<details class="f-tools-list"><summary>{text(words)}</summary>{items}'
                     "</details>")
    if view.reference:
        key = "row.class" if view.rows == "labelled" else "row.reference"
        parts.append(f'<p class="f-quiet">{text(t(locale, key))} '
                     f"<b>{text(view.reference)}</b></p>")
    return "".join(parts)


def _side(locale: str, side: Side, rows: str) -> str:
    name = f"<h4>{text(t(locale, f'row.{side.name}'))}</h4>" if side.name else ""
    learned = {"prompts": "row.asked", "labelled": "row.classed"}.get(rows, "row.trained")
    numbers = [t(locale, "row.tokens", n=count(side.tokens)),
               t(locale, learned, n=count(side.trained))]
    if side.cut:
        numbers.append(t(locale, "row.cut", n=count(side.cut)))
    dropped = note("warn", t(locale, "row.dropped")) if side.dropped else ""
    return (f'<div class="f-side-view" data-side="{text(side.name or "all")}">{name}'
            f'<p class="f-counts" data-tokens="{side.tokens}" data-trained="{side.trained}" '
            f'data-cut="{side.cut}">{text(" · ".join(numbers))}</p>{dropped}'
            f'<div class="f-seq" tabindex="0">{_sequence(side.pieces)}</div></div>')


def _sequence(pieces: Sequence[Piece]) -> str:
    """Return what the model sees: trained text in a ``mark``, text that is cut in an ``s``."""
    shown = ""
    for (trained, cut), group in groupby(pieces, key=lambda piece: (piece.trained, piece.cut)):
        words = "".join(map(_piece, group))
        words = f"<mark>{words}</mark>" if trained else words
        shown += f"<s>{words}</s>" if cut else words
    return shown


def _piece(piece: Piece) -> str:
    if not piece.special:
        return text(piece.text)
    ending = "<br>" if piece.text.endswith("\n") else ""
    return f'<i class="f-token">{text(piece.text.rstrip(chr(10)))}</i>{ending}'


def _legend(locale: str) -> str:
    return (f'<p class="f-seq-legend"><mark>{text(t(locale, "row.legend_trained"))}</mark>'
            f'<i class="f-token">{text(t(locale, "row.legend_special"))}</i>'
            f'<s>{text(t(locale, "row.legend_cut"))}</s></p>')


def _how(locale: str, view: RowView) -> str:
    key = f"how.{view.template}"
    return paragraph(t(locale, key) if has(key) else " ".join(view.notes), "f-quiet")


def lengths(locale: str, found: Mapping[str, Any] | None, max_length: int, *,
            waiting: str = "") -> str:
    """Return how long the rows are in tokens, as a histogram with a mark at the longest allowed.

    Args:
        locale: Language.
        found: What was measured; None while nothing was.
        max_length: In tokens.
        waiting: What to say while there are no numbers.
    """
    title = t(locale, "len.title")
    if not found or not found.get("histogram"):
        go = "" if waiting else (
            f'<button type="button" class="f-button f-small" id="data-measure" '
            f'data-do="measure:">{text(t(locale, "len.go"))}</button>')
        return card(title, paragraph(waiting or t(locale, "len.large"), "f-quiet") + go)
    rows = int(found.get("rows") or sum(bar[2] for bar in found["histogram"]))
    over = int(found.get("over_max_length", 0))
    stats = "".join(f'<div><b>{count(int(found[key]))}</b><span>{text(t(locale, f"len.{key}"))}'
                    "</span></div>" for key in ("p50", "p95", "max") if found.get(key) is not None)
    words = t(locale, "len.fits", max=count(max_length)) if not over else t(
        locale, "len.over", n=count(over), share=percent(over / max(1, rows)),
        max=count(max_length))
    if over and found.get("tokens_over") is not None:
        whole, beyond = int(found.get("tokens") or 0), int(found["tokens_over"])
        words += " " + t(locale, "len.tokens_cut", n=count(beyond),
                         share=percent(beyond / max(1, whole)))
    sampled = paragraph(t(locale, "len.sampled", n=count(rows)), "f-quiet") \
        if found.get("sampled") else ""
    kind = "f-len-over" if over else "f-len-fits"
    return card(title, f'<div class="f-stats">{stats}</div>'
                f"{_histogram(locale, found['histogram'], max_length)}"
                f'<p class="{kind}" data-over="{over}">{text(words)}</p>{sampled}',
                element_id="data-lengths-card")


def _histogram(locale: str, bars: Sequence[Sequence[int]], max_length: int) -> str:
    """Return the bars as SVG, each as wide as the others; those over ``max_length`` apart."""
    wide = 400 / len(bars)
    tallest = max(int(bar[2]) for bar in bars) or 1

    def bar(place: int, lo: int, hi: int, n: int) -> str:
        tall = max(1.5, 92 * n / tallest)
        words = t(locale, "len.bar", low=count(lo), high=count(hi - 1), n=count(n))
        return (f'<rect class="{"f-over" if lo >= max_length else ""}" x="{place * wide:.1f}" '
                f'y="{96 - tall:.1f}" width="{max(1.5, wide - 1):.1f}" height="{tall:.1f}">'
                f"<title>{text(words)}</title></rect>")

    drawn = "".join(bar(place, *map(int, one)) for place, one in enumerate(bars) if one[2])
    low, high = int(bars[0][0]), int(bars[-1][1])
    mark = "".join(
        f'<line class="f-limit" x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="96"/>'
        for place, (lo, hi, _) in enumerate(bars) if lo <= max_length < hi
        for at in [wide * (place + (max_length - lo) / max(1, hi - lo))])
    kind = "f-limit-words" if mark else "f-dim"
    return (f'<figure class="f-hist"><svg viewBox="0 0 400 96" preserveAspectRatio="none" '
            f'role="img" aria-label="{text(t(locale, "len.title"))}">{drawn}{mark}</svg>'
            f"<figcaption><span>{count(low)}</span><span class=\"{kind}\">"
            f"{text(_limit_words(locale, max_length, low, high))}</span>"
            f"<span>{count(high - 1)}</span></figcaption></figure>")


def _limit_words(locale: str, max_length: int, low: int, high: int) -> str:
    if low <= max_length <= high:
        return t(locale, "len.limit", max=count(max_length))
    return t(locale, "len.limit_beyond", max=count(max_length))

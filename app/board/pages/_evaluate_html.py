"""Scores, intervals and verdicts as HTML: what the Evaluate page's tables are made of; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import PurePath
from typing import NamedTuple
from urllib.parse import quote, urlencode

from app.board.i18n import has, t
from app.board.pages._parts import text
from app.board.wording import count, number, percent
from app.evaluations.reading import Cell, Change, Column, Matrix
from app.paths import is_path

# A verdict is told by a sign and a word; colour only repeats it.
SIGNS = {"better": "▲", "worse": "▼", "unclear": "≈"}
# As wide as whiskers are drawn, and how far from the edges.
_WIDE, _EDGE = 120.0, 5.0
Label = Callable[[str], str]


class Scale(NamedTuple):
    """What the ends of a whisker's line stand for."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Return where a value lies on the line, in its own units of width."""
        span = (self.high - self.low) or 1.0
        share = min(1.0, max(0.0, (value - self.low) / span))
        return _EDGE + share * (_WIDE - 2 * _EDGE)


def address(run_id: str = "", **look: object) -> str:
    """Return the address of an evaluation with what is looked at; what is empty is left out."""
    given = {key: str(value) for key, value in look.items() if value not in ("", None)}
    query = urlencode({"run": run_id, **given} if run_id else given, quote_via=quote)
    return f"./evaluate?{query}" if query else "./evaluate"


def value_text(value: float | None, share: bool) -> str:
    """Return a score: shares as percent, all others as they are."""
    if value is None:
        return "—"
    return percent(round(value, 4)) if share else number(value, 3)


def change_text(locale: str, value: float, share: bool) -> str:
    """Return a difference with its sign; of shares in points of percent."""
    shown = f"{100 * value:+.1f}" if share else f"{value:+.3g}"
    shown = shown.replace("-", "−")
    return t(locale, "evaluate.points", n=shown) if share else shown


def chance_text(p_value: float | None) -> str:
    """Return a p-value as papers have it."""
    if p_value is None:
        return "—"
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}".rstrip("0").rstrip(".")


def metric_text(locale: str, name: str) -> str:
    """Return what people call a score, of a benchmark with its filter: 'acc,none'."""
    plain, _, way = name.partition(",")
    shown = t(locale, f"score.{plain}") if has(f"score.{plain}") else plain
    return f"{shown} ({way})" if way not in ("", "none") else shown


def verdict(locale: str, name: str) -> str:
    """Return the chip of a verdict: sign, word, colour."""
    words = t(locale, f"verdict.{name}")
    return (f'<span class="f-chip f-verdict f-{text(name)}-verdict" data-verdict="{text(name)}">'
            f'<i aria-hidden="true">{SIGNS.get(name, "")}</i>{text(words)}</span>')


def change(locale: str, found: Change, share: bool, against: str = "") -> str:
    """Return how a score differs from the first model's: verdict, difference, chance."""
    interval = "" if found.low is None or found.high is None else t(
        locale, "evaluate.interval", low=change_text(locale, found.low, share),
        high=change_text(locale, found.high, share))
    hint = t(locale, "evaluate.change_hint", model=against, chance=chance_text(found.p_value),
             adjusted=chance_text(found.p_adjusted), test=found.test or "—")
    return (f'<span class="f-change" title="{text(f"{interval} {hint}".strip())}">'
            f"{verdict(locale, found.verdict)}"
            f'<b>{text(change_text(locale, found.difference, share))}</b>'
            f'<span class="f-dim">{text(chance_text(found.p_adjusted))}</span></span>')


def scale_of(cells: Iterable[Cell], share: bool) -> Scale:
    """Return the line on which all models' scores of one row are drawn."""
    if share:
        return Scale(0.0, 1.0)
    ends = [end for cell in cells for end in (cell.low, cell.value, cell.high) if end is not None]
    if not ends:
        return Scale(0.0, 1.0)
    low, high = min(ends), max(ends)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return Scale(low - room, high + room)


def whisker(cell: Cell, scale: Scale, label: str) -> str:
    """Return a score as a dot on its interval; ``label`` says the same to a screen reader."""
    if cell.value is None:
        return ""
    dot = scale.at(cell.value)
    line = ""
    if cell.low is not None and cell.high is not None:
        low, high = scale.at(cell.low), scale.at(cell.high)
        line = (f'<path class="f-range" d="M{low:.1f} 9H{high:.1f}M{low:.1f} 5.5v7'
                f'M{high:.1f} 5.5v7"/>')
    return (f'<svg class="f-whisker" viewBox="0 0 {_WIDE:.0f} 18" role="img" '
            f'aria-label="{text(label)}"><path class="f-axis" d="M0 9H{_WIDE:.0f}"/>{line}'
            f'<circle cx="{dot:.1f}" cy="9" r="3.6"/></svg>')


def _interval(locale: str, cell: Cell, share: bool) -> str:
    if cell.low is None or cell.high is None:
        return ""
    return t(locale, "evaluate.interval", low=value_text(cell.low, share),
             high=value_text(cell.high, share))


def _cell(locale: str, cell: Cell | None, column: Column, scale: Scale, label: Label) -> str:
    if cell is None:
        return (f'<td class="f-none"><span class="f-dim" '
                f'title="{text(t(locale, "evaluate.not_measured"))}">·</span></td>')
    said = _interval(locale, cell, column.share)
    rows = t(locale, "evaluate.of_rows", n=count(cell.n))
    if cell.left_out:
        rows += " · " + t(locale, "evaluate.left_out", n=count(cell.left_out))
    best = f'<small class="f-best">{text(t(locale, "evaluate.best"))}</small>' if cell.best else ""
    shown = value_text(cell.value, column.share)
    drawn = whisker(cell, scale, f"{shown} {said}".strip())
    moved = "" if cell.change is None else change(locale, cell.change, column.share,
                                                  label(cell.change.against))
    detail = f' title="{text(cell.detail)}"' if cell.detail else ""
    return (f'<td data-run="{text(cell.run)}"{detail}><div class="f-score"><b>{text(shown)}</b>'
            f'{best}</div>{drawn}<small class="f-dim">{text(said)}</small>'
            f'<small class="f-dim">{text(rows)}</small>{moved}</td>')


def data_text(dataset: str) -> str:
    """Return what people call a dataset: of a path the file's name."""
    return PurePath(dataset).name if is_path(dataset) else dataset


def data_mark(dataset: str) -> str:
    """Return a dataset's name for a page; a path as a whole is its title."""
    name = data_text(dataset)
    return text(name) if name == dataset else (
        f'<span title="{text(dataset)}">{text(name)}</span>')


def model_head(locale: str, name: str, label: Label, *, first: bool, link: bool) -> str:
    """Return a model's column head: its name, its id where that is another one."""
    shown = label(name)
    title = f'<a href="./run?id={text(quote(name.partition("/")[0], safe=""))}">{text(shown)}</a>' \
        if link else text(shown)
    more = f'<span class="f-dim">{text(name)}</span>' if shown != name else ""
    mark = f'<small class="f-first">{text(t(locale, "evaluate.first"))}</small>' if first else ""
    return f'<th scope="col">{title}{more}{mark}</th>'


def table(locale: str, found: Matrix, label: Label, runs: Iterable[str] = ()) -> str:
    """Return the matrix: a row for each score, a column for each model.

    Args:
        locale: Language.
        found: What was measured.
        label: Says what people call a model.
        runs: Ids of runs, whose names are links.
    """
    known = set(runs)
    against = {cell.change.against for cell in found.cells.values() if cell.change}
    heads = "".join(model_head(locale, name, label, first=name in against,
                               link=name.partition("/")[0] in known) for name in found.models)
    bodies = ""
    for (dataset, source), group in groupby(_together(found.columns),
                                            lambda one: (one.dataset, one.source)):
        columns = list(group)
        kind = "" if source == "data" else (
            f' <span class="f-tag">{text(t(locale, f"evaluate.source.{source}"))}</span>')
        wide = len(found.models) + 1
        bodies += (f'<tbody><tr class="f-of"><th scope="rowgroup" colspan="{wide}">'
                   f"{data_mark(dataset)}{kind}</th></tr>"
                   + "".join(_row(locale, found, one, label) for one in columns) + "</tbody>")
    caption = text(t(locale, "evaluate.caption"))
    return (f'<div class="f-scroll f-matrix" tabindex="0" role="region" aria-label="{caption}">'
            f'<table class="f-grid" id="evaluate-matrix"><caption>{caption}</caption><thead><tr>'
            f'<th scope="col">{text(t(locale, "evaluate.score"))}</th>{heads}</tr></thead>'
            f"{bodies}</table></div>")


def _together(columns: Sequence[Column]) -> list[Column]:
    """Bring the columns of one dataset together, in the order in which datasets come first."""
    order: dict[tuple[str, str], int] = {}
    for one in columns:
        order.setdefault((one.dataset, one.source), len(order))
    return sorted(columns, key=lambda one: order[one.dataset, one.source])


def _row(locale: str, found: Matrix, column: Column, label: Label) -> str:
    cells = [found.cell(model, column) for model in found.models]
    scale = scale_of([cell for cell in cells if cell], column.share)
    if all(cell is None or cell.value is None or cell.best for cell in cells):
        cells = [cell and replace(cell, best=False) for cell in cells]
    lower = "" if column.higher_is_better else (
        f'<small class="f-dim">{text(t(locale, "evaluate.lower"))}</small>')
    name = metric_text(locale, column.metric)
    title = f' title="{text(column.metric)}"' if name != column.metric else ""
    return (f'<tr data-dataset="{text(column.dataset)}" data-metric="{text(column.metric)}">'
            f'<th scope="row"{title}>{text(name)}{lower}</th>'
            + "".join(_cell(locale, cell, column, scale, label) for cell in cells) + "</tr>")

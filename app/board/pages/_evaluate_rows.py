"""Rows of an evaluation with their answers side by side, and what chooses them; pure.

What is looked at stands in the address alone, so a link or a refresh shows the same again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args
from urllib.parse import quote

from app.board import icons
from app.board.i18n import t
from app.board.pages._evaluate_diff import plain, sides
from app.board.pages._evaluate_html import Label, address, data_text, metric_text, value_text
from app.board.pages._evaluate_one import mistake_text
from app.board.pages._parts import text
from app.board.wording import count
from app.evaluations.reading import Answer, RowPage, RowQuery, ScoredRow
from app.evaluations.rows import Only, Order
from trainer.contract.kinds.evaluation import EvaluationReport

PER_PAGE = 20
LONGEST = 20_000
_ORDERS, _ONLIES = get_args(Order), get_args(Only)
_OF_TWO = ("gained", "lost")


@dataclass(frozen=True)
class Telling:
    """How rows are told.

    Attributes:
        label: Says what people call a model.
        share: The score is right or wrong.
        lower: Less of it is better.
        data: The dataset's name where the Data page shows its rows, else ''.
    """

    label: Label
    share: bool = False
    lower: bool = False
    data: str = ""


@dataclass(frozen=True)
class Look:
    """What of an evaluation is looked at, as its address has it.

    Attributes:
        run: The evaluation; '' for all of them.
        dataset, metric: Of the rows; '' for the first.
        a, b: The models side by side; '' for the first and the last.
        order, only, mistake, q: As ``RowQuery`` has them.
        page: Part of the rows, from 1.
    """

    run: str = ""
    dataset: str = ""
    metric: str = ""
    a: str = ""
    b: str = ""
    order: str = ""
    only: str = ""
    mistake: str = ""
    q: str = ""
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, Any]) -> Look:
        """Read an address's query; what means nothing is left out."""
        said = {key: str(query.get(key) or "")[:1000] for key in cls.__dataclass_fields__}
        page = said.pop("page")
        if said["order"] not in _ORDERS:
            said["order"] = ""
        if said["only"] not in _ONLIES or said["only"] == "all":
            said["only"] = ""
        return cls(**said, page=max(1, int(page)) if page.isdecimal() and len(page) < 7 else 1)

    def at_most(self, total: int) -> Look:
        """Return it at its own page, or at the last one that so many rows fill."""
        return replace(self, page=min(self.page, max(1, -(-total // PER_PAGE))))

    def href(self, **changes: object) -> str:
        """Return the address of this look with changes; another choice begins at the first page."""
        told = {key: getattr(self, key) for key in self.__dataclass_fields__}
        told |= {"page": 1, **changes}
        if told["page"] == 1:
            told["page"] = ""
        return address(told.pop("run"), **told)

    def query(self, report: EvaluationReport) -> RowQuery:
        """Return which rows are wanted."""
        known = [model for model in report.models if model in report.predictions]
        b = self.b or (known[-1] if known else "")
        a = self.a or (known[0] if known else "")
        models = tuple(dict.fromkeys(one for one in (a, b) if one))
        only = "all" if len(models) < 2 and self.only in _OF_TWO else self.only or "all"
        order = "worst" if len(models) < 2 and self.order == "changed" else self.order or (
            "changed" if len(models) > 1 else "worst")
        return RowQuery(
            dataset=self.dataset, metric=self.metric, models=models, search=self.q,
            order=next(one for one in _ORDERS if one == order), mistake=self.mistake,
            only=next(one for one in _ONLIES if one == only), longest=LONGEST,
            offset=(self.page - 1) * PER_PAGE, limit=PER_PAGE)


def filters(locale: str, look: Look, query: RowQuery, report: EvaluationReport, label: Label,
            page: RowPage) -> str:
    """Return what chooses the rows; the script puts a choice into the address."""
    models = [model for model in report.models if model in report.predictions]
    metrics = list(dict.fromkeys(one.metric for one in report.results
                                 if one.dataset == page.dataset and one.source == "data"))
    kinds = list(dict.fromkeys(one.kind for one in report.mistakes
                               if one.dataset == page.dataset and one.model == page.models[-1]))
    two = len(page.models) > 1
    told: list[tuple[str, list[tuple[str, str]], str]] = [
        ("dataset", [(one, data_text(one)) for one in report.datasets], page.dataset),
        ("metric", [(one, metric_text(locale, one)) for one in metrics], page.metric)]
    if len(models) > 1:
        named = [(one, label(one)) for one in models]
        told += [("a", named, page.models[0]), ("b", named, page.models[-1])]
    told += [
        ("order", [(one, t(locale, f"evaluate.order.{one}")) for one in _ORDERS
                   if two or one != "changed"], query.order),
        ("only", [(one, t(locale, f"evaluate.only.{one}")) for one in _ONLIES
                  if two or one not in _OF_TWO], query.only),
        ("mistake", [("", t(locale, "evaluate.any_kind")),
                     *((one, mistake_text(locale, one)) for one in kinds)], look.mistake)]
    drawn = "".join(_select(locale, name, options, value) for name, options, value in told
                    if len(options) > 1)
    clear = "" if not (look.mistake or look.q or look.only) else (
        f'<a class="f-button f-small" data-look id="evaluate-clear" href="'
        f'{text(look.href(mistake="", q="", only=""))}">{text(t(locale, "evaluate.clear"))}</a>')
    return (f'<form id="evaluate-filter" data-run="{text(look.run)}" role="search" '
            f'aria-label="{text(t(locale, "evaluate.filter"))}">{drawn}<label class="f-seek">'
            f'<span>{text(t(locale, "evaluate.search"))}</span><input type="search" name="q" '
            f'id="evaluate-q" value="{text(look.q)}" autocomplete="off" maxlength="200"></label>'
            f"{clear}</form>")


def _select(locale: str, name: str, options: Iterable[tuple[str, str]], value: str) -> str:
    body = "".join(f'<option value="{text(key)}"{" selected" if key == value else ""}>'
                   f"{text(shown)}</option>" for key, shown in options)
    return (f'<label><span>{text(t(locale, f"evaluate.by.{name}"))}</span>'
            f'<select name="{name}" id="evaluate-{name}">{body}</select></label>')


def rows(locale: str, look: Look, page: RowPage, telling: Telling) -> str:
    """Return the rows of a page with the way to the other ones."""
    label = telling.label
    if not page.rows:
        return (f'<p class="f-quiet f-no-rows" role="status">'
                f'{text(t(locale, "evaluate.no_rows"))}</p>')
    legend = "" if len(page.models) < 2 else (
        f'<p class="f-quiet f-legend-diff"><del>{text(t(locale, "evaluate.only_in"))} '
        f"{text(label(page.models[0]))}</del> <ins>{text(t(locale, 'evaluate.only_in'))} "
        f"{text(label(page.models[1]))}</ins></p>")
    body = "".join(_row(locale, one, page.models, telling) for one in page.rows)
    return (f'<div class="f-rows-head">{_said(locale, look, page)}{legend}</div>{body}'
            f"{_pager(locale, look, page)}")


def _said(locale: str, look: Look, page: RowPage) -> str:
    first = (look.page - 1) * PER_PAGE + 1
    words = t(locale, "evaluate.shown", first=count(first), total=count(page.total),
              last=count(first + len(page.rows) - 1))
    return f'<p role="status" id="evaluate-shown">{text(words)}</p>'


def _pager(locale: str, look: Look, page: RowPage) -> str:
    last = max(1, -(-page.total // PER_PAGE))
    if last == 1:
        return ""

    def link(key: str, at: int, icon: str) -> str:
        words = text(t(locale, f"evaluate.{key}"))
        where = f'href="{text(look.href(page=at))}" data-look data-top' if 1 <= at <= last else (
            'role="link" aria-disabled="true"')
        return f'<a class="f-button f-small" id="evaluate-{key}" {where}>{icon}{words}</a>'

    of = text(t(locale, "evaluate.page", n=count(look.page), total=count(last)))
    return (f'<nav class="f-pager" aria-label="{text(t(locale, "evaluate.pages"))}">'
            f'{link("previous", look.page - 1, icons.LEFT)}<span>{of}</span>'
            f'{link("next", look.page + 1, icons.RIGHT)}</nav>')


def _row(locale: str, one: ScoredRow, models: Sequence[str], telling: Telling) -> str:
    by_model = {answer.model: answer for answer in one.answers}
    said = [by_model.get(model) for model in models]
    bodies = ["" if answer is None else text(plain(answer.prediction)) for answer in said]
    if len(said) > 1 and said[0] and said[1]:
        bodies = list(sides(said[0].prediction, said[1].prediction))
    columns = "".join(_answer(locale, model, answer, body, telling)
                      for model, answer, body in zip(models, said, bodies, strict=True))
    head = text(t(locale, "evaluate.row", n=count(one.row)))
    if telling.data:
        name = text(quote(telling.data, safe=""))
        head = f'<a href="./data?name={name}&amp;row={one.row}">{head}</a>'
    cut = "" if not one.cut else (
        f'<p class="f-quiet">{text(t(locale, "evaluate.cut", n=count(LONGEST)))}</p>')
    moved = _moved(locale, said, telling.lower)
    return (f'<article class="f-case" data-row="{one.row}"><h3>{head}{moved}</h3>'
            f'{_part(locale, "prompt", one.prompt)}{_part(locale, "reference", one.reference)}'
            f'<div class="f-answers" data-of="{len(said)}">{columns}</div>{cut}</article>')


def _part(locale: str, key: str, said: str) -> str:
    if not said.strip():
        return ""
    return (f'<div class="f-asked-part"><span class="f-dim">{text(t(locale, f"evaluate.{key}"))}'
            f'</span><div class="f-said" tabindex="0">{text(plain(said))}</div></div>')


def _moved(locale: str, said: Sequence[Answer | None], lower: bool) -> str:
    """Say whether the second model does better or worse at this row."""
    scores = [answer.score if answer else None for answer in said]
    if len(scores) < 2 or scores[0] is None or scores[1] is None or scores[0] == scores[1]:
        return ""
    key = "gained" if (scores[1] > scores[0]) != lower else "lost"
    return (f' <span class="f-chip f-moved f-row-{key}" data-moved="{key}"><i aria-hidden="true">'
            f'{"▲" if key == "gained" else "▼"}</i>{text(t(locale, f"evaluate.row.{key}"))}</span>')


def _answer(locale: str, model: str, answer: Answer | None, body: str,
            telling: Telling) -> str:
    if answer is None:
        return (f'<section><h4>{text(telling.label(model))}</h4><p class="f-quiet">'
                f'{text(t(locale, "evaluate.not_asked"))}</p></section>')
    wrong = "" if not answer.mistake else (
        f'<span class="f-tag">{text(mistake_text(locale, answer.mistake))}</span>')
    cut = "" if answer.finish_reason != "length" or answer.mistake == "cut" else (
        f'<span class="f-tag">{text(mistake_text(locale, "cut"))}</span>')
    tokens = text(t(locale, "evaluate.tokens", n=count(answer.tokens))) if answer.tokens else ""
    shown = body if body.strip() else (
        f'<span class="f-dim">{text(t(locale, "evaluate.empty_answer"))}</span>')
    return (f'<section data-model="{text(model)}"><h4>{text(telling.label(model))}'
            f"{_score(locale, answer.score, telling.share)}{wrong}{cut}"
            f'<span class="f-dim">{tokens}</span></h4>'
            f'<div class="f-said" tabindex="0">{shown}</div></section>')


def _score(locale: str, score: float | None, share: bool) -> str:
    if score is None:
        return f'<span class="f-dim">{text(t(locale, "evaluate.no_score"))}</span>'
    if share and score in (0.0, 1.0):
        key = "right" if score else "wrong"
        icon = icons.CHECK if score else icons.CLOSE
        return (f'<span class="f-mark-{key}">{icon}'
                f'{text(t(locale, f"evaluate.is_{key}"))}</span>')
    return f"<b>{text(value_text(score, False))}</b>"

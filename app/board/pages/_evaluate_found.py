"""Puts together what the Evaluate page and an evaluation's Run page show of its results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.board import icons
from app.board.i18n import t
from app.board.pages import _evaluate_one, _evaluate_rows
from app.board.pages._evaluate_html import Label, address, table
from app.board.pages._evaluate_rows import Look, Telling
from app.board.pages._parts import card, text
from app.evaluations.reading import Kept, forgetting, histogram, matrix
from app.evaluations.rows import rows
from app.runs import ACTIVE, ENDED, Run, RunError, RunState
from trainer.contract.kinds import OTHERS
from trainer.contract.kinds.evaluation import EvaluationReport, read_report
from trainer.contract.rundir import RunDir

_MOST_MODELS = 16


class Shown:
    """Draws evaluations in one language."""

    def __init__(self, studio: Any, locale: str, label: Label) -> None:
        self.studio, self.locale, self.label = studio, locale, label

    def _say(self, key: str, **values: object) -> str:
        return t(self.locale, f"evaluate.{key}", **values)

    def live(self, runs: Sequence[Run]) -> str:
        """Return the bars of evaluations that have not ended."""
        going = [run for run in runs if run.state in ACTIVE or run.state == RunState.QUEUED]
        line = sorted((run for run in self.studio.runs(state=str(RunState.QUEUED))),
                      key=lambda run: run.queued_at)
        places = {run.id: place for place, run in enumerate(line)}
        return "".join(_evaluate_one.live(self.locale, run, places.get(run.id, 0))
                       for run in going[:8])

    def all(self, runs: Sequence[Run]) -> tuple[str, str, str]:
        """Return (what is live, the matrix of all evaluations, the list of them)."""
        if not runs:
            return "", self._empty(), ""
        found = matrix(runs)
        body = "" if not found.columns else card(
            self._say("matrix"), table(self.locale, found, self.label, self._ids()),
            element_id="evaluate-all", side=f'<span class="f-quiet">'
            f'{text(self._say("matrix_lead"))}</span>')
        return self.live(runs), body, self._list(runs)

    def _ids(self) -> set[str]:
        return {run.id for run in self.studio.runs()}

    def _empty(self) -> str:
        steps = "".join(f"<li>{text(self._say(f'empty.step{n}'))}</li>" for n in (1, 2, 3))
        return (f'<div class="f-card f-empty" id="evaluate-empty">{icons.MARK}'
                f'<h2>{text(self._say("empty.title"))}</h2><p>{text(self._say("empty.lead"))}</p>'
                f"<ol>{steps}</ol></div>")

    def _list(self, runs: Sequence[Run]) -> str:
        """Return the evaluations as a list, the newest first."""
        items = ""
        for run in runs[:100]:
            words = t(self.locale, f"state.{run.state}")
            models = ", ".join(self.label(name) for name in run.model.split(", "))
            items += (f'<li data-id="{text(run.id)}"><div><a href="{text(address(run.id))}">'
                      f'{text(run.name)}</a><span class="f-dim">'
                      f"{text(' · '.join(filter(None, (words, models))))}</span></div></li>")
        return card(self._say("list"), f'<ul class="f-list">{items}</ul>',
                    element_id="evaluate-list")

    def missing(self, run_id: str) -> str:
        """Return the page for an id that no evaluation has."""
        return (f'<div class="f-card f-empty" id="evaluate-missing">{icons.MARK}'
                f'<h2>{text(self._say("missing"))}</h2>'
                f'<p>{text(t(self.locale, "missing.lead", id=run_id))}</p><div class="f-actions">'
                f'<a class="f-button f-primary" href="./evaluate">{text(self._say("back"))}</a>'
                "</div></div>")

    def one(self, run: Run, look: Look, runs: Sequence[Run]) -> tuple[str, str, str]:
        """Return (what is live, what was found, its rows)."""
        report = read_report(RunDir(run.dir))
        live = self.live([run])
        head = _evaluate_one.hero(self.locale, run, report)
        if report is None:
            return live, head + (_evaluate_one.ended(self.locale, run)
                                 if run.state in ENDED else ""), ""
        return live, head + self.report(run, report, runs), self.rows(run, report, look)

    def report(self, run: Run, report: EvaluationReport, runs: Sequence[Run] = ()) -> str:
        """Return the scores of one evaluation with all that belongs to them."""
        locale, label = self.locale, self.label
        shares = {(one.dataset, one.metric): one.share for one in report.results}
        found = matrix([run])
        scores = card(self._say("scores"), table(locale, found, label, self._ids())
                      + _evaluate_one.comparisons(locale, report, label, shares)) \
            if found.columns else ""
        return (_evaluate_one.summary(locale, report, label) + _evaluate_one.notes(locale, report)
                + scores + self._kept(report, runs or [run])
                + _evaluate_one.judged(locale, report.judged, label)
                + _evaluate_one.answered(locale, report.answered, label))

    def brief(self, run: Run) -> str:
        """Return what the Run page shows of an evaluation: its scores, and the way to the rows."""
        report = read_report(RunDir(run.dir))
        if report is None:
            return ""
        found = matrix([run])
        link = (f'<a class="f-button f-small" id="run-evaluation" href="{text(address(run.id))}">'
                f'{text(self._say("open"))}</a>')
        body = table(self.locale, found, self.label, self._ids()) if found.columns else ""
        return (_evaluate_one.summary(self.locale, report, self.label)
                + card(self._say("scores"), body, side=link))

    def _kept(self, report: EvaluationReport, runs: Sequence[Run]) -> str:
        """Return the check of what was forgotten, of each trained model beside its own base."""
        drawn = ""
        for model in report.models[:_MOST_MODELS]:
            mine = {one.dataset for one in report.results
                    if one.model == model and one.source == "benchmark"}
            base = self._base_of(model) if mine else ""
            if not base or base == model:
                continue
            found: list[Kept] = [one for one in forgetting(runs, model, base)
                                 if one.source == "benchmark" and one.dataset in mine]
            drawn += _evaluate_one.kept(self.locale, found, self.label(model), self.label(base))
        return drawn

    def _base_of(self, name: str) -> str:
        try:
            run: Run = self.studio.run(name.partition("/")[0])
        except RunError:
            return ""
        return "" if run.objective in OTHERS else run.model

    def rows(self, run: Run, report: EvaluationReport, look: Look) -> str:
        """Return mistakes, histogram, filters and rows as they are looked at."""
        if not report.predictions:
            return ""
        locale, query = self.locale, look.query(report)
        try:
            page = rows(run, query)
            if not page.rows and look.page > 1:
                look = look.at_most(page.total)
                page = rows(run, look.query(report))
            spread = histogram(run, page.dataset, page.metric)
        except RunError:
            return card(self._say("rows"), f'<p class="f-quiet">{text(self._say("no_answers"))}</p>'
                        f'<p><a data-look href="{text(address(run.id))}">'
                        f'{text(self._say("look_again"))}</a></p>')
        of = next((one for one in report.results if (one.dataset, one.metric) == (
            page.dataset, page.metric)), None)
        share = bool(of and of.share)
        wrong = [one for one in report.mistakes
                 if (one.dataset, one.metric) == (page.dataset, page.metric)] or [
            one for one in report.mistakes if one.dataset == page.dataset]
        known = {one.name for one in self.studio.datasets()}
        telling = Telling(self.label, share, bool(of and not of.higher_is_better),
                          page.dataset if page.dataset in known else "")
        beside = (_evaluate_one.mistakes(locale, run.id, wrong, self.label, _evaluate_one.Chosen(
            page.dataset, page.models, look.mistake))
            + _evaluate_one.histogram(locale, spread, self.label, share))
        body = (_evaluate_rows.filters(locale, look, query, report, self.label, page)
                + _evaluate_rows.rows(locale, look, page, telling))
        return f'<div class="f-beside">{beside}</div>' + card(
            self._say("rows"), body, element_id="evaluate-cases")

"""The Evaluate page: a new evaluation, what all of them have found, and one of them row by row.

``/evaluate`` has the form (``?model=RUN`` fills it, ``?clone=RUN`` takes another's) and the matrix;
``/evaluate?run=ID`` one evaluation, with what is looked at in the rest of the address.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gradio as gr

from app.board.doors import QUIET, door
from app.board.i18n import reason_text, t
from app.board.pages import _evaluate_form, _evaluate_found, _evaluate_raws, _export_form
from app.board.pages._evaluate_form import EvaluateForm
from app.board.pages._evaluate_rows import Look
from app.board.pages._export_form import Option
from app.board.pages._export_page import KindPage, said_of, settings
from app.board.pages._parts import card, html, text
from app.board.pages._run_html import choice_title
from app.choices import Choice
from app.preflight import DryRun
from app.runs import ENDED, Run, RunError, RunState
from app.serving.endpoints import EndpointBackend, EndpointBook
from app.serving.engines.names import Names
from trainer.contract.config import objectives_with
from trainer.contract.kinds import OTHERS
from trainer.contract.kinds.evaluate import EvaluateConfig
from trainer.contract.kinds.evaluation import read_report
from trainer.contract.problems import Problem
from trainer.contract.rundir import RunDir

_NEWEST = 60


class EvaluatePage(KindPage):
    """The page's components and handlers for one language."""

    owners: ClassVar = {
        "model_twice": "models", "metric_twice": "metrics", "nothing_to_ask": "data",
        "nothing_to_judge": "judge.model", "pairwise_of_one": "judge.mode"}
    form: EvaluateForm

    def __init__(self, studio: Any, locale: str) -> None:
        super().__init__(studio, locale)
        self.form = EvaluateForm(locale, EvaluateConfig, "evaluate")

    def _say(self, key: str, **values: object) -> str:
        return t(self.locale, f"evaluate.{key}", **values)

    # The form

    def head(self) -> str:
        """Return the page's title with the button that opens the form."""
        return (f'<div class="f-title f-evaluate-head"><div><h1>{text(self._say("title"))}</h1>'
                f'<p>{text(self._say("lead"))}</p></div><button type="button" '
                f'class="f-button f-primary" id="evaluate-new" aria-controls="kind-body" '
                f'aria-expanded="false">{text(self._say("new"))}</button></div>'
                f"{_export_form.draft(self.locale)}{self._chip_words()}")

    def _chip_words(self) -> str:
        """Return what the chips of models and data say, for the script."""
        words = {"remove": t(self.locale, "chooser.remove"), "to_first": self._say("to_first"),
                 "fits": "", "others": ""}
        return (f'<div id="train-words" hidden data-words="'
                f'{text(json.dumps(words, ensure_ascii=False))}"></div>')

    def cards(self) -> Sequence[tuple[str, str]]:
        """Return the form's cards as (heading, HTML)."""
        return _evaluate_form.cards(self.form, self.devices())

    def known(self) -> Mapping[str, Sequence[Option]]:
        """Return what can answer, and datasets; a judge is an endpoint before all."""
        served = Names(self.studio).served()
        endpoints = EndpointBackend(EndpointBook(self.studio.home)).served()
        order = {"run": 0, "checkpoint": 1, "export": 2, "base": 3}
        here = [self._option(one.name, one.label)
                for one in sorted(served, key=lambda one: order.get(one.kind, 9))]
        far = [self._option(one.name, one.label) for one in endpoints]
        return {"models": [*here, *far], "judge.model": [*far, *here],
                "data": [(one.name, one.name) for one in self.studio.datasets()
                         if not one.problem]}

    def _option(self, name: str, label: str) -> Option:
        if name == "starter":
            return self.choice(name)
        return (label if label == name else f"{label} · {name}"), name

    def defaults(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the named model with its base first, else the newest result with its base."""
        named = [name for name in query.get("model", "")[:10_000].split(",") if name][:16]
        models = named or [run.id for run in self.studio.runs(state=str(RunState.COMPLETED))
                           if run.objective not in (*OTHERS, *objectives_with(head=True))][:1]
        if len(models) == 1:
            base = self._base(models[0])
            models = [*([base] if base and base != models[0] else []), *models]
        data = [name for name in query.get("data", "")[:10_000].split(",") if name][:32]
        return _evaluate_raws.raws_of({"models": models or ["starter"],
                                       "data": data or self._held_out(models)})

    def _run(self, name: str) -> Run | None:
        try:
            run: Run = self.studio.run(name.partition("/")[0])
            return run
        except RunError:
            return None

    def _base(self, name: str) -> str:
        run = self._run(name)
        return "" if run is None or run.objective in OTHERS else run.model

    def _held_out(self, models: Sequence[str]) -> list[Any]:
        """Return what a run was measured on while it trained."""
        run = self._run(models[-1]) if models else None
        if run is None or run.objective in OTHERS:
            return []
        values = self.studio.clone_values(run.id)
        return list((values.get("data") or {}).get("eval") or ())

    def raws_of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the form holds for a config."""
        return _evaluate_raws.raws_of(values)

    def read(self, raws: Mapping[str, Any]) -> dict[str, Any]:
        """Return the config that the form describes, unchecked."""
        values = _evaluate_raws.read(raws)
        return {**values, "name": values["name"] or self.named(raws)}

    def means(self, raws: Mapping[str, Any]) -> dict[str, Any]:
        """Return which fields mean nothing now."""
        return {"hidden": _evaluate_raws.hidden(raws)}

    def named(self, raws: Mapping[str, Any]) -> str:
        """Return a name after the models."""
        return self._named([one for one in raws.get("models") or () if isinstance(one, str)])

    def _named(self, models: Sequence[str]) -> str:
        names = " · ".join(self.label(name) for name in models[:4]) or "evaluation"
        return names[:100].replace("/", "-").replace("\\", "-")

    def missing(self, raws: Mapping[str, Any]) -> str:
        """Return what has to be chosen first."""
        if not raws.get("models"):
            return self._say("choose")
        asked = raws.get("data") or raws.get("benchmarks.offered") or said_of(
            raws, "benchmarks.tasks")
        return "" if asked else self._say("choose_data")

    def placed(self, problems: Sequence[Problem], raws: Mapping[str, Any]) -> Sequence[Problem]:
        """Return problems with the form's fields that they are about."""
        return [_evaluate_raws.placed(one, raws) for one in problems]

    def looked_at(self, raws: Mapping[str, Any]) -> tuple[DryRun, dict[str, Any], str]:
        """Return (what is known, what the script is told, what it will take)."""
        dry = self.studio.dry_run(self.read(raws), origin="web")
        told = {"digests": _evaluate_raws.digests(self.placed(dry.problems, raws))}
        return dry, told, self._takes(dry.choices)

    def _takes(self, made: Sequence[Choice]) -> str:
        """Return what it will take: rows, questions, time, what the judge will cost."""
        rows = ""
        for one in made:
            title = self.form.owner(one.field)[1] or choice_title(self.locale, one.field)
            rows += (f'<li data-choice="{text(one.field)}"><div><b>{text(title)}</b> '
                     f"{text(reason_text(self.locale, one.value))}"
                     f'<span class="f-dim">{text(reason_text(self.locale, one.reason))}</span>'
                     "</div></li>")
        return card(self._say("takes"), f'<ul class="f-list f-choices">{rows}</ul>') if rows else ""

    def command(self, config: EvaluateConfig) -> str:
        """Return the command that does the same."""
        told = config.model_dump(mode="json", exclude_defaults=True)
        if config.name == self._named(config.models):
            told.pop("name", None)
        plain = all(isinstance(one, str) for one in config.data)
        data = told.pop("data", []) if plain else []
        metrics = [one.name if not one.options() else json.dumps(
            {"name": one.name, **one.options()}, ensure_ascii=False) for one in config.metrics]
        # Of benchmarks too; alone it is said as it stands in the config.
        limit = None if config.benchmarks.tasks else told.pop("max_samples", None)
        for key in ("kind", "models", "metrics"):
            told.pop(key, None)
        words = [["finestra", "evaluate"],
                 *(["--model", name] for name in config.models),
                 *(["--data", name] for name in data), *(["--metric", one] for one in metrics),
                 *([["--limit", str(limit)]] if limit else []),
                 *([setting] for setting in settings(told))]
        return " \\\n  ".join(shlex.join(part) for part in words)

    def yaml(self, config: EvaluateConfig) -> str:
        """Return the config as a file, without what is default."""
        return _export_form.brief(
            {"kind": "evaluate", "name": config.name, "models": config.models},
            config.model_dump(mode="json", exclude_defaults=True))

    # What evaluations have found

    def build(self, blocks: gr.Blocks) -> None:
        """Lay out the page and wire its events."""
        self.looked = gr.Textbox("{}", visible=False)
        self.seen = gr.Textbox("", visible=False)
        super().build(blocks)
        self.look = gr.Textbox("", elem_id="evaluate-look", elem_classes="f-away",
                               show_label=False, container=False, interactive=True)
        self.panels = [html("", f"evaluate-{name}") for name in ("live", "found", "rows")]
        failed = door(self.locale, lambda banner: (banner, *[gr.skip()] * 4))
        outputs = [*self.panels, self.looked, self.seen]
        blocks.load(failed(self._arrive), None, outputs, **QUIET)
        self.look.change(failed(self._turn), [self.look, self.looked], outputs,
                         trigger_mode="always_last", **QUIET)
        gr.Timer(2.0).tick(failed(self._tick), [self.looked, self.seen], outputs, **QUIET)

    def _load(self, request: gr.Request) -> Any:
        if request.query_params.get("run"):
            return "", "", gr.skip()
        return super()._load(request)

    def _arrive(self, request: gr.Request) -> Any:
        return self._drawn(dict(request.query_params))

    def _turn(self, sent: str, before: str) -> Any:
        """Follow the address, which the script has changed."""
        asked = json.loads(sent) if sent else {}
        query = {key: str(value) for key, value in asked.items()} if isinstance(
            asked, dict) else {}
        if json.loads(before).get("run", "") != query.get("run", ""):
            return self._drawn(query)
        look, shown = Look.of(query), self._shown()
        one = next((run for run in self._evaluations() if run.id == look.run), None)
        report = read_report(RunDir(one.dir)) if one else None
        rows = shown.rows(one, report, look) if one and report else gr.skip()
        return gr.skip(), gr.skip(), rows, _told(query), gr.skip()

    def _shown(self) -> _evaluate_found.Shown:
        return _evaluate_found.Shown(self.studio, self.locale, self.label)

    def _drawn(self, query: Mapping[str, str]) -> tuple[Any, Any, Any, str, str]:
        look = Look.of(query)
        runs = self._evaluations()
        shown = self._shown()
        one = next((run for run in runs if run.id == look.run), None)
        if not look.run:
            live, found, rows = shown.all(runs)
        elif one is None:
            live, found, rows = "", shown.missing(look.run), ""
        else:
            live, found, rows = shown.one(one, look, runs)
        return live, found, rows, _told(query), self._mark(look, runs)

    def _tick(self, looked: str, seen: str) -> Any:
        """Draw anew what is live; the rest when an evaluation has come or ended."""
        query = json.loads(looked)
        look, runs = Look.of(query), self._evaluations()
        mark = self._mark(look, runs)
        if mark == seen:
            return (gr.skip(),) * 5
        if mark.partition("|")[0] != seen.partition("|")[0]:
            return self._drawn(query)
        return (self._shown().live([run for run in runs if look.run in ("", run.id)]), gr.skip(),
                gr.skip(), gr.skip(), mark)

    def _evaluations(self) -> list[Run]:
        return [run for run in self.studio.runs() if run.objective == "evaluate"]

    def _mark(self, look: Look, runs: Sequence[Run]) -> str:
        """Return a text that is another one when something else is to be shown."""
        mine = [run for run in runs if look.run in ("", run.id)][:_NEWEST]
        states = ",".join(f"{run.id}:{run.state}:{run.attempt}" for run in mine)
        moving = ",".join(f"{run.progress.step}/{run.progress.stage}/{run.progress.stage_done}"
                          for run in mine if run.state not in ENDED)
        return f"{states}|{moving}"


def _told(query: Mapping[str, str]) -> str:
    """Return what is looked at, for the next event to compare with."""
    return json.dumps({key: value for key, value in query.items() if key != "at"})

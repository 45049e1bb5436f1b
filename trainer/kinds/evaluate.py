"""A run that evaluates: models answer rows, answers are scored, models are compared."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from trainer.context import Work
from trainer.contract.events import MetricsEvent
from trainer.contract.kinds.evaluate import EvaluateConfig
from trainer.contract.kinds.evaluation import Answered, EvaluationReport
from trainer.engines.kinds import all_kinds
from trainer.engines.settings import EngineSettings
from trainer.evaluation import reporting
from trainer.evaluation.asking import HttpAsker
from trainer.evaluation.benchmarks import BenchmarkResult
from trainer.evaluation.choosing import Plan, version_of
from trainer.evaluation.judging.wish import JudgeResult
from trainer.evaluation.outside import Outside, at_once
from trainer.evaluation.preparing import Task, device_of, prepare
from trainer.evaluation.reporting import Answers
from trainer.evaluation.running import Pace, answer_rows, until_stopped
from trainer.evaluation.scoring import Board, compare_scores, predictions_of, score
from trainer.evaluation.seam import Said
from trainer.evaluation.starting import Hall, Place
from trainer.evaluation.store import Key, Store, mark_of
from trainer.failures import Failure
from trainer.scoring import Metric
from trainer.scoring.chosen import Context, build

Metrics = dict[str, float | None]
# Nothing on this machine can change it, so that the run need not be resumed.
FOR_GOOD = ("benchmark_likelihood",)


def run(work: Work[EvaluateConfig]) -> Metrics:
    """Evaluate as the config says; what earlier attempts have found out is kept.

    Raises:
        Stopped: A stop was asked for; answers until then are kept.
        Failure: A model cannot be asked, nothing could be scored, or a benchmark or the judge
            failed: then there is a report of all the rest.
        DatasetError: A dataset cannot be read.
    """
    task = prepare(work)
    work.run.eval.mkdir(exist_ok=True)
    work.stop.training_begins()
    hall = Hall(Place(work.attempt.path, work.run.eval / "engine.json", work.runs,
                      device_of(work.device)), all_kinds(EngineSettings.read()))
    course = Course(work, task, Outside(work, task, hall))
    try:
        metrics = course.metrics()
        until_stopped(course.answer(), work.stop, hall.interrupt)
        course.score(metrics)
        course.judge()
    finally:
        hall.close()
    return course.finish()


@dataclass
class Course:
    """One attempt at an evaluation, step by step."""

    work: Work[EvaluateConfig]
    task: Task
    outside: Outside
    board: Board = field(default_factory=Board)
    said: dict[str, dict[Key, Said]] = field(default_factory=dict)
    answered: dict[int, Answered] = field(default_factory=dict)
    benchmarks: dict[str, BenchmarkResult] = field(default_factory=dict)
    judged: JudgeResult | None = None
    trouble: list[Failure] = field(default_factory=list)

    def metrics(self) -> dict[str, list[Metric]]:
        """Return the metrics of each dataset; Failure when one cannot be made."""
        context = Context(embed=self.outside.embedder)
        return {dataset: build(uses, context) for dataset, uses in self.task.uses.items()}

    async def answer(self) -> None:
        """Ask one model after the other; those of one base stand together."""
        asks, plans = self.task.found.asks, self.task.plans
        marks = {ask.key: mark_of(ask) for ask in asks}
        pace = Pace(self.work.emit, "answering", len(asks) * len(plans))
        for plan in _grouped(plans):
            self.work.emit.stage("answering", f"{plan.name}: {len(asks):,} rows")
            path = self.work.run.eval / f"answers-{plan.number:02d}.jsonl"
            with Store(path, self.task.prints[plan.number], marks) as store:
                self._tell_of(plan, store)
                pace.keep(store.kept)
                await self._ask(plan, store, pace)

    def _tell_of(self, plan: Plan, store: Store) -> None:
        """Say what became of the answers of earlier attempts."""
        emit = self.work.emit
        if store.set_aside:
            emit.warn("answers_set_aside", f"The model '{plan.name}' or the settings have changed "
                      f"since: its old answers are in eval/{store.set_aside}, all rows are asked "
                      "again.")
        if store.dropped:
            emit.warn("rows_changed", f"{store.dropped:,} rows have changed since '{plan.name}' "
                      "answered them; they are asked again.")
        if store.kept:
            emit.choose(f"answers.{plan.name}", f"{store.kept:,} kept",
                        "an earlier attempt has them")

    async def _ask(self, plan: Plan, store: Store, pace: Pace) -> None:
        """Ask one model the rows that are left, and the benchmarks."""
        asks, hall, began = self.task.found.asks, self.outside.hall, time.monotonic()
        async with HttpAsker(plan, hall, at_once(self.work.config, plan),
                             self.work.emit.warn) as asker:
            if store.left(asks):
                await answer_rows(asks, asker, store, self.task.how, pace.add)
            took, load_s = time.monotonic() - began, hall.load_s.get(plan.number, 0.0)
            self.said[plan.name] = store.answers
            self.answered[plan.number] = Answered(
                model=plan.name, engine=plan.engine, rows=len(store.answers), kept=store.kept,
                version=version_of(plan.kind) if plan.kind else "",
                seconds=round(max(0.0, took - load_s), 3), load_s=round(load_s, 3),
                at_once=asker.gate.width,
                tokens_out=sum(one.tokens for one in store.answers.values()))
            if self.work.config.benchmarks.tasks:
                await self._benchmarks(plan, asker)

    async def _benchmarks(self, plan: Plan, asker: HttpAsker) -> None:
        """Ask the benchmarks; what keeps them from being asked loses nothing else."""
        try:
            found = await self.outside.benchmarks(plan, asker)
        except Failure as error:
            if not error.code.startswith("benchmark_"):
                raise
            self._note_trouble(f"Benchmarks of '{plan.name}'", error)
            return
        self.benchmarks[plan.name] = found
        self.board.results += found.results

    def _note_trouble(self, what: str, error: Failure) -> None:
        self.board.notes.append(f"{what}: {error.message} {error.advice}".strip())
        if error.code not in FOR_GOOD:
            self.trouble.append(error)

    def score(self, metrics: dict[str, list[Metric]]) -> None:
        """Score the answers and compare the models."""
        self.work.emit.stage("scoring", "Scoring the answers")
        board, models = self.board, self.work.config.models
        board.notes[:0] = self.task.found.notes
        for dataset in self.task.found.datasets:
            rows = [ask for ask in self.task.found.asks if ask.dataset == dataset]
            for plan in self.task.plans:
                score(board, plan.name, dataset, metrics[dataset],
                      predictions_of(rows, self.said[plan.name]), self.work.stop.check)
        reporting.measure(board, self.task.found.datasets, models, self.work.config.seed)
        for key in dict.fromkeys(key for one in self.benchmarks.values() for key in one.scores):
            compare_scores(board, models, key[0],
                           {name: one.scores[key] for name, one in self.benchmarks.items()
                            if key in one.scores}, self.work.config.seed, "benchmark")

    def judge(self) -> None:
        """Have the answers judged, if the config names a judge; what it may lose is written."""
        if self.task.judge is None:
            return
        self._write()
        answers = self._answers()
        asks = {ask.key: list(ask.messages) for ask in answers.asks}
        lines = {model: [{**line, "messages": asks[line["dataset"], line["row"]]}
                         for line in reporting.lines_of(self.board, answers, model)]
                 for model in answers.said}
        self.judged = self.outside.judged(lines)
        self.board.notes += self.judged.notes
        self.board.found += [(one, True) for one in self.judged.compared]

    def _answers(self) -> Answers:
        found = self.task.found
        return Answers(self.work.config.models, found.datasets, found.asks, self.said,
                       [self.answered[number] for number in sorted(self.answered)])

    def _write(self) -> EvaluationReport:
        """Write the predictions, then the report; returns it."""
        answers, judged = self._answers(), self.judged
        report = reporting.report_of(self.board, answers, judged.judged if judged else ())
        lines = partial(reporting.lines_of, self.board, answers)
        reporting.write(self.work.run, report, {
            model: lines(model, judged.values.get(model) if judged else None)
            for model in report.predictions})
        return report

    def finish(self) -> Metrics:
        """Write the report whole, tell what it says, and end as it went."""
        report, emit = self._write(), self.work.emit
        for note in report.notes:
            if note not in self.task.found.notes:
                emit.warn("evaluation_note", note)
        values = reporting.values_of(report)
        total = len(self.task.found.asks) * len(self.task.plans)
        emit(MetricsEvent(step=total, total_steps=total, values=values))
        if self.trouble:
            raise self.trouble[0]
        if not values and (any(self.task.uses.values()) or self.work.config.benchmarks.tasks):
            raise Failure("nothing_scored", "No metric could score anything. "
                          + " ".join(self.board.notes[-3:]), "Correct the metrics; answers are "
                          "kept.")
        return values


def _grouped(plans: Sequence[Plan]) -> list[Plan]:
    """Return the models so that those of one base follow each other, the base alone first."""
    first: dict[object, int] = {}
    for plan in plans:
        first.setdefault(_base(plan), plan.number)
    return sorted(plans, key=lambda plan: (
        first[_base(plan)], plan.kind is not None and plan.target.adapter is not None,
        plan.number))


def _base(plan: Plan) -> object:
    return (plan.engine, plan.target.model) if plan.kind else plan.name

"""A run that evaluates: models answer rows, answers are scored, models are compared."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.context import Work
from trainer.contract.events import MetricsEvent
from trainer.contract.kinds.evaluate import BY_LIKELIHOOD, EvaluateConfig, MetricUse
from trainer.contract.kinds.evaluation import Answered
from trainer.engines.kinds import all_kinds
from trainer.engines.settings import EngineSettings
from trainer.evaluation import reporting
from trainer.evaluation.asking import HttpAsker
from trainer.evaluation.choosing import ENDPOINT, LLAMA, VLLM, Plan, Wish, choose, version_of
from trainer.evaluation.finding import Finder
from trainer.evaluation.rows import Form, Found, read_rows
from trainer.evaluation.running import How, Pace, Wants, answer_rows, until_stopped
from trainer.evaluation.scoring import Board, predictions_of, score
from trainer.evaluation.starting import Hall, Place
from trainer.evaluation.store import Store, mark_of
from trainer.failures import Failure
from trainer.scoring import Metric
from trainer.scoring.chosen import build, chosen_for

Metrics = dict[str, float | None]
# Engines queue what they cannot take at once, so that none of them waits for the next question.
AT_ONCE = {"transformers": 64, VLLM: 128, LLAMA: 2, ENDPOINT: 8}


@dataclass(frozen=True)
class Task:
    """What is to be done: questions, how each model is asked, and by what answers are scored."""

    found: Found
    plans: list[Plan]
    metrics: dict[str, list[Metric]]
    how: How
    prints: dict[int, str]


def run(work: Work[EvaluateConfig]) -> Metrics:
    """Evaluate as the config says; answers of earlier attempts are kept.

    Raises:
        Stopped: A stop was asked for; answers until then are kept.
        Failure: A model cannot be asked, or nothing could be scored.
        DatasetError: A dataset cannot be read.
    """
    task = prepare(work)
    work.stop.training_begins()
    hall = Hall(Place(work.attempt.path, work.run.eval / "engine.json", work.runs,
                      _device(work.device)))
    try:
        answers = until_stopped(_answer(work, task, hall), work.stop, hall.interrupt)
    finally:
        hall.close()
    return _report(work, task, answers)


def prepare(work: Work[EvaluateConfig]) -> Task:
    """Read the rows, find the models, choose engines and metrics; say each choice."""
    config = work.config
    work.emit.stage("loading", "Looking at the models")
    finder = Finder(work.runs, work.home)
    places = [finder.find(name) for name in config.models]
    generates = any(one.name not in BY_LIKELIHOOD for one in config.metrics) \
        or bool(config.judge.model)
    found = read_rows(work, Form(generates))
    rows = None if config.benchmarks.tasks else len(found.asks)
    plans = choose(config.models, places, Wish(config.engine, _device(work.device), rows),
                   all_kinds(EngineSettings.read()))
    for plan in plans:
        work.emit.choose(f"engine.{plan.name}", plan.engine, plan.why)
    uses = _uses(work, found)
    wants = _wants([use.name for several in uses.values() for use in several],
                   judged=bool(config.judge.model))
    kept = {name: build(several) for name, several in uses.items()}
    reporting.kept_folder(work.run)
    prints = {plan.number: _fingerprint(finder.identity(plan.place), config, wants)
              for plan in plans}
    return Task(found, plans, kept, How(wants, config.generation), prints)


def _uses(work: Work[EvaluateConfig], found: Found) -> dict[str, Sequence[MetricUse]]:
    """Return the metrics of each dataset: the config's, else those that its rows ask for."""
    if work.config.metrics:
        return dict.fromkeys(found.datasets, work.config.metrics)
    uses: dict[str, Sequence[MetricUse]] = {}
    for dataset in found.datasets:
        chosen = chosen_for([ask for ask in found.asks if ask.dataset == dataset])
        for one in chosen:
            work.emit.choose(f"metrics.{dataset}", one.use.name, one.reason)
            found.notes.append(f"'{dataset}' is scored by {one.use.name}: {one.reason}.")
        if not chosen:
            found.notes.append(f"Nothing says what is right in '{dataset}', so it has no scores.")
        uses[dataset] = [one.use for one in chosen]
    return uses


def _wants(names: Sequence[str], *, judged: bool) -> Wants:
    return Wants(answers=judged or any(name not in BY_LIKELIHOOD for name in names),
                 likelihood="likelihood" in names, choices="multiple_choice" in names)


def _fingerprint(identity: str, config: EvaluateConfig, wants: Wants) -> str:
    """Return what changes when old answers are no answers to this any more."""
    text = json.dumps([identity, config.generation.model_dump(mode="json"), vars(wants)])
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:24]


def _device(asked: str) -> str:
    """Return 'cpu' or a GPU's uuid; by hand 'auto' is the first GPU."""
    if asked != "auto":
        return asked
    import pynvml as nvml

    try:
        nvml.nvmlInit()
        uuid = nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetHandleByIndex(0))
    except nvml.NVMLError:
        return "cpu"
    return uuid.decode() if isinstance(uuid, bytes) else str(uuid)


async def _answer(work: Work[EvaluateConfig], task: Task, hall: Hall) -> reporting.Answers:
    """Ask one model after the other; those of one base stand together."""
    asks, said, answered = task.found.asks, {}, {}
    marks = {ask.key: mark_of(ask) for ask in asks}
    work.emit.stage("answering", f"{len(asks):,} rows, {len(task.plans)} models")
    pace = Pace(work.emit, "answering", len(asks) * len(task.plans))
    for plan in _grouped(task.plans):
        path = work.run.eval / f"answers-{plan.number:02d}.jsonl"
        with Store(path, task.prints[plan.number], marks) as store:
            _tell_of(work, plan, store)
            pace.keep(store.kept)
            answered[plan.number] = await _ask(work, task, hall, plan, store, pace)
            said[plan.name] = store.answers
    return reporting.Answers(
        work.config.models, task.found.datasets, asks, said,
        [answered[number] for number in sorted(answered)])


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


def _tell_of(work: Work[EvaluateConfig], plan: Plan, store: Store) -> None:
    """Say what became of the answers of earlier attempts."""
    if store.set_aside:
        work.emit.warn("answers_set_aside", f"The model '{plan.name}' or the settings have changed "
                       f"since: its old answers are in eval/{store.set_aside}, all rows are asked "
                       "again.")
    if store.dropped:
        work.emit.warn("rows_changed", f"{store.dropped:,} rows have changed since '{plan.name}' "
                       "answered them; they are asked again.")
    if store.kept:
        work.emit.choose(f"answers.{plan.name}", f"{store.kept:,} kept",
                         "an earlier attempt has them")


async def _ask(work: Work[EvaluateConfig], task: Task, hall: Hall, plan: Plan, store: Store,
               pace: Pace) -> Answered:
    began = time.monotonic()
    at_once = work.config.batch_size or AT_ONCE[plan.engine]
    async with HttpAsker(plan, hall, at_once, work.emit.warn) as asker:
        if store.left(task.found.asks):
            await answer_rows(task.found.asks, asker, store, task.how, pace.add)
        load_s = hall.load_s.get(plan.number, 0.0)
        return Answered(
            model=plan.name, engine=plan.engine,
            version=version_of(plan.kind) if plan.kind else "", rows=len(store.answers),
            kept=store.kept, seconds=round(time.monotonic() - began - load_s, 3),
            load_s=round(load_s, 3), at_once=asker.gate.width,
            tokens_out=sum(one.tokens for one in store.answers.values()))


def _report(work: Work[EvaluateConfig], task: Task, answers: reporting.Answers) -> Metrics:
    """Score, compare, write it down."""
    work.emit.stage("scoring", "Scoring the answers")
    board = Board(notes=list(task.found.notes))
    for dataset in answers.datasets:
        rows = [ask for ask in answers.asks if ask.dataset == dataset]
        for plan in task.plans:
            score(board, plan.name, dataset, task.metrics[dataset],
                  predictions_of(rows, answers.said[plan.name]), work.stop.check)
    report = reporting.summed_up(board, answers, work.config.seed)
    lines = {model: reporting.lines_of(board, answers, model) for model in report.predictions}
    if not report.results and any(task.metrics.values()):
        raise Failure("nothing_scored", "No metric could score anything. "
                      + " ".join(board.notes[:3]), "Correct the metrics; answers are kept.")
    reporting.write(work.run, report, lines)
    for note in report.notes:
        if note not in task.found.notes:
            work.emit.warn("evaluation_note", note)
    values = reporting.values_of(report.results)
    total = len(answers.asks) * len(task.plans)
    work.emit(MetricsEvent(step=total, total_steps=total, values=values))
    return values

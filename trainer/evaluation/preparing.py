"""Before anything is asked: rows are read, models found, engines and metrics chosen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.context import Work
from trainer.contract.kinds.evaluate import BY_LIKELIHOOD, EvaluateConfig, MetricUse
from trainer.engines.kinds import all_kinds
from trainer.engines.settings import EngineSettings
from trainer.evaluation.choosing import Plan, Wish, choose, without_likelihood
from trainer.evaluation.finding import Finder, Place
from trainer.evaluation.rows import Form, Found, read_rows
from trainer.evaluation.running import How, Wants
from trainer.failures import Failure
from trainer.scoring.chosen import chosen_for


@dataclass(frozen=True)
class Task:
    """What is to be done.

    Attributes:
        finder: Knows the hashes of what it has looked at.
        found: The questions.
        plans: How each model is asked.
        judge: How the judge is asked; None without one.
        uses: The metrics of each dataset.
        how: What is wanted of each row.
        prints: Of each model, what changes when its old answers are no answers any more.
    """

    finder: Finder
    found: Found
    plans: list[Plan]
    judge: Plan | None
    uses: dict[str, list[MetricUse]]
    how: How
    prints: dict[int, str]


def prepare(work: Work[EvaluateConfig]) -> Task:
    """Read the rows, find the models, choose engines and metrics; say each choice.

    Raises:
        Failure: A model cannot be asked, or no model can be asked what is wanted.
        DatasetError: A dataset cannot be read.
    """
    config = work.config
    work.emit.stage("loading", "Looking at the models")
    finder = Finder(work.runs, work.home)
    names = [*config.models, *([config.judge.model] if config.judge.model else [])]
    places = [finder.find(name) for name in names]
    asked = places[:len(config.models)]
    found = read_rows(work, _form(config, asked))
    rows = None if config.benchmarks.tasks else len(found.asks)
    plans = choose(names, places, Wish(config.engine, device_of(work.device), rows),
                   all_kinds(EngineSettings.read()))
    for plan in plans:
        work.emit.choose(f"engine.{plan.name}", plan.engine, plan.why)
    uses = _uses(work, found, blind=all(map(without_likelihood, asked)))
    wants = _wants([use.name for several in uses.values() for use in several],
                   judged=bool(config.judge.model))
    _require_likelihoods(found, plans[:len(asked)], wants)
    prints = {plan.number: _fingerprint(finder.identity(plan.place), config, wants)
              for plan in plans[:len(asked)]}
    return Task(finder, found, plans[:len(asked)], plans[-1] if config.judge.model else None, uses,
                How(wants, config.generation), prints)


def _form(config: EvaluateConfig, places: Sequence[Place]) -> Form:
    """Return how rows are put: by the metrics, and by what the models can be asked."""
    names = [one.name for one in config.metrics]
    writes = any(name not in BY_LIKELIHOOD for name in names) or bool(config.judge.model)
    blind = not names and any(map(without_likelihood, places))
    return Form(writes=writes or blind, lists=writes or blind,
                letters="multiple_choice" in names, programs="code" in names)


def _uses(work: Work[EvaluateConfig], found: Found, *, blind: bool
          ) -> dict[str, list[MetricUse]]:
    """Return the metrics of each dataset: the config's, else those that its rows ask for."""
    if work.config.metrics:
        return {dataset: list(work.config.metrics) for dataset in found.datasets}
    uses: dict[str, list[MetricUse]] = {}
    for dataset in found.datasets:
        asks = [ask for ask in found.asks if ask.dataset == dataset]
        chosen = [(one.use, one.reason) for one in chosen_for(asks)]
        if blind and any(use.name in BY_LIKELIHOOD for use, _ in chosen):
            chosen = [(use, why) for use, why in chosen if use.name not in BY_LIKELIHOOD] or [
                (MetricUse(name="chrf"), "no model here tells likelihoods, so written answers "
                 "are compared")]
        for use, reason in chosen:
            work.emit.choose(f"metrics.{dataset}", use.name, reason)
            found.notes.append(f"'{dataset}' is scored by {use.name}: {reason}.")
        if not chosen:
            found.notes.append(f"Nothing says what is right in '{dataset}', so it has no scores.")
        uses[dataset] = [use for use, _ in chosen]
    return uses


def _wants(names: Sequence[str], *, judged: bool) -> Wants:
    likely = bool(names) and all(name in BY_LIKELIHOOD for name in names)
    return Wants(answers=judged or not likely, likelihood="likelihood" in names,
                 choices="multiple_choice" in names)


def _require_likelihoods(found: Found, plans: Sequence[Plan], wants: Wants) -> None:
    """Note which models cannot tell likelihoods; refuse when nothing else is wanted of any.

    One that could through another engine is refused: it would miss beside those of its base.
    """
    if not (wants.likelihood or wants.choices):
        return
    blind = {plan.name: plan.blind for plan in plans if plan.blind}
    if name := next((plan.name for plan in plans
                     if plan.blind and not without_likelihood(plan.place)), ""):
        raise Failure("engine_cannot", f"The engine cannot tell for '{name}' how likely texts "
                      f"are. {blind[name]}", "Choose the engine 'auto'.")
    if len(blind) == len(plans) and not wants.answers:
        name, why = next(iter(blind.items()))
        raise Failure("likelihood_cannot", f"'{name}' cannot be asked what the metrics need. "
                      f"{why}", "Ask a run or a base through Transformers or vLLM, or choose "
                      "metrics of written answers.")
    found.notes += [f"'{name}' gets no scores by likelihood. {why}"
                    for name, why in blind.items()]


def _fingerprint(identity: str, config: EvaluateConfig, wants: Wants) -> str:
    text = json.dumps([identity, config.generation.model_dump(mode="json"), vars(wants)])
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:24]


def device_of(asked: str) -> str:
    """Return 'cpu' or a GPU's uuid; by hand 'auto' is the first GPU, if there is one."""
    if asked != "auto":
        return asked
    import pynvml as nvml

    try:
        nvml.nvmlInit()
        uuid = nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetHandleByIndex(0))
    except nvml.NVMLError:
        return "cpu"
    return uuid.decode() if isinstance(uuid, bytes) else str(uuid)


def tokenizer_of(plan: Plan) -> Path | None:
    """Return the folder with the tokenizer that a model's engine uses; None when unknown."""
    if plan.kind is None or plan.target.model.is_gguf:
        return None
    adapter = plan.target.adapter
    if adapter and (adapter.folder / "tokenizer.json").is_file():
        return adapter.folder
    return plan.target.model.folder

"""What can be known of an evaluation before it is queued."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from app.choices import Choice
from app.datasets import DataService
from app.evaluations.asked import Data, Rows
from app.evaluations.named import Models, of_error
from app.home import Home
from app.paths import is_path
from trainer.contract import judging
from trainer.contract.benchmarks import BENCHMARKS, benchmark_problems
from trainer.contract.config import DatasetUse
from trainer.contract.consent import metric_places, metric_problems
from trainer.contract.kinds.evaluate import BY_LIKELIHOOD, EvaluateConfig
from trainer.contract.problems import Problem
from trainer.contract.votes import read_votes
from trainer.data import DatasetError
from trainer.data.catalog import registry
from trainer.engines.errors import EngineError
from trainer.engines.folders import STARTER

Origin = Literal["cli", "web"]
# Characters of a token, about, to tell what a judge reads.
_CHARS = 4
Named = tuple[str, str]


class EvaluationFit:
    """Looks at configs of evaluations; remembers what it has read of unchanged files."""

    def __init__(self, home: Home, data: DataService) -> None:
        """Look into a home, and ask for its data."""
        self.home, self._data = home, data
        self._models = Models(home)

    def look(self, config: EvaluateConfig, origin: Origin = "cli"
             ) -> tuple[list[Problem], list[Choice]]:
        """Return every problem, and what is known of the work.

        Args:
            config: A valid config; ``absolute`` makes its paths what they will be.
            origin: 'web' may only name paths under the configured roots (rule R5).
        """
        try:
            known = registry.load(self.home.data)
        except DatasetError as error:
            return [Problem(field="data", code=error.code, message=error.message,
                            advice=error.advice)], []
        outside = list(self._outside(config, set(known.names()))) if origin == "web" else []
        if outside:
            return outside, []
        config = self.absolute(config)
        problems, choices = self._models.look(config)
        rows = Data(self._data, config, known, origin).look()
        problems += [*rows.problems, *metric_problems(config.metrics),
                     *self._places(config), *benchmark_problems(config.benchmarks)]
        return problems, [*choices, *rows.choices, *_work(config, rows),
                          *self._judged(config, rows)]

    def absolute(self, config: EvaluateConfig) -> EvaluateConfig:
        """Make relative paths absolute: config.yaml alone does it again, from any folder."""
        datasets = self._datasets()

        def data(use: str | DatasetUse) -> str | DatasetUse:
            if isinstance(use, DatasetUse):
                return use.model_copy(update={"name": data(use.name)})
            return use if use in datasets else _absolute(use)

        return config.model_copy(update={
            "models": [self._place(name) for name in config.models],
            "data": [data(use) for use in config.data],
            "metrics": [use.model_copy(update={
                key: self._place(name) for key, name in metric_places(use).items()})
                for use in config.metrics],
            "benchmarks": config.benchmarks.model_copy(update={
                "include_path": _absolute(config.benchmarks.include_path)}),
            "judge": config.judge.model_copy(update={
                "model": self._place(config.judge.model)})})

    def _place(self, name: str) -> str:
        return name if name == STARTER or self._models.is_run(name) else _absolute(name)

    def _datasets(self) -> set[str]:
        try:
            return set(registry.load(self.home.data).names())
        except DatasetError:
            return set()

    def _outside(self, config: EvaluateConfig, datasets: set[str]) -> Iterator[Problem]:
        """Pages and REST name what is known here, or paths under the roots (rule R5)."""
        named: list[Named] = [(f"models.{at}", name) for at, name in enumerate(config.models)]
        named += [(f"metrics.{at}.{key}", name) for at, use in enumerate(config.metrics)
                  for key, name in metric_places(use).items()]
        named += [("judge.model", config.judge.model),
                  ("benchmarks.include_path", config.benchmarks.include_path)]
        asked = [(where, name) for where, name in named
                 if name and name != STARTER and not self._models.is_run(name)]
        uses = [(f"data.{at}", use if isinstance(use, str) else use.name)
                for at, use in enumerate(config.data)]
        asked += [(where, name) for where, name in uses if name not in datasets]
        for where, name in asked:
            if is_path(name) and not self._data.allowed(name):
                yield Problem(
                    field=where, code="path_outside_roots",
                    message=f"'{name}' lies outside the folders that pages may use.",
                    advice="Name another one, or start the server with --data-root.",
                    params={"name": name})

    def _places(self, config: EvaluateConfig) -> Iterator[Problem]:
        """Say what a metric names and is not there: a schema's file, a model's folder."""
        for at, use in enumerate(config.metrics):
            for key, name in metric_places(use).items():
                where = f"metrics.{at}.{key}"
                if key == "json_schema" and not os.access(name, os.R_OK):
                    yield Problem(field=where, code="schema_unreadable", scope="machine",
                                  message=f"The schema's file '{name[:200]}' cannot be read.",
                                  advice="Check the path, or write the schema itself.",
                                  params={"name": name[:200]})
                elif key == "model":
                    yield from self._vectors(where, name)

    def _vectors(self, where: str, name: str) -> Iterator[Problem]:
        """Look for the model whose vectors are compared; a folder need not be one that answers."""
        if Path(name).is_absolute() and (Path(name) / "config.json").is_file():
            return
        try:
            if self._models.find(name) is None:
                raise EngineError("unknown_model", f"'{name[:120]}' is a model of an endpoint.",
                                  "Name a folder, a run, or 'starter'.")
        except EngineError as error:
            yield of_error(where, error, name)

    def _judged(self, config: EvaluateConfig, rows: Rows) -> Iterator[Choice]:
        """Tell what the judge will cost."""
        if not config.judge.model or not rows.counts or rows.total is None:
            return
        counts = [count for count in rows.counts if count is not None]
        votes = read_votes(self.home.root / "chats", config.models).pairs
        found = judging.estimate(config.judge, counts, rows.characters,
                                 _CHARS * config.generation.max_new_tokens,
                                 models=len(config.models), votes=len(votes))
        cost = "" if found.cost is None else f", up to {found.cost:,.2f}"
        yield Choice("judge.model", f"{found.calls:,} questions, about {found.tokens_in:,} tokens "
                     f"read{cost}", found.reason)


def _absolute(name: str) -> str:
    path = os.path.expanduser(name)
    return os.path.abspath(path) if name and os.path.exists(path) else name


def _work(config: EvaluateConfig, rows: Rows) -> Iterator[Choice]:
    """Tell how much is asked, and that nobody knows how long it takes."""
    models = len(config.models)
    if config.data and rows.total is not None:
        only = {use.name for use in config.metrics} <= set(BY_LIKELIHOOD) and config.metrics
        how = "they are read, nothing is written" if only else \
            f"answers have up to {config.generation.max_new_tokens:,} tokens"
        yield Choice("data", _questions(rows.total * models),
                     f"rows for each model: {rows.total:,}; {how}")
    if config.benchmarks.tasks:
        yield _benchmarks(config)
    yield Choice("time", "not known", "it depends on engine and length of answers; after the first "
                 "rows the run tells how long it will take")


def _questions(count: int) -> str:
    return f"{count:,} question{'' if count == 1 else 's'}"


def _benchmarks(config: EvaluateConfig) -> Choice:
    wish = config.benchmarks
    sizes = {task: one.rows for one in BENCHMARKS for task in one.tasks if len(one.tasks) == 1}
    known: list[int] = [min(sizes[task], wish.limit or sizes[task]) for task in wish.tasks
                        if task in sizes]
    if len(known) == len(wish.tasks) and not any(_has_parts(task, wish.limit)
                                                 for task in wish.tasks):
        return Choice("benchmarks.tasks", _questions(sum(known) * len(config.models)),
                      f"{_questions(sum(known))} for each model")
    return Choice("benchmarks.tasks", ", ".join(wish.tasks), f"up to {wish.limit:,} questions of "
                  "each task and part of a task, for each model" if wish.limit else
                  "every question of each task, for each model")


def _has_parts(task: str, limit: int | None) -> bool:
    """Tell whether a limit counts for parts of a task, whose number is not known here."""
    return limit is not None and task in ("mmlu", "ceval-valid", "cmmlu")

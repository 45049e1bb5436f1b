"""What the names of an evaluation's models stand for, and whether their engines can serve them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from app.choices import Choice
from app.home import Home
from trainer.contract.kinds.evaluate import BY_LIKELIHOOD, EvaluateConfig
from trainer.contract.problems import Problem, RecordError
from trainer.contract.rundir import is_safe_name
from trainer.engines.endpoints import find_endpoint, read_endpoints
from trainer.engines.errors import EngineError
from trainer.engines.folders import resolver_of
from trainer.engines.kinds import Availability, all_kinds
from trainer.engines.settings import EngineSettings
from trainer.engines.targets import Target

# Looking for an engine starts its interpreter; what it says holds for a while.
_LOOKED_S = 30.0


class Models:
    """Looks names up in a home, as the evaluation itself does."""

    def __init__(self, home: Home) -> None:
        """Look at nothing yet."""
        self._home = home
        self._resolver = resolver_of(home.runs, verify=False)
        self._engines: dict[str, tuple[float, Availability]] = {}

    def is_run(self, name: str) -> bool:
        """Tell whether a name is a run's, or begins with one."""
        run_id = name.partition("/")[0]
        return is_safe_name(run_id) and (self._home.runs / run_id).is_dir()

    def is_remote(self, name: str) -> bool:
        """Tell whether a saved endpoint answers for a name.

        Raises:
            EngineError: The file of endpoints is damaged.
        """
        try:
            return find_endpoint(read_endpoints(self._home.root), name) is not None
        except RecordError as error:
            raise EngineError(error.code, str(error), error.advice) from None

    def find(self, name: str) -> Target | None:
        """Return what is loaded for a name; None for a model of a saved endpoint.

        Raises:
            EngineError: 'unknown_model', or why it cannot answer.
        """
        return None if self.is_remote(name) else self._resolver.resolve(name)

    def look(self, config: EvaluateConfig) -> tuple[list[Problem], list[Choice]]:
        """Return what keeps models and judge from answering, and which models are the same."""
        problems: list[Problem] = []
        targets: dict[int, Target] = {}
        blind: list[str] = []
        for at, name in enumerate(config.models):
            where = f"models.{at}"
            try:
                target = self.find(name)
                if target is None or target.model.is_gguf:
                    blind.append(name)
                if target is not None:
                    targets[at] = target
                    problems += self._engine(target, config.engine, where)
            except EngineError as error:
                problems.append(of_error(where, error, name))
        if config.judge.model:
            problems += self._judge(config.judge.model)
        unasked = [use.name for use in config.metrics if use.name in BY_LIKELIHOOD]
        if unasked and len(blind) == len(config.models) and len(unasked) == len(config.metrics) \
                and not config.judge.model:
            problems.append(Problem(
                field="metrics", code="likelihood_cannot", params={"name": blind[0]},
                message=f"'{blind[0]}' cannot tell how likely a text is.",
                advice="Ask a run or a base through Transformers or vLLM, or choose metrics of "
                "written answers."))
        notes = [Choice("metrics", use, f"not of '{name}', which cannot tell how likely a text is")
                 for use in unasked for name in blind]
        return problems, [*_twins(config.models, targets), *notes]

    def _judge(self, name: str) -> Iterator[Problem]:
        try:
            if target := self.find(name):
                yield from self._engine(target, "auto", "judge.model")
        except EngineError as error:
            yield of_error("judge.model", error, name)

    def _engine(self, target: Target, asked: str, where: str) -> Iterator[Problem]:
        """Say why the engine that was asked for, or the only one that could, cannot serve."""
        kinds = all_kinds(EngineSettings.read())
        if target.model.is_gguf:
            asked = "llama.cpp"
        if asked not in kinds:
            return
        kind, found = kinds[asked], self._available(asked)
        if not found.installed:
            yield Problem(
                field="engine" if asked != "llama.cpp" else where, code="engine_not_installed",
                message=f"The engine {asked} is not installed. {found.reason}",
                advice=f"Run: {found.install}" if found.install else "Choose another engine.",
                scope="machine", params={"name": target.name, "engine": asked})
        elif refusal := kind.refusal(target):
            yield Problem(
                field=where, code="engine_cannot", message=f"The engine {asked} cannot serve "
                f"'{target.name}'. {refusal}", advice="Choose the engine 'auto'.",
                params={"name": target.name, "engine": asked})

    def _available(self, kind: str) -> Availability:
        known = self._engines.get(kind)
        if known is None or time.monotonic() - known[0] > _LOOKED_S:
            known = (time.monotonic(), all_kinds(EngineSettings.read())[kind].available())
            self._engines[kind] = known
        return known[1]


def _twins(names: Sequence[str], targets: Mapping[int, Target]) -> Iterator[Choice]:
    """Tell of models that are the same by other names."""
    seen: dict[object, str] = {}
    for at, target in targets.items():
        key = _key(target)
        if key in seen:
            yield Choice(f"models.{at}", names[at], f"the same model as '{seen[key]}': what is "
                         "different between them is chance")
        seen.setdefault(key, names[at])


def _key(target: Target) -> object:
    adapter = target.adapter
    model = replace(target.model, folder=target.model.folder.resolve(),
                    source=target.model.source if target.model.merged else "")
    return model, adapter and adapter.mark


def of_error(where: str, error: EngineError, name: str) -> Problem:
    """Return why a model cannot answer, at its field."""
    return Problem(field=where, code=error.code, message=str(error), advice=error.advice,
                   params={"name": name})

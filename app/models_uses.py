"""Which runs name which models: as base, adapter, teacher, reward, or to go on from."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from app.runs import ENDED, Run, RunState
from trainer.contract.kinds import OTHERS
from trainer.contract.rundir import RunDir


@dataclass(frozen=True)
class User:
    """A run that names a model; ``active`` while it waits or works."""

    id: str
    name: str
    state: RunState

    @property
    def active(self) -> bool:
        """Whether the run has not ended."""
        return self.state not in ENDED

    def document(self) -> dict[str, Any]:
        """Return it as REST and ``--json`` show it."""
        return {"id": self.id, "name": self.name, "state": str(self.state)}


class Uses:
    """Remembers what each run's config names; a config never changes once it is written."""

    def __init__(self) -> None:
        self._names: dict[str, tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def names_of(self, run: Run) -> tuple[str, ...]:
        """Return the models that a run names; its base alone when its config cannot be read."""
        with self._lock:
            if run.id in self._names:
                return self._names[run.id]
        try:
            found = named_in(RunDir(run.dir).config.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            return (run.model,) if run.model else ()
        with self._lock:
            self._names[run.id] = found
        return found

    def table(self, runs: Iterable[Run]) -> dict[str, tuple[User, ...]]:
        """Return for each name the runs that need it, as the runs come.

        An evaluation needs its models until it has ended; what it has found stays without them.
        """
        found: dict[str, tuple[User, ...]] = {}
        for run in runs:
            if run.objective == "evaluate" and run.state in ENDED:
                continue
            user = User(run.id, run.name, run.state)
            for name in self.names_of(run):
                found[name] = (*found.get(name, ()), user)
        return found


def named_in(config_yaml: str) -> tuple[str, ...]:
    """Return the models that a config's text names, each once; paths are resolved.

    Raises:
        yaml.YAMLError: It is not YAML.
    """
    # The loader in C: hundreds of configs are read when a page is first opened.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    config = loader(config_yaml).get_single_data()
    model, tuner = _section(config, "model"), _section(config, "tuner")
    names = [model.get("name_or_path"), *_list(model.get("adapters")),
             tuner.get("continue_from"), _section(config, "teacher").get("name_or_path"),
             *(use.get("model") for use in _list(_section(config, "rollout").get("rewards"))
               if isinstance(use, Mapping)), *_in_others(config)]
    return tuple(dict.fromkeys(plain(name) for name in names if isinstance(name, str) and name))


def _in_others(config: Any) -> list[Any]:
    """Return what an export, a merge or an evaluation names; a checkpoint stands for its run."""
    if not isinstance(config, Mapping) or config.get("kind") not in OTHERS:
        return []
    names = [config.get("source"), config.get("base"), *_list(config.get("models")),
             _section(config, "judge").get("model"),
             *(one.get("model") for one in _list(config.get("metrics"))
               if isinstance(one, Mapping)),
             *(one.get("name") for one in _list(config.get("sources")) if isinstance(one, Mapping))]
    return [str(name).partition("/checkpoint-")[0] for name in names if name]


def plain(name: str) -> str:
    """Return a model's name as lists have it: of a path the place that it leads to."""
    return os.path.realpath(os.path.expanduser(name)) if name.startswith(("/", "~")) else name


def _section(config: Any, key: str) -> Mapping[str, Any]:
    found = config.get(key) if isinstance(config, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

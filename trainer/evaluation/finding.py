"""What an evaluation's models are: runs, bases and files of this machine, models of endpoints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.contract.config import load_yaml
from trainer.contract.hubcache import cached_snapshot
from trainer.contract.kinds import kind_of
from trainer.contract.models import resolve_model
from trainer.contract.places import starter
from trainer.contract.problems import RecordError
from trainer.contract.rundir import RunDir, is_safe_name
from trainer.engines.endpoints import Endpoint, find_endpoint, read_endpoints
from trainer.engines.errors import EngineError
from trainer.engines.resolving import COMPLETED, Resolver
from trainer.engines.targets import Target
from trainer.failures import Failure

STARTER = "starter"
# What a model's answers depend on.
_FILES = (".safetensors", ".gguf", ".json", ".jinja")


@dataclass(frozen=True)
class FoundRun:
    """What is to be known of a run; see ``trainer.engines.resolving.Known``."""

    id: str
    name: str
    dir: Path
    state: str
    objective: str


@dataclass(frozen=True)
class Remote:
    """A model of a saved endpoint; ``model`` is its name there."""

    name: str
    endpoint: Endpoint
    model: str


Place = Target | Remote


class Finder:
    """Looks up names in the folder of runs, on the disk, and among the saved endpoints."""

    def __init__(self, runs: Path, home: Path | None) -> None:
        """Look at nothing yet; without a ``home`` there are no endpoints."""
        self._runs, self._home = runs, home
        self._resolver = Resolver(runs, self._run, base_folder)
        self._endpoints: list[Endpoint] | None = None

    def find(self, name: str) -> Place:
        """Return what answers for a name. Reads files; hashes the bases of adapters.

        Raises:
            Failure: 'unknown_model', or why it cannot answer.
        """
        if found := find_endpoint(self._saved(), name):
            return Remote(name, *found)
        try:
            return self._resolver.resolve(name)
        except EngineError as error:
            raise Failure(error.code, str(error), error.advice) from None

    def identity(self, place: Place) -> str:
        """Return what changes when the model that answers is another one; paths do not matter."""
        if isinstance(place, Remote):
            return _digest([place.endpoint.base_url, place.model])
        model, adapter = place.model, place.adapter
        folders = [model.folder, *([adapter.folder] if adapter else [])]
        if model.merged:
            folders += resolve_model(model.source, self._runs).adapters
        return _digest([model.quantization, model.dtype, model.template,
                        [list(_stamps(folder)) for folder in folders]])

    def _saved(self) -> list[Endpoint]:
        if self._endpoints is None:
            try:
                self._endpoints = read_endpoints(self._home) if self._home else []
            except RecordError as error:
                raise Failure(error.code, str(error), error.advice) from None
        return self._endpoints

    def _run(self, run_id: str) -> FoundRun | None:
        folder = RunDir(self._runs / run_id)
        if not is_safe_name(run_id) or not folder.config.is_file():
            return None
        values = load_yaml(folder.config.read_text(encoding="utf-8"))
        kind = kind_of(values)
        objective = str(values.get("objective") or "sft") if kind == "train" else kind
        return FoundRun(run_id, str(values.get("name") or run_id), folder.path, _state(folder),
                        objective)


def _state(run: RunDir) -> str:
    """Return a run's state; one that was made without a studio has ended when it has weights."""
    if known := run.read_state().get("state"):
        return str(known)
    return COMPLETED if run.adapter.is_dir() or run.model.is_dir() else "unfinished"


def base_folder(name: str) -> Path | None:
    """Return the folder or GGUF file of a base: the starter's, an absolute path's, a hub id's."""
    if name == STARTER:
        return starter()
    path = Path(name).expanduser()
    if path.is_absolute():
        whole = path.is_file() if path.suffix == ".gguf" else (path / "config.json").is_file()
        return path if whole else None
    return cached_snapshot(name, None)


def _stamps(path: Path) -> Iterator[tuple[str, int, int]]:
    files: Sequence[Path] = [path] if path.is_file() else sorted(
        one for one in path.iterdir() if one.suffix in _FILES)
    for one in files:
        stat = one.stat()
        yield one.name, stat.st_size, stat.st_mtime_ns


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode("utf-8")).hexdigest()[:24]

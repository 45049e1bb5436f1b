"""What an evaluation's models are: runs, bases and files of this machine, models of endpoints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.contract.models import resolve_model
from trainer.contract.problems import RecordError
from trainer.engines.endpoints import Endpoint, find_endpoint, read_endpoints
from trainer.engines.errors import EngineError
from trainer.engines.folders import resolver_of
from trainer.engines.targets import Target
from trainer.failures import Failure

# What a model's answers depend on.
_FILES = (".safetensors", ".gguf", ".json", ".jinja")


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
        self._resolver = resolver_of(runs)
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


def _stamps(path: Path) -> Iterator[tuple[str, int, int]]:
    files: Sequence[Path] = [path] if path.is_file() else sorted(
        one for one in path.iterdir() if one.suffix in _FILES)
    for one in files:
        stat = one.stat()
        yield one.name, stat.st_size, stat.st_mtime_ns


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode("utf-8")).hexdigest()[:24]

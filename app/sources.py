"""What there is to choose from: models and datasets on this machine."""

from __future__ import annotations

import itertools
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from app.home import Home
from app.runs import Run
from trainer.contract.rundir import RunDir, is_safe_name
from trainer.data import DatasetError, registry
from trainer.data.check import shape_of
from trainer.data.entry import DatasetEntry
from trainer.data.objectives import objectives_of
from trainer.data.readers import read
from trainer.data.rows import Row
from trainer.data.sources import ENDINGS, DatasetSpec, locate

COUNTED_BYTES = 20_000_000


@dataclass(frozen=True)
class DatasetChoice:
    """A registered dataset; ``problem`` is '' when it can be used.

    ``rows`` is None where counting would take long.
    """

    name: str
    rows: int | None
    kind: str
    objectives: tuple[str, ...]
    origin: str = "shared"
    problem: str = ""


def list_models(home: Home, completed: Iterable[Run]) -> list[str]:
    """Return what can stand in ``model.name_or_path`` without a download."""
    folders = [str(p) for p in sorted(home.models.iterdir()) if (p / "config.json").is_file()]
    runs = [run.id for run in completed
            if RunDir(run.dir).adapter.is_dir() or RunDir(run.dir).model.is_dir()]
    return ["starter", *folders, *runs, *sorted(cached_hub_ids())]


def hub_cache() -> Path:
    """Return the folder where huggingface_hub keeps models (its documented variables)."""
    if named := os.environ.get("HF_HUB_CACHE"):
        return Path(named)
    base = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    return Path(base) / "hub"


def cached_hub_ids() -> Iterator[str]:
    """Yield the hub ids of the models in the cache."""
    cache = hub_cache()
    if not cache.is_dir():
        return
    for folder in cache.glob("models--*"):
        if any(folder.glob("snapshots/*/config.json")):
            yield folder.name.removeprefix("models--").replace("--", "/")


def cached_snapshot(hub_id: str, revision: str | None) -> Path | None:
    """Return the folder of a cached hub model at a revision (a branch, tag or commit).

    Nothing outside the model's own folder of the cache is ever looked at (rule R5).
    """
    folder = (hub_cache() / f"models--{hub_id.replace('/', '--')}").resolve()
    reference = (folder / "refs" / (revision or "main")).resolve()
    commit = revision or "main"
    if reference.is_relative_to(folder / "refs") and reference.is_file():
        commit = reference.read_text(encoding="utf-8", errors="replace").strip()
    found = folder / "snapshots" / commit
    return found if is_safe_name(commit) and (found / "config.json").is_file() else None


class Catalog:
    """The registered datasets of a home; remembers what it has read of unchanged files."""

    def __init__(self, home: Home) -> None:
        """Look at ``home``; nothing is read yet."""
        self._home = home
        self._kept: dict[tuple[object, ...], DatasetChoice] = {}

    def list(self) -> list[DatasetChoice]:
        """Return the datasets, shared ones first; a broken one says what is wrong."""
        known = registry.load(self._home.data)
        found: dict[tuple[object, ...], DatasetChoice] = {}
        for name in known.names():
            try:
                spec = known.resolve(name)
                key = (name, *spec.stamp(), repr(spec.entry))
                found[key] = self._kept.get(key) or _describe(spec)
            except DatasetError as error:
                found[name,] = DatasetChoice(name, None, "unknown", (), problem=str(error))
        self._kept = found
        return [*found.values()]


def _describe(spec: DatasetSpec) -> DatasetChoice:
    kind = shape_of(spec).kind
    rows = None
    if spec.path.stat().st_size <= COUNTED_BYTES:
        rows = sum(isinstance(row, Row) for row in read(spec))
    return DatasetChoice(spec.name, rows, kind, tuple(objectives_of(kind)), spec.origin)


def plain_name(file_name: str) -> str:
    """Return a dataset's name made of a file's: letters of any script and digits stay."""
    stem = file_name
    while Path(stem).suffix.lower() in ENDINGS:
        stem = Path(stem).stem
    letters = "".join(c if c.isalnum() or c in "._" else "-" for c in normalize("NFKC", stem))
    return re.sub(r"-{2,}", "-", letters).strip("-._")[:48].rstrip("-._") or "data"


def _free_name(taken: Collection[str], wanted: str) -> str:
    """Return the wanted name, or the first of ``name-2``, ``name-3``... that is free."""
    numbered = (f"{wanted}-{number}" for number in itertools.count(2))
    return next(name for name in itertools.chain([wanted], numbered) if name not in taken)


def add_file(home: Home, path: Path, name: str, *, rename: bool = False) -> str:
    """Copy a file into the home under a file name of our choice and register it.

    Args:
        home: Where to.
        path: The file.
        name: The dataset's name.
        rename: Make a free, plain name of ``name`` instead of refusing one that is not.

    Returns:
        The name under which it is registered.

    Raises:
        DatasetError: It is empty, of no known format or shape, or the name is taken.
    """
    spec = locate(path, name=name)
    shape = shape_of(spec)
    if shape.kind == "unknown":
        raise DatasetError("unknown_shape", f"The rows of '{path.name}' have no known shape: "
                           f"{shape.reason}.", "Rename its columns.")
    stored = home.data / f"{secrets.token_hex(8)}{spec.suffix}{'.gz' if spec.compressed else ''}"
    try:
        shutil.copyfile(path, stored)
        return _register(home, name, DatasetEntry(file_name=stored.name), rename=rename)
    except BaseException:
        stored.unlink(missing_ok=True)
        raise


def _register(home: Home, name: str, entry: DatasetEntry, *, rename: bool) -> str:
    known = registry.load(home.data)
    while True:
        chosen = _free_name(known.names(), plain_name(name)) if rename else name
        try:
            known.add(chosen, entry)
        except DatasetError as error:
            # Another upload may have taken it since; ``add`` has read the names again.
            if not rename or error.code != "name_taken":
                raise
        else:
            return chosen

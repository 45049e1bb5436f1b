"""What models are on this machine: bases, what runs made, and who uses which.

Folders are looked at anew whenever somebody asks; what their files say is remembered until a file's
name, size or time changes, so that hundreds of folders cost milliseconds.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from app.home import Home
from app.models_files import FolderFacts, Stamp, read_facts, size_of, stamp_of
from app.models_uses import User, Uses, plain
from app.runs import Run
from trainer.contract.catalogue import find
from trainer.contract.files import read_json
from trainer.contract.hubcache import hub_cache
from trainer.contract.models import HUB_ID
from trainer.contract.places import starter
from trainer.contract.rundir import RunDir, is_safe_name

Origin = Literal["shipped", "cache", "added", "elsewhere", "run"]
What = Literal["base", "adapter", "model", "checkpoints", "export"]
PARTIAL = ".partial"
INCOMPLETE = ("model_incomplete", "This model is not here as a whole: its download was cut short.",
              "Download it again; it goes on where it ended.")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class OnDisk:
    """A model on this machine.

    Attributes:
        name: What stands for it in ``model.name_or_path``, and what it is asked for by.
        label: What a person reads: a run's name, a folder's, or the hub id.
        origin: With the studio, in the hub's cache, in the home's models, in a folder that a run
            names, or made by a run.
        what: Whole weights, or what a run left: an adapter, a model, checkpoints only, an export
            without a model that could be trained or asked here.
        size_bytes: Of everything that deleting it frees.
        base: Of an adapter: what it stands on.
        template: A name of ours, 'own', 'none' or ''.
        checkpoints: How many a run left, and ``checkpoint_bytes`` their size.
        formats: Of an export: what it holds.
    """

    name: str
    label: str
    origin: Origin
    what: What
    path: Path
    facts: FolderFacts
    size_bytes: int = 0
    base: str = ""
    template: str = ""
    licence: str = ""
    used_by: tuple[User, ...] = ()
    checkpoints: int = 0
    checkpoint_bytes: int = 0
    formats: tuple[str, ...] = ()

    @property
    def deletable(self) -> bool:
        """Whether it lies where the studio may delete."""
        return self.origin not in ("shipped", "elsewhere")

    def document(self) -> dict[str, Any]:
        """Return it as REST and ``--json`` show it."""
        code, message, advice = self.facts.problem or ("", "", "")
        return {"name": self.name, "label": self.label, "origin": self.origin, "what": self.what,
                "path": str(self.path), "size_bytes": self.size_bytes,
                "family": self.facts.family, "parameters": self.facts.parameters,
                "dtype": self.facts.dtype, "quantization": self.facts.quantization,
                "context": self.facts.context or None, "template": self.template,
                "licence": self.licence, "base": self.base, "method": self.facts.method,
                "formats": list(self.formats),
                "used_by": [user.document() for user in self.used_by],
                "checkpoints": self.checkpoints, "checkpoint_bytes": self.checkpoint_bytes,
                "deletable": self.deletable,
                "problem": {"code": code, "message": message, "advice": advice} if code else None}


@dataclass
class _Known:
    stamp: Stamp
    facts: FolderFacts


@dataclass
class Shelf:
    """Lists the models of a home and of the hub's cache; thread-safe."""

    home: Home
    uses: Uses = field(default_factory=Uses)
    _known: dict[Path, _Known] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def list(self, runs: Iterable[Run]) -> list[OnDisk]:
        """Return what there is: the starter, bases by name, results with the newest first."""
        runs = list(runs)
        used = self.uses.table(runs)
        bases = [*self._shipped(), *self._cached(), *self._added()]
        bases += self._elsewhere(runs, {one.name for one in bases} | {
            str(one.path) for one in bases})
        made = [found for run in sorted(runs, key=lambda run: -run.created_at)
                for found in self._of_run(run)]
        found = [self._with_users(one, used) for one in (*bases, *made)]
        self._forget({one.path for one in found})
        return _with_bases(found)

    def facts(self, folder: Path) -> FolderFacts:
        """Return what a folder's files say, read once for each state of them."""
        try:
            stamp = stamp_of(folder)
        except OSError:
            stamp = ()
        with self._lock:
            known = self._known.get(folder)
        if known is None or known.stamp != stamp:
            known = _Known(stamp, read_facts(folder))
            with self._lock:
                self._known[folder] = known
        return known.facts

    def _forget(self, there: set[Path]) -> None:
        with self._lock:
            for folder in [path for path in self._known if path not in there]:
                del self._known[folder]

    def _base(self, name: str, label: str, origin: Origin, path: Path, size: int) -> OnDisk:
        facts = self.facts(path)
        known = find(name) if origin == "cache" else None
        licence = facts.licence or (known.licence if known and known.licence else "")
        return OnDisk(name, label, origin, "adapter" if facts.kind == "adapter" else "base", path,
                      facts, size, base=facts.base, template=facts.template, licence=licence)

    def _shipped(self) -> Iterator[OnDisk]:
        folder = starter()
        yield self._base("starter", "starter", "shipped", folder, size_of(folder))

    def _cached(self) -> Iterator[OnDisk]:
        cache = hub_cache()
        for folder in sorted(cache.glob("models--*"), key=lambda path: path.name.casefold()):
            name = folder.name.removeprefix("models--").replace("--", "/")
            if not folder.is_dir() or folder.is_symlink() or not HUB_ID.fullmatch(name):
                continue
            size = size_of(folder)
            snapshot = snapshot_of(folder)
            if snapshot is not None:
                yield self._base(name, name, "cache", snapshot, size)
            elif size:
                yield OnDisk(name, name, "cache", "base", folder,
                             FolderFacts(problem=INCOMPLETE), size)

    def _added(self) -> Iterator[OnDisk]:
        for folder in sorted(self.home.models.iterdir(), key=lambda path: path.name.casefold()):
            has = any((folder / name).is_file() for name in ("config.json", "adapter_config.json"))
            if has and not folder.name.startswith("."):
                yield self._base(str(folder), folder.name, "added", folder, size_of(folder))

    def _elsewhere(self, runs: Iterable[Run], known: set[str]) -> Iterator[OnDisk]:
        """Yield the folders that runs name and that lie anywhere else."""
        own = {str(run.dir) for run in runs}
        for name in sorted({name for run in runs for name in self.uses.names_of(run)}):
            path = Path(name)
            if not path.is_absolute() or name in known or any(
                    str(parent) in own for parent in (path, *path.parents)):
                continue
            if (path / "config.json").is_file() or (path / "adapter_config.json").is_file():
                yield self._base(name, path.name, "elsewhere", path, size_of(path))

    def _of_run(self, run: Run) -> Iterator[OnDisk]:
        """Yield what a run left, once: its result, else its checkpoints."""
        place = RunDir(run.dir)
        kinds: tuple[tuple[What, Path, str], ...] = (
            ("model", place.model, "config.json"), ("adapter", place.adapter,
                                                    "adapter_config.json"))
        what, path = next(((what, path) for what, path, name in kinds
                           if (path / name).is_file()), ("checkpoints", place.checkpoints))
        if formats := exported_formats(place):
            yield self._exported(run, place, formats)
            return
        saved = len(list(place.checkpoint_folders()))
        if what == "checkpoints" and not saved:
            return
        facts = FolderFacts("adapter") if what == "checkpoints" else self.facts(path)
        checkpoint_bytes = size_of(place.checkpoints) if saved else 0
        own_bytes = 0 if what == "checkpoints" else size_of(path)
        # A run that merged names all its sources: what it stands on says the adapter itself.
        base = facts.base if run.objective == "merge" else run.model
        yield OnDisk(run.id, run.name, "run", what, path, facts, own_bytes + checkpoint_bytes,
                     base=plain(base), template=_template_of(place, facts),
                     licence=facts.licence, checkpoints=saved, checkpoint_bytes=checkpoint_bytes)

    def _exported(self, run: Run, place: RunDir, formats: tuple[str, ...]) -> OnDisk:
        """Return an export; one with a whole model in it is a model with further forms."""
        whole = (place.model / "config.json").is_file()
        facts = self.facts(place.model) if whole else FolderFacts("model")
        return OnDisk(run.id, run.name, "run", "model" if whole else "export",
                      place.model if whole else place.export, facts, size_of(place.export),
                      base=plain(run.model.partition("/checkpoint-")[0]),
                      template=facts.template, licence=facts.licence, formats=formats)

    def _with_users(self, one: OnDisk, used: Mapping[str, tuple[User, ...]]) -> OnDisk:
        """Name the runs that use a model, by whatever it is called there."""
        called = dict.fromkeys((one.name, str(one.path), plain(str(one.path))))
        users = {user.id: user for name in called for user in used.get(name, ())
                 if user.id != one.name}
        return replace(one, used_by=tuple(users.values()))


def snapshot_of(folder: Path) -> Path | None:
    """Return the folder of a cached model's files: what 'main' is, else the newest; or None."""
    snapshots = folder / "snapshots"
    main = folder / "refs" / "main"
    try:
        commit = main.read_text(encoding="utf-8").strip() if main.is_file() else ""
        there = [path for path in snapshots.iterdir() if is_safe_name(path.name)
                 and any((path / name).exists() for name in ("config.json",
                                                             "adapter_config.json"))]
    except (OSError, UnicodeDecodeError):
        return None
    if _COMMIT.fullmatch(commit) and snapshots / commit in there:
        return snapshots / commit
    return max(there, key=lambda path: path.stat().st_mtime, default=None)


def exported_formats(place: RunDir) -> tuple[str, ...]:
    """Return the formats that a finished export has; none for any other run."""
    index = read_json(place.export / "export.json")
    found = index.get("formats") if isinstance(index, dict) else None
    return tuple(str(name) for name in found) if isinstance(found, list) else ()


def _template_of(place: RunDir, facts: FolderFacts) -> str:
    """Return the name of the template that a run was trained with."""
    manifest = read_json(place.manifest)
    told = manifest.get("chat_template") if isinstance(manifest, dict) else None
    name = str(told.get("name") or "") if isinstance(told, dict) else ""
    return name[:60] or facts.template


def _with_bases(found: list[OnDisk]) -> list[OnDisk]:
    """Let results say what their bases say: family, context, licence."""
    known = {one.name: one for one in found}
    known |= {str(one.path): one for one in found}

    def root(one: OnDisk, depth: int = 0) -> OnDisk:
        below = known.get(one.base) if one.base and depth < 9 else None
        return one if below is None or below is one else root(below, depth + 1)

    return [one if (below := root(one)) is one else replace(
        one, licence=one.licence or below.licence, facts=replace(
            one.facts, family=one.facts.family or below.facts.family,
            context=one.facts.context or below.facts.context,
            model=one.facts.model or (None if one.what == "export" else below.facts.model)))
        for one in found]

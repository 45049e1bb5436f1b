"""What can be asked for by name on this machine, and what has to be loaded for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from app.devices import Device
from app.home import Home
from app.runs import Run, RunError, RunState
from app.serving.route import Served
from app.store import Store
from trainer.contract.commits import MARK
from trainer.contract.config import objectives_with
from trainer.contract.hubcache import cached_snapshot
from trainer.contract.kinds import OTHERS
from trainer.contract.places import starter
from trainer.contract.rundir import RunDir, is_safe_name
from trainer.engines.resolving import Resolver, gguf_files
from trainer.engines.targets import Target

STARTER = "starter"


class Desk(Protocol):
    """What engines ask of the studio."""

    home: Home
    store: Store

    def run(self, run_id: str) -> Run:
        """Return a run; RunError when there is none of that id."""
        ...

    def runs(self, *, state: str | None = None) -> Sequence[Run]:
        """Return the runs, newest first."""
        ...

    def devices(self) -> Sequence[Device]:
        """Return GPUs and CPU, and which run holds each."""
        ...


class Names:
    """Bases, runs and checkpoints that can answer."""

    def __init__(self, desk: Desk) -> None:
        """Look at nothing yet."""
        self._desk = desk
        self._resolver = Resolver(desk.home.runs, self._run, self._base)

    def served(self) -> list[Served]:
        """Return what can be asked for: bases, then runs with their checkpoints, newest first."""
        runs = self._desk.runs()
        found = [Served(name, "base", Path(name).name or name, _changed_at(folder))
                 for name, folder in sorted(self._bases(runs).items())]
        for run in runs:
            if run.objective in objectives_with(head=True):
                continue
            folder = RunDir(run.dir)
            if run.state is RunState.COMPLETED and (folder.adapter.is_dir()
                                                    or folder.model.is_dir()):
                found.append(Served(run.id, "run", run.name, int(run.created_at)))
            found += [Served(f"{run.id}/{path.name}", "checkpoint", f"{run.name}, step {step}",
                             _changed_at(path)) for step, path in folder.checkpoint_folders()
                      if (path / MARK).is_file()]
            found += [Served(f"{run.id}/{path.name}", "export", f"{run.name}, {path.stem}",
                             _changed_at(path)) for path in gguf_files(run)]
        return found

    def _bases(self, runs: Sequence[Run]) -> dict[str, Path]:
        """Return the folder or file of each base that the studio knows and has."""
        found = {STARTER: starter()}
        for path in sorted(self._desk.home.models.iterdir()):
            if path.suffix == ".gguf" or (path / "config.json").is_file():
                found[str(path)] = path
        known = {run.id for run in runs}
        trained = {run.model for run in runs if run.objective not in OTHERS}
        for name in trained - {STARTER, "", *known}:
            if folder := _on_disk(name):
                found[name] = folder
        return found

    def resolve(self, name: str) -> Target:
        """Return what has to be loaded for a name; EngineError as ``Resolver.resolve``."""
        return self._resolver.resolve(name)

    def _run(self, run_id: str) -> Run | None:
        try:
            return self._desk.run(run_id) if is_safe_name(run_id) else None
        except RunError:
            return None

    def _base(self, name: str) -> Path | None:
        return self._bases(self._desk.runs()).get(name)


def _on_disk(name: str) -> Path | None:
    """Return where a run's base lies, None when it is not on this machine."""
    folder = Path(name)
    if folder.is_absolute():
        return folder if (folder / "config.json").is_file() else None
    return cached_snapshot(name, None)


def _changed_at(path: Path) -> int:
    try:
        return int(path.stat().st_mtime)
    except OSError:
        return 0


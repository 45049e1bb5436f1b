"""What names mean by the folders of a home alone, without the studio's index."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from trainer.contract.config import load_yaml
from trainer.contract.hubcache import cached_snapshot
from trainer.contract.kinds import kind_of
from trainer.contract.places import starter
from trainer.contract.problems import ConfigError
from trainer.contract.rundir import RunDir, is_safe_name
from trainer.engines.resolving import COMPLETED, Resolver

STARTER = "starter"


@dataclass(frozen=True)
class FoundRun:
    """What is to be known of a run; see ``trainer.engines.resolving.Known``."""

    id: str
    name: str
    dir: Path
    state: str
    objective: str


def resolver_of(runs: Path, *, verify: bool = True) -> Resolver:
    """Return a resolver for a folder of runs; without ``verify`` bases are not hashed."""
    return Resolver(runs, lambda run_id: find_run(runs, run_id), base_folder, verify=verify)


def find_run(runs: Path, run_id: str) -> FoundRun | None:
    """Return what a run's folder says of it; None where there is none."""
    folder = RunDir(runs / run_id)
    if not is_safe_name(run_id) or not folder.config.is_file():
        return None
    try:
        values = load_yaml(folder.config.read_text(encoding="utf-8"))
    except (ConfigError, yaml.YAMLError):
        values = {}
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
    path = Path(os.path.expanduser(name))
    if path.is_absolute():
        whole = path.is_file() if path.suffix == ".gguf" else (path / "config.json").is_file()
        return path if whole else None
    return cached_snapshot(name, None)

"""Deleting models: what would be lost with one, what forbids it, and doing it.

Only what lies in the home or in the hub's cache is ever deleted, and nothing that a run or an
engine has in use.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.home import Home
from app.models_shelf import OnDisk
from app.models_uses import User, Uses
from app.runs import Run
from app.serving.engines.leases import known
from trainer.contract.hubcache import hub_cache
from trainer.contract.models import ModelError

_NAMED = 5


@dataclass(frozen=True)
class Losses:
    """What goes, or no longer works, when a model is deleted.

    Attributes:
        size_bytes: What becomes free.
        active: Runs that wait or work with it; they forbid it.
        ended: Runs that have ended and whose results or resumes need it.
        adapters: Results among those that are useless without it.
        engine: Whether an engine has it loaded, which forbids it.
        forbidden: (code, message, advice) of why it cannot be deleted, or None.
    """

    name: str
    size_bytes: int
    active: tuple[User, ...]
    ended: tuple[User, ...]
    adapters: tuple[OnDisk, ...]
    engine: bool
    forbidden: tuple[str, str, str] | None

    def document(self) -> dict[str, Any]:
        """Return it as REST and ``--json`` show it."""
        code, message, advice = self.forbidden or ("", "", "")
        return {"name": self.name, "size_bytes": self.size_bytes, "engine": self.engine,
                "runs": [user.document() for user in (*self.active, *self.ended)],
                "adapters": [one.name for one in self.adapters],
                "forbidden": {"code": code, "message": message, "advice": advice}
                if code else None}


def losses(one: OnDisk, shelf: Iterable[OnDisk], loaded: Collection[str]) -> Losses:
    """Say what deleting a model would cost.

    Args:
        one: The model.
        shelf: All models.
        loaded: Names of what engines have loaded, their bases included.
    """
    active = tuple(user for user in one.used_by if user.active)
    ended = tuple(user for user in one.used_by if not user.active)
    needing = {user.id for user in one.used_by}
    adapters = tuple(other for other in shelf if other.name in needing and other.what == "adapter")
    engine = bool({one.name, one.label, str(one.path), one.path.name} & set(loaded))
    return Losses(one.name, one.size_bytes, active, ended, adapters, engine,
                  _forbidden(one, active, engine))


def _forbidden(one: OnDisk, active: tuple[User, ...],
               engine: bool) -> tuple[str, str, str] | None:
    if one.origin == "shipped":
        return ("model_shipped", "The starter comes with the studio and stays.", "")
    if one.origin == "elsewhere":
        return ("model_outside", f"'{one.path}' lies outside the studio's own folders.",
                "Delete it there yourself.")
    if active:
        names = ", ".join(f"'{user.name}'" for user in active[:_NAMED])
        return ("model_in_use", f"'{one.label}' is in use by {names}.", "Stop that first.")
    if one.origin == "run" and one.used_by:
        names = ", ".join(f"'{user.name}'" for user in one.used_by[:_NAMED])
        return ("needed", f"The run '{one.label}' is needed by {names}.", "Delete those first.")
    if engine:
        return ("model_loaded", f"'{one.label}' is loaded by an engine.",
                "Let the engine go first.")
    return None


def engine_labels(home: Home) -> set[str]:
    """Return what the engines of this home have loaded, whichever process keeps them.

    An engine is called by its model's name, its run's, or the last part of its folder.
    """
    return {engine.label for engine in known(home)
            if engine.label and (engine.owner is None or engine.owner.alive())}


def held_names(status: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return what the engines of this process hold, of adapters each one.

    Args:
        status: The engines, as ``LocalBackend.status`` tells.
    """
    # Engines are told a run's checkpoint as RUN:checkpoint-40.
    return {name for one in status if one["state"] != "ended"
            for name in (one["model"], *(name.replace(":", "/") for name in one["adapters"]))}


def loaded_names(engines: Iterable[str], runs: Iterable[Run], uses: Uses) -> set[str]:
    """Return what engines have loaded: the names themselves, and what those runs stand on."""
    found, waiting = set(engines), list(engines)
    by_id = {name: run for run in runs for name in (run.id, run.name)}
    while waiting:
        name = waiting.pop().partition("/checkpoint-")[0]
        found.add(name)
        for below in uses.names_of(by_id[name]) if name in by_id else ():
            if below not in found:
                found.add(below)
                waiting.append(below)
    return found


def delete_files(one: OnDisk, home: Home) -> None:
    """Delete a base: first it can no longer be found, then its files go.

    Raises:
        ModelError: It does not lie where the studio may delete.
        OSError: The disk refuses.
    """
    if one.origin == "cache":
        _from_cache(one)
        return
    folder = one.path
    if one.origin != "added" or folder.parent != home.models or folder.is_symlink():
        raise ModelError("model_outside", f"'{folder}' lies outside the studio's own folders.",
                         "Delete it there yourself.")
    trashed = home.trash / f"model~{secrets.token_hex(6)}"
    folder.rename(trashed)
    shutil.rmtree(trashed, ignore_errors=True)


def _from_cache(one: OnDisk) -> None:
    """Delete every revision of a model, or what a broken download left of it."""
    from huggingface_hub import scan_cache_dir

    cache = hub_cache()
    info = scan_cache_dir(cache)
    for repo in info.repos:
        if repo.repo_type == "model" and repo.repo_id == one.name:
            # Of this model alone: a copy elsewhere on the hub has the same commits.
            only = replace(info, repos=frozenset({repo}))
            only.delete_revisions(*(found.commit_hash for found in repo.revisions)).execute()
    folder = cache / f"models--{one.name.replace('/', '--')}"
    if folder.is_dir() and folder.parent == cache and not folder.is_symlink():
        shutil.rmtree(folder)

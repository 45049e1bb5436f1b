"""Models that huggingface_hub keeps on this machine; read without that library."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from trainer.contract.rundir import is_safe_name


def hub_cache() -> Path:
    """Return the folder where huggingface_hub keeps models (its documented variables)."""
    if named := os.environ.get("HF_HUB_CACHE"):
        return Path(named)
    return _hub_home() / "hub"


def hub_token_file() -> Path:
    """Return where huggingface_hub keeps the token of who has signed in there."""
    named = os.environ.get("HF_TOKEN_PATH")
    return Path(named) if named else _hub_home() / "token"


def _hub_home() -> Path:
    return Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")


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

"""What there is to choose from: models and datasets on this machine."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from app.home import Home
from app.runs import Run
from trainer.contract.config import objectives_with
from trainer.contract.hubcache import cached_hub_ids, cached_snapshot
from trainer.contract.models import ModelError, resolve_model
from trainer.contract.problems import ConfigError
from trainer.contract.rundir import RunDir, is_safe_name
from trainer.data import DatasetError
from trainer.data.reading.sources import DatasetSpec


def list_models(home: Home, completed: Iterable[Run]) -> list[str]:
    """Return what can stand in ``model.name_or_path`` without a download.

    Results that give scores instead of words are no base for another run.
    """
    folders = [str(p) for p in sorted(home.models.iterdir()) if (p / "config.json").is_file()]
    runs = [run.id for run in completed if run.objective not in objectives_with(head=True)
            and (RunDir(run.dir).adapter.is_dir() or RunDir(run.dir).model.is_dir())]
    return ["starter", *folders, *runs, *sorted(cached_hub_ids())]


def model_folder(home: Home, model: str, allowed: Callable[[str], bool]) -> Path:
    """Return the folder with a model's tokenizer: of a run the folder of its base.

    Args:
        home: Where runs are, whose ids may stand for models.
        model: As in ``model.name_or_path``.
        allowed: Tells whether a path may be named (rule R5).

    Raises:
        DatasetError: It is not on this machine, or not to be named.
    """
    try:
        source = resolve_model(model, home.runs)
    except (ModelError, ConfigError, OSError) as error:
        raise DatasetError("model_not_here", f"The model '{model[:120]}' cannot be used: {error}",
                           "Choose another model.") from None
    known = model == "starter" or (is_safe_name(model) and (home.runs / model).is_dir())
    named_path = source.is_folder and not known
    if named_path and not allowed(model):
        raise DatasetError("path_outside_roots", f"'{model[:120]}' lies outside the folders that "
                           "pages may use.", "Choose a model of the list.")
    folder = Path(source.base) if source.is_folder else cached_snapshot(source.base, None)
    if folder is None:
        raise DatasetError("model_not_here", f"The model '{model[:120]}' is not on this machine.",
                           "Name a folder with its tokenizer, or download it first.")
    return folder


def copy_name(spec: DatasetSpec) -> str:
    """Return a new file name of our choice for a copy of a dataset's file (rule R4)."""
    return f"{secrets.token_hex(8)}{spec.ending}"

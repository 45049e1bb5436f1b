"""What a config names of this machine: which names are paths, and where those lead. Pure."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection

from trainer.contract import RunConfig
from trainer.contract.config import DatasetUse, RewardUse

Named = list[tuple[str, str]]


def named(config: RunConfig) -> Named:
    """Return (field, name) of everything that a config names, besides its datasets."""
    found = [("model.name_or_path", config.model.name_or_path),
             *(("model.adapters", name) for name in config.model.adapters)]
    if config.tuner.continue_from:
        found.append(("tuner.continue_from", config.tuner.continue_from))
    if config.facts.teacher and config.teacher.name_or_path:
        found.append(("teacher.name_or_path", config.teacher.name_or_path))
    if config.objective in ("grpo", "rloo"):
        for index, use in enumerate(config.rollout.rewards):
            where = f"rollout.rewards.{index}"
            found += [(f"{where}.{key}", name) for key, name in _of_reward(use).items()]
    return found


def _of_reward(use: RewardUse) -> dict[str, str]:
    """Return what a reward names of this machine: a folder, a schema's file, a file of code."""
    names = {"path": use.path if use.name == "python" else None,
             "model": use.model if use.name == "reward_model" else None,
             "json_schema": use.json_schema if use.name == "json_schema" else None}
    return {key: name for key, name in names.items()
            if name and not name.lstrip().startswith("{")}


def is_path(name: str) -> bool:
    """Tell whether a name leads to a place on this machine."""
    return (name.startswith((".", "~", "/")) or "\\" in name or ".." in name
            or os.path.lexists(name))


def absolute(config: RunConfig, datasets: Collection[str],
             is_run: Callable[[str], bool]) -> RunConfig:
    """Make relative paths absolute: config.yaml alone reproduces the run, from any folder.

    Args:
        config: The config.
        datasets: Names of the registry, which are no paths.
        is_run: Tells whether a name is a run's id.
    """
    def data(use: str | DatasetUse) -> str | DatasetUse:
        if isinstance(use, DatasetUse):
            return use.model_copy(update={"name": data(use.name)})
        path = os.path.expanduser(use)
        return os.path.abspath(path) if use not in datasets and os.path.exists(path) else use

    def place(name: str | None) -> str | None:
        if not name or name == "starter" or is_run(name):
            return name
        path = os.path.expanduser(name)
        return os.path.abspath(path) if os.path.exists(path) else name

    def reward(use: RewardUse) -> RewardUse:
        return use.model_copy(update={key: place(name) for key, name in _of_reward(use).items()})

    return config.model_copy(update={
        "data": config.data.model_copy(update={"train": [data(n) for n in config.data.train],
                                               "eval": [data(n) for n in config.data.eval]}),
        "model": config.model.model_copy(update={
            "name_or_path": place(config.model.name_or_path),
            "adapters": [place(name) for name in config.model.adapters]}),
        "tuner": config.tuner.model_copy(update={
            "continue_from": place(config.tuner.continue_from)}),
        "teacher": config.teacher.model_copy(update={
            "name_or_path": place(config.teacher.name_or_path)}),
        "rollout": config.rollout.model_copy(update={
            "rewards": [reward(use) for use in config.rollout.rewards]})})

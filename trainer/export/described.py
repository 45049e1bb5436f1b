"""A run config for weights that no training of theirs has made: of an export, of a merge."""

from __future__ import annotations

from typing import Any

from trainer.contract.config import RunConfig, parse, to_yaml
from trainer.contract.files import write_atomic
from trainer.contract.rundir import RunDir


def describe(run: RunDir, source: RunConfig, name: str, *, tuner: dict[str, Any] | None = None
             ) -> None:
    """Write ``weights.yaml``, by which the run's weights are found like those of a training.

    Args:
        run: The run that holds the weights.
        source: What the weights were trained by.
        name: The run's name.
        tuner: The tuner section of an adapter; None for whole weights.
    """
    data = source.data
    values: dict[str, Any] = {
        "name": name, "model": {"name_or_path": source.model.name_or_path},
        "data": {"train": [str(each) for each in data.names("train")], "template": data.template,
                 "max_length": data.max_length},
        "tuner": tuner or {"type": "full"}}
    if source.model.revision:
        values["model"]["revision"] = source.model.revision
    if tuner and source.model.adapters:
        values["model"]["adapters"] = list(source.model.adapters)
    write_atomic(run.weights, to_yaml(parse(values)))

"""What a script needs to know of a run: files, what their columns mean, model, template."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.contract import ConfigError, RunConfig
from trainer.contract.config import DatasetUse
from trainer.contract.models import ModelError, ModelSource, resolve_model
from trainer.data import DatasetError
from trainer.data.reading.readers import read
from trainer.data.reading.rows import Row
from trainer.data.shapes.classify import instruction
from trainer.data.templates.library import read_template
from trainer.data.templates.special_tokens import read_source
from trainer.data.tokens.request import Source


@dataclass
class Ingredients:
    """Everything that is written into a script; ``differs`` says what it cannot do alike."""

    config: RunConfig
    model: ModelSource
    template: str | None
    train: list[dict[str, Any]]
    held: list[dict[str, Any]]
    differs: list[str] = field(default_factory=list)


def gather(config: RunConfig, home: Path | None, runs: Path) -> Ingredients:
    """Find the files and the model of a run.

    Args:
        config: The run's config.
        home: Finestra's home, whose registry names datasets; None for the samples alone.
        runs: The folder that holds the runs.

    Raises:
        ConfigError: The model or a dataset cannot be found.
    """
    try:
        model = resolve_model(config.model.name_or_path, runs, config.model.revision,
                              config.model.adapters)
    except ModelError as error:
        raise _error("model.name_or_path", error.code, str(error), error.advice) from None
    differs: list[str] = []
    train = [_source(config, use, home, "train", differs) for use in config.data.uses("train")]
    held = [_source(config, use, home, "eval", differs) for use in config.data.uses("eval")]
    return Ingredients(config, model, _template(config, model), train, held, differs)


def _error(field_: str, code: str, message: str, advice: str) -> ConfigError:
    from trainer.contract import Problem

    return ConfigError([Problem(field=field_, code=code, message=message, advice=advice)])


def _template(config: RunConfig, model: ModelSource) -> str | None:
    """Return the chat template's text; None leaves it to the tokenizer when that is fetched."""
    if config.data.template != "auto":
        return read_template(config.data.template).source
    return (read_source(Path(model.base)) or None) if model.is_folder else None


def _source(config: RunConfig, use: DatasetUse, home: Path | None, split: str,
            differs: list[str]) -> dict[str, Any]:
    """Return what the script says of one dataset."""
    where = Source(use.name, home, use.subset, use.split, use.revision)
    limit = use.max_samples or (config.data.max_samples if split == "train" else None)
    try:
        spec = where.spec()
        shape = where.shape(spec)
    except DatasetError as error:
        if error.code != "hub_not_here":
            raise _error(f"data.{split}", error.code, error.message, error.advice) from None
        differs.append(f"The columns of '{use.name}' were not looked at: it is not here yet. "
                       "Check COLUMNS in DATA.")
        return {"hub": use.name, "subset": use.subset, "split": use.split or "train",
                "revision": use.revision, "kind": "unknown", "columns": {}, "roles": {},
                "classes": [], "instruction": "", "max_samples": limit}
    mapping = shape.mapping
    if mapping.paths:
        differs.append(f"'{use.name}' has columns inside columns, which the script does not open.")
    classes = list(mapping.classes)
    return {"files": [str(part.path) for part in spec.parts], "kind": shape.kind,
            "columns": mapping.columns.model_dump(exclude_none=True),
            "roles": _used_roles(spec, mapping.roles), "classes": classes,
            "instruction": instruction(tuple(classes)) if classes else "",
            "max_samples": limit}


def _used_roles(spec: Any, roles: dict[str, Any]) -> dict[str, str]:
    """Return the role names that the first rows use; a script need not know them all."""
    text = ""
    for number, row in enumerate(read(spec)):
        if isinstance(row, Row):
            text += str(row.values)
        if number >= 200:
            break
    return {name: str(role) for name, role in roles.items() if repr(name) in text}

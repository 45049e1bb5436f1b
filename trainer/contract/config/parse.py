"""From YAML or a mapping to a RunConfig, or to every problem at once."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from trainer.contract.config.base import Section
from trainer.contract.config.checks import check
from trainer.contract.config.fields import names_by_section
from trainer.contract.config.run import RunConfig
from trainer.contract.problems import ConfigError, Problem, from_validation_error


def parse(values: Mapping[str, Any]) -> RunConfig:
    """Validate plain data.

    Raises:
        ConfigError: With every problem at once: wrong fields, and those combinations of the
            remaining fields that cannot work; or that it is the config of another kind of run.
    """
    if (kind := values.get("kind", "train")) != "train":
        raise ConfigError([Problem(
            field="kind", code="not_training", message=f"This is the config of another kind of "
            f"run ({str(kind)[:40]}), which has no training to show or to go on from.",
            advice="Choose a run that trained.", params={"name": str(kind)[:40]})])
    try:
        config = RunConfig.model_validate(values)
    except ValidationError as error:
        problems = from_validation_error(error, names_by_section())
        problems += _checks_on_the_rest(values, problems)
        raise ConfigError(problems) from None
    if problems := check(config):
        raise ConfigError(problems)
    return config


def _checks_on_the_rest(values: Mapping[str, Any], found: list[Problem]) -> list[Problem]:
    """Run the cross-field checks with the wrong fields at their defaults."""
    config = without_wrong_fields(values, found)
    wrong = {p.field for p in found}
    return [] if config is None else [p for p in check(config) if p.field not in wrong]


def without_wrong_fields(values: Mapping[str, Any], problems: Iterable[Problem]
                         ) -> RunConfig | None:
    """Return the config with the wrong fields at their defaults, to look at the others.

    None when even that is no config.
    """
    rest = copy.deepcopy(dict(values))
    for problem in problems:
        _remove(rest, problem.field)
    try:
        return RunConfig.model_validate(rest)
    except ValidationError:
        return None


def _remove(values: dict[str, Any], path: str) -> None:
    """Take the field at a dotted path out; an entry of a list takes the whole list."""
    node: Any = values
    parts = path.split(".")
    for part in parts[:-1]:
        child = node.get(part)
        if not isinstance(child, dict):
            node.pop(part, None)
            return
        node = child
    node.pop(parts[-1], None)


def load_yaml(text: str) -> dict[str, Any]:
    """Read a config file's text as a mapping.

    Raises:
        ConfigError: When it is not YAML or not a mapping, with the line.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f" in line {line + 1}" if line is not None else ""
        what = getattr(error, "problem", None) or "not readable"
        raise ConfigError([Problem(field="", code="yaml_syntax",
                                   message=f"This is not valid YAML{where}: {what}.",
                                   advice="Mend that line; indent with spaces.",
                                   params={"line": "?" if line is None else str(line + 1),
                                           "what": str(what)})]) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError([Problem(field="", code="yaml_mapping",
                                   message="A run config is a mapping of sections.",
                                   advice="Begin with a line such as 'name: my-run'.")])
    return values


def apply_overrides(values: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return a copy with ``section.key=value`` texts laid over it; values are read as YAML.

    Raises:
        ConfigError: For a text without '='.
    """
    merged: dict[str, Any] = copy.deepcopy(dict(values))
    for text in overrides:
        path, equals, raw = text.partition("=")
        if not equals or not path.strip():
            raise ConfigError([Problem(field=path.strip(), code="override_syntax",
                                       message=f"{text!r} is no override.",
                                       advice="Write section.key=value.",
                                       params={"text": text})])
        _assign(merged, path.strip(), _scalar(raw))
    return merged


def _scalar(raw: str) -> Any:
    try:
        return yaml.safe_load(raw)
    except yaml.YAMLError:
        return raw


def _assign(values: dict[str, Any], path: str, value: Any) -> None:
    node = values
    *sections, name = path.split(".")
    for section in sections:
        child = node.get(section)
        node[section] = child if isinstance(child, dict) else {}
        node = node[section]
    node[name] = value


def brief_yaml(config: RunConfig) -> str:
    """Write what a run trains on what, and beside it only what differs from the defaults."""
    told: dict[str, Any] = {
        "name": config.name, "objective": config.objective,
        "model": {"name_or_path": config.model.name_or_path}, "data": {"train": config.data.train}}
    for section, values in config.model_dump(mode="json", exclude_defaults=True).items():
        both = isinstance(values, dict) and section in told
        told[section] = {**told[section], **values} if both else values
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=100)


def to_yaml(config: Section, *, complete: bool = True) -> str:
    """Write a config as YAML, complete or only what differs from the defaults."""
    values = config.model_dump(mode="json", exclude_defaults=not complete)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)

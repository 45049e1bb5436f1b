"""What kinds of runs there are beside training, and which one a config asks for.

All of them wait in one queue, are folders of the same shape, and speak in the same events. A config
without ``kind`` trains.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel, ValidationError

from trainer.contract.config import RunConfig, parse
from trainer.contract.kinds.evaluate import EvaluateConfig
from trainer.contract.kinds.export import ExportConfig
from trainer.contract.kinds.merge import MergeConfig
from trainer.contract.problems import ConfigError, Problem, from_validation_error

Kind = Literal["train", "export", "merge", "evaluate"]
Other = ExportConfig | MergeConfig | EvaluateConfig
AnyConfig = RunConfig | Other
KINDS: tuple[str, ...] = get_args(Kind)
OTHERS: dict[str, type[Other]] = {
    "export": ExportConfig, "merge": MergeConfig, "evaluate": EvaluateConfig}


def kind_of(values: Mapping[str, Any]) -> str:
    """Return the kind that a config names, 'train' when it names none."""
    return str(values.get("kind", "train"))


def parse_any(values: Mapping[str, Any]) -> AnyConfig:
    """Validate a config of any kind.

    Raises:
        ConfigError: With every problem at once.
    """
    kind = kind_of(values)
    if kind == "train":
        return parse({key: value for key, value in values.items() if key != "kind"})
    if kind not in OTHERS:
        raise ConfigError([Problem(
            field="kind", code="unknown_kind", message=f"There is no kind of run '{kind[:100]}'.",
            advice=f"Choose one of: {', '.join(KINDS)}.", params={"name": kind[:100]})])
    model = OTHERS[kind]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(from_validation_error(error, _names(model))) from None


def _names(model: type[BaseModel], path: str = "") -> dict[str, list[str]]:
    """Return the field names of each section by its path, to suggest a spelling."""
    found = {path: list(model.model_fields)}
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found |= _names(inner, f"{path}.{name}".lstrip("."))
    return found

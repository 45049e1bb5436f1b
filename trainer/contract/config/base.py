"""What every section of the run config has in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

Only = Mapping[str, Sequence[str]]


class Section(BaseModel):
    """A group of fields; unknown keys are refused, every field carries title and description."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False,
                              str_strip_whitespace=True)


def field(default: Any, title: str, description: str, *, basic: bool = False,
          unit: str = "", only: Only | None = None, group: str = "", **bounds: Any) -> Any:
    """Declare one config field.

    Args:
        default: The value when the field is left out.
        title: The label in the form.
        description: One or two sentences for the form, the file and the documentation.
        basic: Whether the form shows it before *Advanced* is opened.
        unit: Unit of a number ("tokens", "steps"); shown behind the title.
        only: The field means something only while each of these fields has one of these values,
            ``{"tuner.type": ("lora",)}``; of a section it holds for all its fields.
        group: The heading it stands under in the form; its section's unless told.
        **bounds: Passed to pydantic (ge, gt, le, lt, min_length, ...).
    """
    extra: JsonDict = {"basic": basic, "unit": unit, "group": group,
                       "only": {path: list(values) for path, values in (only or {}).items()}}
    if callable(default):
        return Field(default_factory=default, title=title, description=description,
                     json_schema_extra=extra, **bounds)
    return Field(default=default, title=title, description=description,
                 json_schema_extra=extra, **bounds)

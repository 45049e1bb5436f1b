"""What every section of the run config has in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict


class Section(BaseModel):
    """A group of fields; unknown keys are refused, every field carries title and description."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False,
                              str_strip_whitespace=True)


def field(default: Any, title: str, description: str, *, basic: bool = False,
          unit: str = "", **bounds: Any) -> Any:
    """Declare one config field.

    Args:
        default: The value when the field is left out.
        title: The label in the form.
        description: One or two sentences for the form, the file and the documentation.
        basic: Whether the form shows it before *Advanced* is opened.
        unit: Unit of a number ("tokens", "steps"); shown behind the title.
        **bounds: Passed to pydantic (ge, gt, le, lt, min_length, ...).
    """
    extra: JsonDict = {"basic": basic, "unit": unit}
    if callable(default):
        return Field(default_factory=default, title=title, description=description,
                     json_schema_extra=extra, **bounds)
    return Field(default=default, title=title, description=description,
                 json_schema_extra=extra, **bounds)

"""What every section of the run config has in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

Only = Mapping[str, Sequence[str]]


class Section(BaseModel):
    """A group of fields; unknown keys are refused, every field carries title and description."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False,
                              str_strip_whitespace=True)


class Details(TypedDict, total=False):
    """What a field may say of itself beside its default, title and description.

    Attributes:
        basic: Whether the form shows it before *Advanced* is opened.
        unit: Unit of a number ("tokens", "steps"); shown behind the title.
        only: The field means something only while each of these fields has one of these values,
            ``{"tuner.type": ("lora",)}``; of a section it holds for all its fields.
        group: The heading it stands under in the form; its section's unless told.
        ge, gt, le, lt: Bounds of a number.
        min_length, max_length: Bounds of a text's or a list's length.
        pattern: What a text must look like.
    """

    basic: bool
    unit: str
    only: Only
    group: str
    ge: float
    gt: float
    le: float
    lt: float
    min_length: int
    max_length: int
    pattern: str


def field(default: Any, title: str, description: str, **details: Unpack[Details]) -> Any:
    """Declare one config field.

    Args:
        default: The value when the field is left out.
        title: The label in the form.
        description: One or two sentences for the form, the file and the documentation.
        **details: Where and when the form shows it, and its bounds; see ``Details``.
    """
    only = details.pop("only", {})
    extra: JsonDict = {"basic": details.pop("basic", False), "unit": details.pop("unit", ""),
                       "group": details.pop("group", ""),
                       "only": {path: list(values) for path, values in only.items()}}
    bounds: dict[str, Any] = {**details}
    if callable(default):
        return Field(default_factory=default, title=title, description=description,
                     json_schema_extra=extra, **bounds)
    return Field(default=default, title=title, description=description,
                 json_schema_extra=extra, **bounds)

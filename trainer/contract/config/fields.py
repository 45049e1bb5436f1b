"""The fields of RunConfig as data: what the form, the docs and the checks are built from."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo as PydanticField

from trainer.contract.config.run import RunConfig

_Only = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class FieldInfo:
    """One field of the run config.

    ``kind`` is what a form needs to know: text, number, integer, boolean, choice, list, mapping
    (names with numbers) or uses (names with settings). ``only`` says which fields must have which
    values for this one to mean something; ``group`` is the heading it stands under.
    """

    path: str
    title: str
    description: str
    kind: str
    default: Any
    choices: tuple[str, ...] = ()
    optional: bool = False
    basic: bool = False
    unit: str = ""
    group: str = ""
    only: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def section(self) -> str:
        """The section's path, '' for the fields of the run itself."""
        return self.path.rpartition(".")[0]


def _bare(annotation: Any) -> Any:
    """Return a type without what ``Annotated`` adds to it."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _kind(annotation: Any) -> tuple[str, tuple[str, ...], bool]:
    """Return (kind, choices, optional) of a type annotation."""
    annotation = _bare(annotation)
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        members = [a for a in get_args(annotation) if a is not type(None)]
        kind, choices, _ = _kind(members[0])
        return kind, choices, type(None) in get_args(annotation)
    if origin is Literal:
        return "choice", tuple(str(a) for a in get_args(annotation)), False
    if origin is list:
        of = _bare(get_args(annotation)[0])
        uses = get_origin(of) not in (None, Literal) or (
            isinstance(of, type) and issubclass(of, BaseModel))
        return "uses" if uses else "list", (), False
    if origin is dict:
        return "mapping", (), False
    names = {bool: "boolean", int: "integer", float: "number"}
    return names.get(annotation, "text"), (), False


def _extra(info: PydanticField) -> dict[str, Any]:
    return dict(info.json_schema_extra) if isinstance(info.json_schema_extra, dict) else {}


def _conditions(info: PydanticField) -> _Only:
    only: Mapping[str, list[str]] = _extra(info).get("only") or {}
    return tuple((path, tuple(values)) for path, values in only.items())


def _describe(path: str, info: PydanticField, only: _Only, group: str) -> FieldInfo:
    kind, choices, optional = _kind(info.annotation)
    extra = _extra(info)
    return FieldInfo(path=path, title=info.title or path, description=info.description or "",
                     kind=kind, default=info.get_default(call_default_factory=True),
                     choices=choices, optional=optional, basic=bool(extra.get("basic")),
                     unit=str(extra.get("unit", "")), only=only,
                     group=str(extra.get("group") or group
                               or path.rpartition(".")[0].partition(".")[0]))


def _walk(model: type[BaseModel], prefix: str, only: _Only = (), group: str = ""
          ) -> list[FieldInfo]:
    """Describe the fields of a model; a section hands its conditions and its heading down."""
    found: list[FieldInfo] = []
    for name, info in model.model_fields.items():
        annotation, conditions = info.annotation, (*only, *_conditions(info))
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found += _walk(annotation, f"{prefix}{name}.", conditions,
                           str(_extra(info).get("group") or group))
        else:
            found.append(_describe(prefix + name, info, conditions, group))
    return found


@cache
def all_fields() -> dict[str, FieldInfo]:
    """Return every field by its dotted path, in the order of declaration."""
    return {info.path: info for info in _walk(RunConfig, "")}


def default_of(path: str) -> Any:
    """Return a field's default; KeyError for an unknown path."""
    return all_fields()[path].default


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of a nested config by their dotted paths."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and prefix + name not in all_fields():
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def is_relevant(info: FieldInfo, values: Mapping[str, Any]) -> bool:
    """Tell whether a field means something beside these values (by dotted path)."""
    return all(str(values.get(path, default_of(path))).lower() in wanted
               for path, wanted in info.only)


def names_by_section() -> dict[str, list[str]]:
    """Return the field names of each section path, for spelling suggestions."""
    names: dict[str, list[str]] = {"": list(RunConfig.model_fields)}
    for info in all_fields().values():
        if info.section:
            names.setdefault(info.section, []).append(info.path.rpartition(".")[2])
    return names

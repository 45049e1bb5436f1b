"""What a dataset's columns mean: kinds of data, which column holds what, and why it is thought."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Literal, get_args

from trainer.data.reading.entry import Columns, Tags
from trainer.data.reading.rows import DatasetError, listed
from trainer.data.shapes.paths import is_path
from trainer.data.shapes.roles import TurnRole, named_roles
from trainer.data.shapes.sample import plain

Kind = Literal["alpaca", "openai", "sharegpt", "prompt_completion", "question_answer", "text",
               "preference", "hh_rlhf", "kto", "prompt_only", "classification", "unknown"]
CLASSES = "classes"
QUESTIONS = ("question", "query", "problem", "q", "问题")
_WANTED = ("Name 'prompt' and 'response', 'messages', 'chosen' and 'rejected', 'prompt' and "
           "'label', 'prompt' and 'reference', or 'prompt' alone for plain text.")


@dataclass(frozen=True)
class ColumnMap:
    """Which column holds what, and how turns name their roles.

    A column's name may be a path (``instances[0].output``); a column of exactly that name wins.
    Without ``role_tag`` the keys of turns are found in each row; with ``user_tag`` and
    ``assistant_tag`` but no ``role_tag``, each turn is an object that holds both sides.
    ``aliases``: role names besides the tags are understood too (recognised data); a registry's
    tags are the only ones. ``classes``: the names of a classification's classes.
    """

    columns: Columns = field(default_factory=Columns)
    tags: Tags = field(default_factory=Tags)
    aliases: bool = True
    classes: tuple[str, ...] = ()

    @cached_property
    def roles(self) -> dict[str, TurnRole]:
        """What each role name means."""
        return named_roles(self.tags, self.aliases)

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The named columns that may be paths into others."""
        names = self.columns.model_dump(exclude_none=True).values()
        return tuple(name for name in names if is_path(name))

    @cached_property
    def pictures(self) -> tuple[str, ...]:
        """The columns that would hold pictures, films or sound."""
        columns = self.columns
        return tuple(name for name in (columns.images, columns.videos, columns.audios) if name)

    def document(self) -> dict[str, str]:
        """Return what is named, e.g. ``{"prompt": "question", "response": "answer"}``.

        ``shape_from_mapping`` takes it back.
        """
        values: dict[str, str] = self.columns.model_dump(exclude_none=True)
        if self.columns.messages or self.aliases:
            values |= self.tags.model_dump(exclude_none=True)
        if self.classes:
            values[CLASSES] = json.dumps(self.classes, ensure_ascii=False)
        return values


@dataclass(frozen=True)
class Shape:
    """The form of a dataset's rows, why it is thought so, and how surely (0 to 1).

    ``unused``: columns that the rows have and nothing reads.
    """

    kind: Kind
    mapping: ColumnMap
    reason: str
    confidence: float
    unused: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the shape as scripts see it."""
        return {"shape": self.kind, "mapping": self.mapping.document(), "reason": self.reason,
                "confidence": self.confidence, "unused": list(self.unused)}


def shape_from_mapping(mapping: Mapping[str, str | None], kind: str | None = None) -> Shape:
    """Return the shape that a person names, e.g. ``{"prompt": "question", "response": "answer"}``.

    Args:
        mapping: Keys of ``columns`` and ``tags`` in dataset_info.json, and ``classes`` (a list
            as JSON text, or names with commas between); values are columns or paths. Empty
            values count as not named.
        kind: What the rows are; None takes it from the keys.

    Raises:
        DatasetError: ``mapping``: a key that does not exist, an unknown kind, or a kind that
            needs a column that is not named.
    """
    values = {key: str(value) for key, value in mapping.items() if value}
    unknown = [key for key in values if key not in _KEYS]
    if unknown:
        close = get_close_matches(unknown[0], _KEYS, 1)
        raise DatasetError("mapping", f"A mapping has no {listed(unknown)}.",
                           f"Did you mean '{close[0]}'?" if close
                           else f"Its keys are {', '.join(_KEYS)}.")
    if kind is not None and kind not in _NEEDED:
        raise DatasetError("mapping", f"There is no kind of data '{kind}'.",
                           f"Choose one of {', '.join(_NEEDED)}.")
    if "label" in values and kind in (None, "kto") and {"response", "messages"} & values.keys():
        values.setdefault("kto_tag", values.pop("label"))
    chosen = kind or _kind(values)
    _require(chosen, values)
    found = ColumnMap(Columns(**{k: v for k, v in values.items() if k in Columns.model_fields}),
                      Tags(**{k: v for k, v in values.items() if k in Tags.model_fields}),
                      classes=read_classes(values.get(CLASSES, "")))
    return Shape(next(k for k in KINDS if k == chosen), found, "the mapping says so", 1.0)


def _kind(values: dict[str, str]) -> str:
    """Return the kind that the named keys mean."""
    if {"chosen", "rejected"} & values.keys():
        return "preference"
    if "kto_tag" in values:
        return "kto"
    if "reference" in values and "response" not in values:
        return "prompt_only"
    if "messages" in values:
        return "sharegpt" if values.get("role_tag") == "from" else "openai"
    if "response" in values:
        if {"query", "history"} & values.keys():
            return "alpaca"
        return ("question_answer" if plain(values.get("prompt", "")) in QUESTIONS
                else "prompt_completion")
    return "classification" if "label" in values else "text"


def _require(kind: str, values: dict[str, str]) -> None:
    """Refuse a mapping that leaves out what its kind needs."""
    choices = [names for names in _NEEDED[kind] if not any(name in values for name in names)]
    if choices:
        missing = [" or ".join(f"'{name}'" for name in names) for names in choices]
        raise DatasetError("mapping", f"The mapping does not name {' and '.join(missing)}, which "
                           f"data of kind '{kind}' needs.", _WANTED)


def read_classes(text: str) -> tuple[str, ...]:
    """Return the names of classes: a list as JSON text, or names with commas between.

    Raises:
        DatasetError: ``mapping``: it begins as JSON and is none.
    """
    if not text.lstrip().startswith("["):
        return tuple(name.strip() for name in text.split(",") if name.strip())
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list):
        raise DatasetError("mapping", "'classes' is not a list of names.",
                           'Write ["good", "bad"], or good, bad.')
    return tuple(str(name) for name in names)


KINDS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind != "unknown")
_KEYS = (*Columns.model_fields, *Tags.model_fields, CLASSES)
_PAIR = (("prompt", "query"), ("response",))
# For each kind, what a mapping has to name; of several names one is enough.
_NEEDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "alpaca": _PAIR, "question_answer": _PAIR, "prompt_completion": _PAIR,
    "openai": (("messages",),), "sharegpt": (("messages",),), "text": (("prompt",),),
    "preference": (("chosen",), ("rejected",)), "hh_rlhf": (("chosen",), ("rejected",)),
    "kto": (("kto_tag",), ("prompt", "messages"), ("response", "messages")),
    "prompt_only": (("prompt", "messages"),), "classification": (("prompt",), ("label",))}

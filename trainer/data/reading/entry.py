"""One entry of ``dataset_info.json``, with LLaMA-Factory's names and defaults.

What is ours besides stands where LLaMA-Factory does not look: the columns ``reference`` and
``label``, and keys that begin with ``_``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

SOURCES = ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")
# Fields of ours, written with a '_' before them.
OURS = ("revision", "kind", "classes")


class Columns(BaseModel):
    """Which column holds what; null where the dataset has none.

    ``reference`` (the right answer to a prompt) and ``label`` (a text's class) are ours:
    LLaMA-Factory does not read them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str | None = None
    query: str | None = None
    response: str | None = None
    history: str | None = None
    messages: str | None = None
    system: str | None = None
    tools: str | None = None
    images: str | None = None
    videos: str | None = None
    audios: str | None = None
    chosen: str | None = None
    rejected: str | None = None
    kto_tag: str | None = None
    reference: str | None = None
    label: str | None = None


class Tags(BaseModel):
    """Keys and role names inside a list of turns; null where the dataset has none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role_tag: str | None = None
    content_tag: str | None = None
    user_tag: str | None = None
    assistant_tag: str | None = None
    observation_tag: str | None = None
    function_tag: str | None = None
    system_tag: str | None = None


DEFAULT_COLUMNS = Columns(prompt="instruction", query="input", response="output",
                          messages="conversations")
SHAREGPT_TAGS = Tags(role_tag="from", content_tag="value", user_tag="human", assistant_tag="gpt",
                     observation_tag="observation", function_tag="function_call",
                     system_tag="system")
OPENAI_TAGS = Tags(role_tag="role", content_tag="content", user_tag="user",
                   assistant_tag="assistant", observation_tag="tool",
                   function_tag="function_call", system_tag="system")


class DatasetEntry(BaseModel):
    """Where a dataset lies and what its columns mean.

    ``subset``, ``split``, ``folder`` and ``revision`` mean something for hub sources only.
    ``num_samples`` takes the first rows. ``kind`` and ``classes`` are what a person's mapping says
    beyond the columns. ``file_sha1`` is read and not used.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hf_hub_url: str | None = None
    ms_hub_url: str | None = None
    om_hub_url: str | None = None
    script_url: str | None = None
    cloud_file_name: str | list[str] | None = None
    file_name: str | None = Field(default=None, min_length=1)
    formatting: Literal["alpaca", "sharegpt", "openai"] = "alpaca"
    ranking: bool = False
    subset: str | None = None
    split: str = "train"
    folder: str | None = None
    num_samples: int | None = Field(default=None, ge=1)
    columns: Columns | None = None
    tags: Tags | None = None
    revision: str | None = None
    kind: str | None = None
    classes: tuple[str, ...] | None = None
    file_sha1: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_comments(cls, values: Any) -> Any:
        """Drop nulls, and keys that begin with '_': bookkeeping of ours, remarks of people."""
        if not isinstance(values, dict):
            return values
        known = {k: v for k, v in values.items() if not str(k).startswith("_") and v is not None}
        ours = {k: values[f"_{k}"] for k in OURS if values.get(f"_{k}") is not None}
        return {**known, **ours}

    def document(self) -> dict[str, Any]:
        """Return the entry as it is written: what was given, with LLaMA-Factory's keys."""
        values = self.model_dump(mode="json", exclude_unset=True, exclude_none=True)
        return {f"_{k}" if k in OURS else k: v for k, v in values.items()}

    def mapping_fields(self) -> dict[str, Any]:
        """Return what the entry says about the columns, as it is written."""
        keys = ("columns", "tags", "formatting", "ranking", "_kind", "_classes")
        return {key: value for key, value in self.document().items() if key in keys}

    def other_source(self) -> tuple[str, str]:
        """Return (key, value) of the first source that is not a file, or two empty texts."""
        for key in SOURCES:
            if value := getattr(self, key):
                return key, str(value)
        return "", ""

    def resolved_columns(self) -> Columns:
        """Return the columns: the given object as it is, else the defaults."""
        return DEFAULT_COLUMNS if self.columns is None else self.columns

    def resolved_tags(self) -> Tags:
        """Return the tags: the given object as it is, else the format's defaults."""
        if self.tags is not None:
            return self.tags
        return OPENAI_TAGS if self.formatting == "openai" else SHAREGPT_TAGS


def fields_of_mapping(mapping: Mapping[str, str], *, kind: str | None = None,
                      classes: Sequence[str] = ()) -> dict[str, Any]:
    """Return what an entry says for a mapping, all keys of it; None takes a key out.

    Args:
        mapping: Names of columns and of tags side by side, as in ``ColumnMap.document()``, e.g.
            ``{"prompt": "question", "response": "answer"}``; other keys are passed over.
        kind: What the rows are, as ``shape_from_mapping`` found it.
        classes: The names of a classification's classes.
    """
    columns = {k: v for k, v in mapping.items() if k in Columns.model_fields and v}
    tags = {k: v for k, v in mapping.items() if k in Tags.model_fields and v}
    formatting = None
    if "messages" in columns:
        formatting = "openai" if tags.get("role_tag") == "role" else "sharegpt"
    return {"columns": columns, "tags": tags or None, "formatting": formatting,
            "ranking": True if {"chosen", "rejected"} <= columns.keys() else None,
            "_kind": kind, "_classes": list(classes) or None}

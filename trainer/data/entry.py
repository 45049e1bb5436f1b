"""One entry of ``dataset_info.json``, with LLaMA-Factory's names and defaults."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

SOURCES = ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")


class Columns(BaseModel):
    """Which column holds what; null where the dataset has none."""

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

    ``subset``, ``split`` and ``folder`` mean something for hub sources only. ``num_samples``
    takes the first rows.
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

    @model_validator(mode="before")
    @classmethod
    def _without_comments(cls, values: Any) -> Any:
        """Drop keys that begin with '_': they are remarks of people."""
        if isinstance(values, dict):
            return {k: v for k, v in values.items() if not str(k).startswith("_")}
        return values

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

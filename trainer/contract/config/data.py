"""The data of a run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from trainer.contract.config.base import Section, field


class DataConfig(Section):
    """What to learn from, and how rows become tokens."""

    train: list[str] = field(
        lambda: ["sample_instructions"], "Training data",
        "Names from the registry, or paths to json, jsonl, csv or txt files.",
        basic=True, min_length=1)
    eval: list[str] = field(
        list, "Evaluation data",
        "Datasets that are only measured, never trained on.", basic=True)
    val_size: float = field(
        0.0, "Validation split",
        "Taken from the training data when no evaluation data is named: below 1 a share, "
        "else a number of rows; 0 takes none.", ge=0)
    template: str = field(
        "auto", "Chat template", "'auto' uses the tokenizer's own chat template.")
    max_length: int = field(
        512, "Maximum length", "Longer examples are shortened or dropped, see 'Overlong'.",
        basic=True, unit="tokens", ge=8, le=1_048_576)
    overlong: Literal["cut_turns", "drop"] = field(
        "cut_turns", "Overlong examples",
        "Cut whole turns from the front and then the tail of the last answer, or drop the "
        "example. Always counted.")
    bad_rows: Literal["refuse", "skip"] = field(
        "refuse", "Bad rows",
        "Refuse to start when a row cannot be used, or skip such rows. Always counted.")
    max_samples: int | None = field(
        None, "Maximum rows", "Use only the first rows of each training set; empty means all.",
        unit="rows", ge=1)
    shuffle: bool = field(True, "Shuffle", "Shuffle the training rows with the run's seed.")
    preprocessing_num_workers: int | None = field(
        None, "Tokenizing threads", "Empty means one per core.", ge=1, le=256)

    @field_validator("train", "eval", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        if value is None:
            return []
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @field_validator("train", "eval")
    @classmethod
    def _names(cls, value: list[str]) -> list[str]:
        for name in value:
            if not name.strip() or any(ord(c) < 32 for c in name):
                raise PydanticCustomError(
                    "dataset_name", "'{name}' is neither a dataset's name nor a path.",
                    {"name": name})
        if len(set(value)) != len(value):
            raise PydanticCustomError("dataset_twice", "A dataset is named twice.")
        return value

"""The data of a run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag, field_validator
from pydantic_core import PydanticCustomError

from trainer.contract.config.base import Section, field
from trainer.contract.config.texts import Expression

SplitName = Literal["train", "eval"]


class DatasetUse(Section):
    """One dataset of a mixture: its name and how it is taken.

    ``weight`` is its share relative to the others'. ``subset``, ``split`` and ``revision`` belong
    to hub datasets; what is left out comes from the registry.
    """

    name: str = field(..., "Dataset", "A name from the registry, a path or a hub id.",
                      min_length=1)
    weight: float | None = field(None, "Weight", "Share relative to the other datasets.",
                                 ge=0.01, le=100)
    subset: str | None = field(None, "Subset", "A hub dataset's configuration.")
    split: str | None = field(None, "Split", "A hub dataset's split.")
    revision: str | None = field(None, "Revision", "A hub dataset's branch, tag or commit.")
    max_samples: int | None = field(None, "Maximum rows", "Use only the first rows.", ge=1)


def _form(value: Any) -> str:
    """Tell which of both forms a dataset is given in, so that errors speak of that one only."""
    return "use-object" if isinstance(value, dict | DatasetUse) else "use-name"


Use = Annotated[Annotated[str, Tag("use-name")] | Annotated[DatasetUse, Tag("use-object")],
                Discriminator(_form)]


class FilterConfig(Section):
    """Which rows are left out before training; counted, never silent."""

    min_characters: int | None = field(
        None, "Shortest", "Leave out rows with less text.", unit="characters", ge=1)
    max_characters: int | None = field(
        None, "Longest", "Leave out rows with more text.", unit="characters", ge=1)
    languages: list[str] = field(
        list, "Languages", "Keep only rows in these languages (ISO 639-1 codes such as en, zh).")
    include: Expression | None = field(
        None, "Must contain", "Keep only rows in whose text this regular expression is found.")
    exclude: Expression | None = field(
        None, "Must not contain", "Leave out rows in whose text this regular expression is found.")

    @property
    def active(self) -> bool:
        """Whether any row can be left out."""
        return self != FilterConfig()


class DataConfig(Section):
    """What to learn from, and how rows become tokens."""

    train: list[Use] = field(
        lambda: ["sample_instructions"], "Training data",
        "Names from the registry, paths or hub ids; {name, weight} when mixed.",
        basic=True, min_length=1)
    eval: list[Use] = field(
        list, "Evaluation data",
        "Datasets that are only measured, never trained on.", basic=True)
    mix_strategy: Literal["concat", "interleave_under", "interleave_over"] = field(
        "concat", "Mixing",
        "Several datasets one after the other, or in turns by weight until the first "
        "(interleave_under) or the last (interleave_over) is used up.")
    val_size: float = field(
        0.0, "Validation split",
        "Taken from the training data when no evaluation data is named: below 1 a share, "
        "else a number of rows; 0 takes none.", ge=0)
    template: str = field(
        "auto", "Chat template",
        "'auto' uses the tokenizer's own; else the name of one that comes with Finestra, such as "
        "chatml or llama3.")
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
    train_on_prompt: bool = field(
        False, "Train on prompts", "Learn everything, also what the user and the system say.")
    mask_history: bool = field(
        False, "Train on the last answer only", "Earlier answers of a conversation are read, not "
        "learned.")
    max_samples: int | None = field(
        None, "Maximum rows", "Use only the first rows of each training set; empty means all.",
        unit="rows", ge=1)
    deduplicate: Literal["none", "exact", "near"] = field(
        "none", "Duplicates",
        "Leave out rows that stand in the same dataset before: the same text, or nearly "
        "(MinHash). Always counted.")
    near_threshold: float = field(
        0.85, "Likeness", "From which Jaccard similarity on two rows are near duplicates.",
        ge=0.5, le=1)
    filters: FilterConfig = field(FilterConfig, "Filters", "Which rows are left out.",
                                  group="data.filters")
    shuffle: bool = field(True, "Shuffle", "Shuffle the training rows with the run's seed.")
    preprocessing_num_workers: int | None = field(
        None, "Tokenizing processes", "Empty means one per core for large data, else one.",
        ge=1, le=256)

    def uses(self, split: SplitName) -> list[DatasetUse]:
        """Return the datasets of a split, each as a DatasetUse."""
        return [use if isinstance(use, DatasetUse) else DatasetUse(name=use)
                for use in (self.train if split == "train" else self.eval)]

    def names(self, split: SplitName) -> list[str]:
        """Return the names of a split's datasets."""
        return [use.name for use in self.uses(split)]

    @field_validator("train", "eval", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        if value is None:
            return []
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return [value] if isinstance(value, dict) else value

    @field_validator("train", "eval")
    @classmethod
    def _names(cls, value: list[str | DatasetUse]) -> list[str | DatasetUse]:
        """Keep names that are used plainly as texts; refuse what is no name."""
        plain = [use.name if isinstance(use, DatasetUse) and use == DatasetUse(name=use.name)
                 else use for use in value]
        for use in plain:
            name = use if isinstance(use, str) else use.name
            if not name.strip() or any(ord(c) < 32 for c in name):
                raise PydanticCustomError(
                    "dataset_name", "'{name}' is neither a dataset's name nor a path.",
                    {"name": name})
        keys = [use if isinstance(use, str) else (use.name, use.subset, use.split)
                for use in plain]
        if len(set(keys)) != len(keys):
            raise PydanticCustomError("dataset_twice", "A dataset is named twice.")
        return plain

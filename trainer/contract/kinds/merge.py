"""A merge: several adapters of one base, or several models of one shape, as one."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from trainer.contract.config.base import Section, field
from trainer.contract.config.texts import Place, name_of_run

AdapterMethod = Literal[
    "linear", "cat", "svd", "ties", "ties_svd", "dare_linear", "dare_ties", "dare_linear_svd",
    "dare_ties_svd", "magnitude_prune", "magnitude_prune_svd"]
ModelMethod = Literal["linear", "slerp", "task_arithmetic", "ties", "dare_ties"]
MergeMethod = Literal[AdapterMethod, "slerp", "task_arithmetic"]
# What can be done with whole models, and which of it needs the base they were made of.
OF_MODELS: dict[str, bool] = {"linear": False, "slerp": False, "task_arithmetic": True,
                              "ties": True, "dare_ties": True}
# They thin out what was learned: 'density' is the share that stays.
THINNING = ("ties", "dare", "magnitude")


class MergeSource(Section):
    """One of the models that are merged."""

    name: Place = field(..., "Model", "A run's id, or a folder.", min_length=1)
    weight: float = field(1.0, "Weight", "How much of it goes in.", ge=-10, le=10)


class MergeConfig(Section):
    """Everything that defines a merge; it alone makes it again."""

    kind: Literal["merge"] = field("merge", "Kind", "What kind of run this is.")
    name: str = field("merge", "Name", "Shown to people; the id is made by the studio.",
                      min_length=1, max_length=100)
    what: Literal["adapters", "models"] = field(
        "adapters", "What", "Adapters of one base become one adapter; models become one model.")
    sources: list[MergeSource] = field(..., "Models", "What is merged, with a weight each.",
                                       min_length=2, max_length=16)
    method: MergeMethod = field(
        "svd", "Method", "How weights are put together. Without a choice it is the plain weighted "
        "sum: 'svd' of adapters, 'linear' of models.")
    base: Place = field("", "Base", "Of models: what they were trained from, where the method "
                        "works on the differences.")
    density: float = field(0.5, "Density", "Share of what was learned that stays; TIES, DARE and "
                           "pruning only.", gt=0, le=1)
    majority_sign_method: Literal["total", "frequency"] = field(
        "total", "Sign", "How TIES finds the direction in which most adapters go.")
    svd_rank: int | None = field(None, "Rank", "Of the result of a method with SVD; else the "
                                 "largest of the sources.", ge=1, le=4096)
    dtype: Literal["stored", "float32", "bfloat16", "float16"] = field(
        "stored", "Number format", "Of merged models.")
    parity: bool = field(True, "Compare", "Ask the result the same prompts in each of its forms.")
    device: str = field("auto", "Device", "'auto', 'cpu' or a GPU's UUID.", max_length=100)
    seed: int = field(0, "Seed", "Of what DARE leaves out.", ge=0, le=2**32 - 1)

    _name = field_validator("name")(name_of_run)

    @model_validator(mode="before")
    @classmethod
    def _sum_of_models(cls, values: Any) -> Any:
        """Leave models their own plain sum where no method is chosen."""
        if isinstance(values, dict) and values.get("what") == "models" and "method" not in values:
            return {**values, "method": "linear"}
        return values

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise PydanticCustomError("source_twice", "A model is named twice.")
        if not any(source.weight for source in self.sources):
            raise PydanticCustomError("weights_zero", "All weights are 0: nothing would be left.")
        if self.what == "models" and self.method not in OF_MODELS:
            raise PydanticCustomError(
                "method_of_adapters", "This method merges adapters. Models are merged by: "
                f"{', '.join(OF_MODELS)}.")
        if self.what == "adapters" and self.method in ("slerp", "task_arithmetic"):
            raise PydanticCustomError("method_of_models", "This method merges whole models.")
        if self.what == "models" and OF_MODELS[self.method] and not self.base:
            raise PydanticCustomError("base_missing", "This method works on what was learned, "
                                      "so it needs the base.")
        if self.method == "slerp" and len(names) != 2:
            raise PydanticCustomError("slerp_of_two", "SLERP goes from one model to another: it "
                                      "takes exactly two.")
        return self

    @property
    def thins_out(self) -> bool:
        """Whether ``density`` means something."""
        return self.method.startswith(THINNING)

    def dump(self) -> dict[str, Any]:
        """Return the complete config as plain data, every default written out."""
        return self.model_dump(mode="json")

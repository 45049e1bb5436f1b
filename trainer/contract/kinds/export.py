"""An export: a model as other programs read it, each format compared with the source."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from trainer.contract.config.base import Section, field
from trainer.contract.config.texts import Place, name_of_run

Format = Literal[
    "merged", "adapter", "gguf-f32", "gguf-f16", "gguf-bf16", "gguf-q8_0", "gguf-q4_0",
    "gguf-q2_k", "gguf-q3_k_m", "gguf-q4_k_m", "gguf-q5_k_m", "gguf-q6_k",
    "gptq", "awq", "fp8", "int8", "onnx"]
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
Family = Literal["merged", "adapter", "gguf", "quantized", "onnx"]


# What config.json calls the models that can be written as GGUF here (trainer.export.gguf_families).
GGUF_MODELS = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "gemma3_text")


@dataclass(frozen=True)
class FormatFacts:
    """What there is to know of a format before anything is written.

    Attributes:
        family: What kind of artefact it is.
        bits: Bits a weight, about; 0 for those of the source.
        extra: The optional part of Finestra that writes it, '' when none is needed.
    """

    family: Family
    bits: float = 0
    extra: str = ""

    @property
    def from_gguf(self) -> bool:
        """Whether llama.cpp makes it from a GGUF file of 16 bits."""
        return self.extra == "llama"


FORMATS: dict[Format, FormatFacts] = {
    "merged": FormatFacts("merged"),
    "adapter": FormatFacts("adapter"),
    "gguf-f32": FormatFacts("gguf", 32, "export"),
    "gguf-f16": FormatFacts("gguf", 16, "export"),
    "gguf-bf16": FormatFacts("gguf", 16, "export"),
    "gguf-q8_0": FormatFacts("gguf", 8.5, "export"),
    "gguf-q4_0": FormatFacts("gguf", 4.5, "export"),
    "gguf-q2_k": FormatFacts("gguf", 3.4, "llama"),
    "gguf-q3_k_m": FormatFacts("gguf", 3.9, "llama"),
    "gguf-q4_k_m": FormatFacts("gguf", 4.9, "llama"),
    "gguf-q5_k_m": FormatFacts("gguf", 5.7, "llama"),
    "gguf-q6_k": FormatFacts("gguf", 6.6, "llama"),
    "gptq": FormatFacts("quantized", 4.5, "quantize"),
    "awq": FormatFacts("quantized", 4.5, "quantize"),
    "fp8": FormatFacts("quantized", 8.1, "quantize"),
    "int8": FormatFacts("quantized", 8.1, "quantize"),
    "onnx": FormatFacts("onnx", 32, "onnx"),
}


class ParityConfig(Section):
    """How the export is compared with what it was made of."""

    enabled: bool = field(True, "Compare", "Ask source and export the same prompts at the end.")
    prompts: int = field(8, "Prompts", "How many are asked.", ge=1, le=64)
    max_new_tokens: int = field(32, "Longest answer", "Of each prompt.", unit="tokens",
                                ge=1, le=512)


class PushConfig(Section):
    """Where the finished export is sent or copied."""

    repo: str = field("", "Hub repository", "OWNER/NAME on the hub; empty for none.",
                      max_length=200)
    private: bool = field(True, "Private", "Whether a new repository is seen by you alone.")
    existing: bool = field(False, "Add to it", "Whether the repository may hold something else.")
    folder: Place = field("", "Folder", "A folder that gets a copy; empty for none.")

    @field_validator("repo")
    @classmethod
    def _is_repo(cls, value: str) -> str:
        if value and not _REPO.fullmatch(value):
            raise PydanticCustomError("repo_name", "A repository is named OWNER/NAME.")
        return value


class ExportConfig(Section):
    """Everything that defines an export; it alone makes it again."""

    kind: Literal["export"] = field("export", "Kind", "What kind of run this is.")
    name: str = field("export", "Name", "Shown to people; the id is made by the studio.",
                      min_length=1, max_length=100)
    source: Place = field(..., "Model", "A run's id, RUN/checkpoint-40, 'starter', a folder or a "
                          "hub id that is on this machine.", min_length=1)
    formats: list[Format] = field(..., "Formats", "What is written.", min_length=1,
                                  max_length=len(FORMATS))
    dtype: Literal["stored", "float32", "bfloat16", "float16"] = field(
        "stored", "Number format", "Of merged weights; 'stored' is each as the base has it.")
    max_shard_size_gb: float = field(5.0, "Largest weight file", "Of merged weights.", unit="GB",
                                     gt=0, le=1000)
    model_card: bool = field(True, "Model card", "README.md with data, settings and results.")
    ollama: bool = field(True, "Ollama Modelfile", "Beside the first GGUF file.")
    deployment: bool = field(False, "Deployment folder",
                             "A compose file that serves the merged model by vLLM, SGLang or TGI.")
    calibration_rows: int = field(128, "Calibration rows", "Rows of the training data that GPTQ "
                                  "and AWQ look at.", ge=8, le=512)
    parity: ParityConfig = field(ParityConfig, "Parity", "How it is compared with its source.")
    push: PushConfig = field(PushConfig, "Push", "Where it is sent or copied.")
    device: str = field("auto", "Device", "'auto', 'cpu' or a GPU's UUID.", max_length=100)

    _name = field_validator("name")(name_of_run)

    @field_validator("formats")
    @classmethod
    def _once(cls, value: list[Format]) -> list[Format]:
        if len(set(value)) < len(value):
            raise PydanticCustomError("format_twice", "A format is named twice.")
        return value

    @model_validator(mode="after")
    def _has_a_model_to_deploy(self) -> Self:
        if self.deployment and "merged" not in self.formats:
            raise PydanticCustomError("deployment_without_model", "The deployment folder serves "
                                      "the merged model, which is not among the formats.")
        return self

    @property
    def run_id(self) -> str:
        """The id of the source if it is a run or one of its checkpoints; else the whole name."""
        return self.source.partition("/checkpoint-")[0]

    def has(self, family: Family) -> bool:
        """Tell whether a format of a family is wanted."""
        return any(FORMATS[each].family == family for each in self.formats)

    def dump(self) -> dict[str, Any]:
        """Return the complete config as plain data, every default written out."""
        return self.model_dump(mode="json")

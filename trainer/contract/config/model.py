"""The base model of a run."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from trainer.contract.config.base import Section, field
from trainer.contract.config.texts import Place

_REVISION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,198}[A-Za-z0-9])?")


class ModelConfig(Section):
    """Which model to start from, and in which numbers it is held."""

    name_or_path: Place = field(
        "starter", "Base model",
        "'starter' (in the box), a Hugging Face hub id, a local folder, or the id of a run.",
        basic=True, min_length=1, max_length=4096)
    revision: str | None = field(
        None, "Revision", "Branch, tag or commit of a hub model; empty means its main branch.")
    quantization: Literal["none", "nf4", "fp4", "int8"] = field(
        "none", "Quantization",
        "How the frozen base weights are held: as they are, in 4 bits (nf4 is QLoRA's, fp4) or in "
        "8 bits (LLM.int8), by bitsandbytes.", basic=True)
    double_quantization: bool = field(
        True, "Double quantization", "Quantize the scales too: 0.4 bits less a weight.",
        only={"model.quantization": ("nf4", "fp4")})
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = field(
        "auto", "Precision",
        "Number format of training. 'auto' chooses by the device and says why.")
    attn_implementation: Literal["auto", "sdpa", "eager", "flash_attention_2",
                                 "flash_attention_3", "flex_attention"] = field(
        "auto", "Attention", "Attention back end. 'auto' lets Transformers choose.")
    adapters: list[Place] = field(
        list, "Adapters merged first", "Finished adapters that are merged into the base before "
        "training, in order, as runs' ids or folders.")

    @field_validator("revision")
    @classmethod
    def _a_git_name(cls, value: str | None) -> str | None:
        if value and (not _REVISION.fullmatch(value) or ".." in value or "//" in value):
            raise PydanticCustomError(
                "revision_name", "'{name}' is not a branch, tag or commit.", {"name": value})
        return value or None


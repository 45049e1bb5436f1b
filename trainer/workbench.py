"""Workbench: what an attempt has at hand before any weights are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.model import Base
from trainer.precision import Precision

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Workbench:
    """The base model's files and how this attempt computes."""

    base: Base
    precision: Precision
    tokenizer: PreTrainedTokenizerBase

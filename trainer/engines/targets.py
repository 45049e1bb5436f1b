"""What is to be loaded for a name: a base with its options, and an adapter over it. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.contract.files import read_json
from trainer.contract.models import PROMPT_KINDS
from trainer.engines.errors import Kind

WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Model:
    """What an engine holds in memory; two names with equal models share one engine.

    Attributes:
        source: Folder of the weights, a GGUF file, or the id of a run whose adapters are merged.
        folder: The folder whose files are loaded.
        quantization: As in a run's config.
        double_quantization: The same, for weights in 4 bits; True for all others.
        dtype: As in a run's config.
        template: Chat template, 'auto' for the model's own.
        merged: Whether adapters are merged into it before it answers.
    """

    source: str
    folder: Path
    quantization: str = "none"
    dtype: str = "auto"
    template: str = "auto"
    merged: bool = False
    double_quantization: bool = True

    @property
    def is_gguf(self) -> bool:
        """Whether this is a file of llama.cpp."""
        return self.source.endswith(".gguf")


@dataclass(frozen=True)
class Adapter:
    """A finished adapter.

    Attributes:
        name: As engines call it.
        folder: Where it lies.
        method: PEFT's name of the method, such as LORA.
        mark: Changes when its files do.
        config: Its adapter_config.json.
    """

    name: str
    folder: Path
    method: str
    mark: str
    config: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def read(cls, name: str, folder: Path) -> Adapter:
        """Read an adapter's folder, which has been checked before; OSError when it is gone."""
        config = read_json(folder / "adapter_config.json")
        stat = (folder / WEIGHTS).stat()
        values = config if isinstance(config, dict) else {}
        return cls(name, folder, str(values.get("peft_type") or ""),
                   f"{folder}:{stat.st_size}:{stat.st_mtime_ns}", values)

    @property
    def excludes(self) -> str:
        """The method that one base can carry no other beside; '' for virtual tokens."""
        return "" if self.method in PROMPT_KINDS else self.method

    @property
    def rank(self) -> int:
        """The largest rank of any of its matrices; 0 where the method has none."""
        patterns = self.config.get("rank_pattern")
        ranks = [self.config.get("r"), *(patterns.values() if isinstance(patterns, dict) else ())]
        return max((rank for rank in ranks if isinstance(rank, int)), default=0)

    def fits(self, method: str, max_rank: int | None) -> bool:
        """Tell whether it can lie over a base.

        Args:
            method: Of the adapters that lie there, '' when there are none.
            max_rank: The largest rank that there is room for, None when any is.
        """
        return (not method or self.excludes in ("", method)) \
            and (max_rank is None or self.rank <= max_rank)


@dataclass(frozen=True)
class Target:
    """A name that can be asked for, and what has to be loaded for it.

    ``template`` is the chat template that it was trained with.
    """

    name: str
    kind: Kind
    label: str
    model: Model
    adapter: Adapter | None = None
    template: str = "auto"

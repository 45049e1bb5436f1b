"""One adapter merged into one model folder: streamed, or with the model as a whole."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from trainer.contract.files import read_json, write_json
from trainer.export.errors import Cancel, Progress, require_wanted
from trainer.export.merge_files import NUMBERS, Reader, ShardWriter, convert
from trainer.export.merge_layers import Merger, NotByLayers, lay


@dataclass
class Pass:
    """What is wanted of a merge, and what was found out in it.

    Attributes:
        out: The folder to write into.
        shard_bytes: Largest size of a weight file.
        dtypes: The number format of a weight.
        dtype_name: What config.json is to say; 'stored' for what the base's says.
        files: The weight files.
        adapted: How many modules were changed.
        reason: Why the model had to be loaded as a whole.
        parted: Whether a tied head has weights of its own now.
    """

    out: Path
    shard_bytes: int
    dtypes: Callable[[str], torch.dtype]
    dtype_name: str
    progress: Progress | None
    cancel: Cancel | None
    files: list[str] = field(default_factory=list)
    adapted: int = 0
    reason: str = ""
    parted: bool = False


def merge_into(step: Pass, folder: Path, adapter: Path | None) -> None:
    """Write a folder's weights with an adapter merged in, and its config.json.

    Raises:
        ExportError: A weight does not fit the format, or it was cancelled.
        ModelError: The folder or the adapter is not whole.
    """
    try:
        _stream(step, folder, adapter)
    except NotByLayers as error:
        assert adapter is not None
        for path in step.out.iterdir():
            if path.is_file():
                path.unlink()
        step.reason, step.parted, step.adapted = str(error), False, 0
        _merge_whole(step, folder, adapter)
    _write_config(step, folder)


def _stream(step: Pass, folder: Path, adapter: Path | None) -> None:
    """Write a folder's weights with an adapter merged in, tensor by tensor."""
    reader = Reader(folder)
    merger = Merger(lay(folder, adapter), reader) if adapter else None
    total = sum(math.prod(shape) * step.dtypes(name).itemsize
                for name, (shape, _) in reader.facts.items())
    writer = ShardWriter(step.out, [*reader.facts, "lm_head.weight", "parted"], step.shard_bytes)

    def put(name: str, tensor: torch.Tensor) -> None:
        require_wanted(step.cancel)
        writer.add(name, convert(name, tensor, step.dtypes(name)))
        if step.progress:
            step.progress(writer.bytes, max(total, writer.bytes), name)

    merged: set[int] = set()
    try:
        for name in reader.facts:
            number = merger.group_of.get(name) if merger else None
            if merger is None or number is None:
                whole = merger.given.get(name) if merger else None
                put(name, reader.get(name) if whole is None else whole)
            elif number not in merged:
                merged.add(number)
                for inner, tensor in merger.merge(number):
                    put(inner, tensor)
        step.files = writer.finish()
    finally:
        writer.drop()
        reader.close()
    if merger:
        step.adapted, step.parted = merger.adapted, merger.is_parted


def _merge_whole(step: Pass, folder: Path, adapter: Path) -> None:
    """Write a folder's weights with an adapter merged in, from a model in memory."""
    from transformers import AutoModelForCausalLM

    from trainer.adapters import merge_adapters

    require_wanted(step.cancel)
    model: Any = AutoModelForCausalLM.from_pretrained(
        str(folder), trust_remote_code=False, use_safetensors=True, local_files_only=True,
        dtype=torch.float32)
    was_tied = bool(model.config.get_text_config().tie_word_embeddings)
    model = merge_adapters(model, (adapter,))
    require_wanted(step.cancel)
    kinds = Counter(step.dtypes(name)
                    for name, (_, kind) in Reader(folder).facts.items() if kind in NUMBERS)
    for name, weight in model.named_parameters():
        weight.data = convert(name, weight.data, kinds.most_common(1)[0][0])
    model.save_pretrained(step.out, max_shard_size=step.shard_bytes)
    step.parted = was_tied and not model.config.get_text_config().tie_word_embeddings
    step.files = sorted(path.name for path in step.out.glob("*.safetensors"))


def _write_config(step: Pass, folder: Path) -> None:
    """Write the base's config.json, true of the new weights."""
    config = read_json(folder / "config.json")
    config.pop("quantization_config", None)
    inner = config.get("text_config")
    for part in (config, *([inner] if isinstance(inner, dict) else [])):
        if step.parted:
            part["tie_word_embeddings"] = False
        for key in ("dtype", "torch_dtype"):
            if key in part and step.dtype_name != "stored":
                part[key] = step.dtype_name
    write_json(step.out / "config.json", config)

"""A finished run as one whole model folder: its adapters merged into the base they stand on.

Weights are read, merged and written one module after the other, so that memory stays near the
largest of them. What PEFT cannot merge so is merged in a model loaded as a whole, and the report
says why. The folder is 'NAME.partial' until it is whole.
"""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, Unpack

import torch

from trainer.contract.files import read_json, write_json
from trainer.contract.models import TOKENIZER_FILES, read_folder
from trainer.contract.rundir import RunDir
from trainer.export.errors import Cancel, ExportError, Progress
from trainer.export.merge_files import NUMBERS, Reader, header_room
from trainer.export.merge_pass import Pass, merge_into
from trainer.export.merge_source import Trained, find_trained, require_all_mergeable
from trainer.export.report import require_absent, require_space, whole_folder
from trainer.weights import write_template

DType = Literal["stored", "float32", "bfloat16", "float16"]
SHARD_BYTES = 5_000_000_000
_DTYPES: dict[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16,
                                   "float16": torch.float16}
# config.json, generation_config.json and the index beside weights and tokenizer.
_SPARE_BYTES = 1 << 20


@dataclass(frozen=True)
class MergeReport:
    """What was written.

    Attributes:
        path: The folder.
        bytes: Of the weights.
        tensors: How many there are.
        files: The weight files.
        dtype: As asked for.
        adapters: How many adapters were merged; 0 for a run that trained every weight.
        adapted: How many modules they changed.
        streamed: Whether memory stayed near one module; else the model was loaded as a whole.
        reason: Why it was not streamed.
        parted: Whether a head that was tied to the embeddings now has weights of its own.
    """

    path: Path
    bytes: int
    tensors: int
    files: list[str]
    dtype: str
    adapters: int
    adapted: int
    streamed: bool
    reason: str
    parted: bool


@dataclass(frozen=True)
class _Wish:
    """How a model is to be written."""

    dtype: DType
    shard_bytes: int
    progress: Progress | None
    cancel: Cancel | None


class MergeOptions(TypedDict, total=False):
    """How a model is to be written.

    Attributes:
        dtype: Number format of the weights, 'stored' for each as the base has it. Merging is
            computed in float32.
        shard_bytes: Largest size of a weight file.
        progress: Told after each tensor.
        cancelled: Asked before each tensor.
    """

    dtype: DType
    shard_bytes: int
    progress: Progress | None
    cancelled: Cancel | None


def merge_run(run: RunDir, target: Path, checkpoint: Path | None = None,
              **options: Unpack[MergeOptions]) -> MergeReport:
    """Write what a run has learned as a whole model.

    Args:
        run: A completed run; runs that its config names are its neighbours.
        target: The folder to end up in; it must not exist.
        checkpoint: The folder of one of its checkpoints, in place of the finished result.
        **options: See ``MergeOptions``.

    Raises:
        ExportError: The target exists ('target_exists'), the stored base is quantized
            ('weights_quantized'), the run gives scores in place of words ('head_scores'), the
            disk has too little room ('disk_full'), a weight does not fit the format
            ('weight_range'), or it was cancelled ('cancelled').
        ModelError: The run has no finished model, its adapter has virtual tokens only, or a
            folder is not whole.
        Failure: The base is not the one that the run was trained on ('base_changed').
        OSError: It cannot be written. Nothing is left behind after any of these.
    """
    require_absent(target)
    source = find_trained(run, checkpoint)
    require_all_mergeable(source)
    facts = _check(source)
    wish = _Wish(options.get("dtype", "stored"), options.get("shard_bytes", SHARD_BYTES),
                 options.get("progress"), options.get("cancelled"))
    require_space(target.parent, _needed(source, facts, wish.dtype))
    with whole_folder(target) as partial:
        done = _passes(source, facts, partial, wish)
        _finish(source, partial, wish.dtype)
    headers = Reader(target).facts
    return MergeReport(target, sum((target / name).stat().st_size for name in done[-1].files),
                       len(headers), done[-1].files, wish.dtype, len(source.adapters),
                       sum(step.adapted for step in done),
                       not any(step.reason for step in done),
                       "; ".join(step.reason for step in done if step.reason),
                       any(step.parted for step in done))


Facts = Mapping[str, tuple[tuple[int, ...], str]]


def _check(source: Trained) -> Facts:
    """Refuse what cannot be merged; return the stored tensors."""
    from trainer.loops.heads import has_head

    found = read_folder(source.folder)
    odd = sorted({kind for _, kind in found.tensors.values() if kind.startswith("F8")})
    if found.quantization or odd:
        raise ExportError("weights_quantized", f"'{source.folder.name}' stores its weights "
                          f"quantized ({found.quantization or odd[0]}). Merging into them would "
                          "round them once more.",
                          "Train on the 16-bit weights of this model (they can be quantized for "
                          "training), or use base and adapter as they are.")
    if any(has_head(folder) for folder in source.adapters):
        raise ExportError("head_scores", "This adapter gives scores in place of words; it is not "
                          "merged into a model that writes.", "Use base and adapter as they are, "
                          "or train every weight.")
    return found.tensors


def _needed(source: Trained, facts: Facts, dtype: DType) -> int:
    """Return how many bytes are written at most, of all passes together."""
    def weights(chosen: DType) -> int:
        return sum(math.prod(shape) * _dtype(chosen, kind).itemsize
                   for shape, kind in facts.values()) + 2 * header_room(facts)

    total = weights(dtype) + _head(source, facts, dtype)
    if len(source.adapters) > 1:
        total += 2 * (weights("float32") + _head(source, facts, "float32"))
    text = sum((source.text / name).stat().st_size for name in TOKENIZER_FILES
               if (source.text / name).is_file())
    return total + text + _SPARE_BYTES


def _head(source: Trained, facts: Facts, dtype: DType) -> int:
    """Return the bytes that a head takes which is tied in the base, should it be parted."""
    if not source.adapters or "lm_head.weight" in facts:
        return 0
    sizes = [math.prod(shape) * _dtype(dtype, kind).itemsize for name, (shape, kind)
             in facts.items() if "embed" in name or "wte" in name]
    return max(sizes, default=0)


def _dtype(chosen: DType, stored: str) -> torch.dtype:
    return _DTYPES[chosen] if chosen != "stored" else NUMBERS.get(stored, torch.float32)


def _passes(source: Trained, facts: Facts, partial: Path, wish: _Wish) -> list[Pass]:
    """Merge one adapter after the other; all but the last into folders that do not stay."""
    done: list[Pass] = []
    folder = source.folder
    last = len(source.adapters) - 1
    usual = Counter(kind for _, kind in facts.values() if kind in NUMBERS).most_common(1)[0][0]
    for number, adapter in enumerate(source.adapters or (None,)):
        is_last = number >= last
        out = partial if is_last else partial / f"pass-{number}"
        out.mkdir(parents=True, exist_ok=True)

        def chosen(name: str, *, final: bool = is_last) -> torch.dtype:
            kept = facts[name][1] if name in facts else usual
            return _dtype(wish.dtype, kept) if final else torch.float32

        step = Pass(out, wish.shard_bytes, chosen, wish.dtype if is_last else "float32",
                    wish.progress, wish.cancel)
        merge_into(step, folder, adapter)
        if number:
            shutil.rmtree(folder)
        folder = out
        done.append(step)
    return done


def _finish(source: Trained, partial: Path, dtype: DType) -> None:
    """Add tokenizer, chat template and ends, and restore what passes between have changed."""
    for name in TOKENIZER_FILES:
        found = next((folder / name for folder in (source.text, source.folder)
                      if (folder / name).is_file()), None)
        if found:
            shutil.copyfile(found, partial / name)
    write_template(partial, source.template)
    if source.template.eos_ids:
        path = partial / "generation_config.json"
        ends = list(source.template.eos_ids)
        write_json(path, {**(read_json(path) or {}),
                          "eos_token_id": ends if len(ends) > 1 else ends[0]})
    if dtype == "stored":
        before, config = (read_json(folder / "config.json")
                          for folder in (source.folder, partial))
        config |= {key: before[key] for key in ("dtype", "torch_dtype") if key in before}
        write_json(partial / "config.json", config)

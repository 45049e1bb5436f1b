"""Several whole models of one architecture as one, tensor by tensor.

The next tensor is read once the last one is written, and computed in slices: memory stays near one
tensor of each model as it is stored, and one of the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from trainer.combine import formulas
from trainer.combine.alike import read_models
from trainer.combine.errors import CombineError, require_wanted
from trainer.combine.modules import seed_of
from trainer.combine.weighted import Weighted, require_weights
from trainer.combine.writing import template_notes, whole
from trainer.contract.files import read_json, write_json
from trainer.contract.kinds.merge import OF_MODELS, THINNING, ModelMethod
from trainer.contract.models import ModelFacts
from trainer.export.errors import Cancel, Progress
from trainer.export.merge import SHARD_BYTES, DType
from trainer.export.merge_files import NUMBERS, Reader, ShardWriter, convert, header_room

_DTYPES: dict[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16,
                                   "float16": torch.float16}
_BASE = "the base"


class WeightedModel(Weighted):
    """A whole model; its weight is a share in linear and slerp, λ in the others."""


@dataclass(frozen=True)
class ModelWish:
    """How models are to be combined.

    Attributes:
        method: See docs/merging.md.
        density: Which share of the changes ties and dare_ties keep, above 0 and at most 1.
        dtype: Number format of the result; 'stored' for each weight as the first model has it.
            Everything is computed in float32.
        shard_bytes: Largest size of a weight file.
        seed: Which changes dare_ties drops.
    """

    method: ModelMethod = "linear"
    density: float | None = None
    dtype: DType = "stored"
    shard_bytes: int = SHARD_BYTES
    seed: int = 0

    @property
    def needs_base(self) -> bool:
        """Whether changes of a base are combined."""
        return OF_MODELS[self.method]

    @property
    def needs_density(self) -> bool:
        """Whether changes are dropped."""
        return self.method.startswith(THINNING)


@dataclass(frozen=True)
class ModelsReport:
    """What was written.

    Attributes:
        path: The folder.
        method: As asked for.
        sources: What each model is called.
        weights: As used: those of linear and slerp add up to 1.
        bytes: Of the weights.
        tensors: How many there are.
        files: The weight files.
        template_from: Whose tokenizer files, chat template and config.json were taken.
        notes: What one should know.
    """

    path: Path
    method: str
    sources: tuple[str, ...]
    weights: tuple[float, ...]
    bytes: int
    tensors: int
    files: tuple[str, ...]
    template_from: str
    notes: tuple[str, ...]


def combine_models(given: Sequence[WeightedModel], target: Path, wish: ModelWish, *,
                   base: Path | None = None, progress: Progress | None = None,
                   cancelled: Cancel | None = None) -> ModelsReport:
    """Write several models of one architecture as one.

    Args:
        given: The models with their weights; tokenizer, chat template and config are the first's.
        target: The folder to end up in; it must not exist.
        wish: How.
        base: What all were trained from; for task_arithmetic, ties and dare_ties.
        progress: Told after each tensor, in bytes.
        cancelled: Asked before each tensor.

    Raises:
        CombineError: They do not fit each other, or a setting is missing or says nothing.
        ExportError: The disk has too little room ('disk_full'), or a weight is no finite number in
            the format ('weight_range').
        ModelError: A folder is no whole model, or wants to run code.
        OSError: It cannot be written. Nothing is left behind after any of these.
    """
    _check(given, wish, base)
    labels = [one.label for one in given]
    if len({*labels, _BASE}) <= len(labels):
        labels = [f"{label} ({number})" for number, label in enumerate(labels, 1)]
    folders = dict(zip(labels, (one.folder for one in given), strict=True))
    models = read_models(folders | ({_BASE: base} if base else {}))
    weights = _weights(given, wish)
    facts = models[labels[0]]
    first = given[0].folder
    with whole(target, _size(facts, wish), first) as partial:
        files = _write(_Work(folders | ({_BASE: base} if base else {}), weights, wish), partial,
                       progress, cancelled)
        _write_config(first, partial, wish)
    return ModelsReport(
        target, wish.method, tuple(labels), tuple(weights),
        sum((target / name).stat().st_size for name in files), len(facts.tensors), tuple(files),
        labels[0], tuple(template_notes(folders)))


def _check(given: Sequence[WeightedModel], wish: ModelWish, base: Path | None) -> None:
    """Refuse settings that are missing, or that the method does not look at."""
    if len(given) < 2 or (wish.method == "slerp" and len(given) > 2):
        raise CombineError("models_count", f"{len(given)} models are named; {wish.method} takes "
                           f"{'two' if wish.method == 'slerp' else 'two or more'}.",
                           "Name as many as the method takes; linear takes any number.")
    require_weights(given)
    if wish.needs_base != (base is not None):
        raise CombineError("base", f"{wish.method} combines "
                           + ("changes of a base, and none is named." if base is None else
                              "models as they are; a base says nothing."),
                           "Name the model that all were trained from." if base is None else
                           "Leave the base out, or choose task_arithmetic, ties or dare_ties.")
    if wish.needs_density != (wish.density is not None) or (
            wish.density is not None and not 0 < wish.density <= 1):
        raise CombineError("density", f"The density is {wish.density}, with {wish.method}.",
                           "ties and dare_ties need one above 0 and at most 1, such as 0.2; the "
                           "others keep every number and take none.")
    paths = [one.folder.resolve() for one in given] + ([base.resolve()] if base else [])
    if len(set(paths)) < len(paths):
        raise CombineError("source_twice", "The same model is named twice.",
                           "Name each once; the base is no source.")
    if not wish.needs_base and any(one.weight < 0 for one in given):
        raise CombineError("weight_negative", f"{wish.method} takes shares of whole models, which "
                           "cannot be below 0.", "Use task_arithmetic to take something away.")


def _weights(given: Sequence[WeightedModel], wish: ModelWish) -> list[float]:
    """Return the weights as they are used: shares of whole models add up to 1."""
    total = 1.0 if wish.needs_base else sum(one.weight for one in given)
    return [one.weight / total for one in given]


def _dtype(wish: ModelWish, stored: str) -> torch.dtype:
    return _DTYPES[wish.dtype] if wish.dtype != "stored" else NUMBERS.get(stored, torch.float32)


def _size(facts: ModelFacts, wish: ModelWish) -> int:
    return sum(math.prod(shape) * _dtype(wish, kind).itemsize
               for shape, kind in facts.tensors.values()) + 2 * header_room(facts.tensors)


@dataclass(frozen=True)
class _Work:
    """The folders by what they are called (the base last), the weights in use, and the wish."""

    folders: dict[str, Path]
    weights: list[float]
    wish: ModelWish


def _write(work: _Work, partial: Path, progress: Progress | None,
           cancelled: Cancel | None) -> list[str]:
    """Combine and write every tensor; return the names of the files."""
    readers = [Reader(folder) for folder in work.folders.values()]
    facts = readers[0].facts
    total = sum(math.prod(shape) * _dtype(work.wish, kind).itemsize
                for shape, kind in facts.values())
    writer = ShardWriter(partial, facts, work.wish.shard_bytes)
    with ExitStack() as stack:
        for reader in readers:
            stack.callback(reader.close)
        stack.callback(writer.drop)
        for name, (_, kind) in facts.items():
            require_wanted(cancelled)
            writer.add(name, _combine(work, readers, name, _dtype(work.wish, kind)))
            if progress:
                progress(writer.bytes, max(total, writer.bytes), name)
        return writer.finish()


def _combine(work: _Work, readers: list[Reader], name: str, dtype: torch.dtype) -> torch.Tensor:
    stored = [reader.get(name) for reader in readers]
    if not stored[0].is_floating_point():
        if any(not torch.equal(stored[0], other) for other in stored[1:]):
            raise CombineError("numbers_differ", f"'{name}' has whole numbers that differ between "
                               "the models; there is no mean of them.",
                               "Combine models that one and the same base was made into.")
        return stored[0]
    blend = _blend(work, stored, name)
    result = torch.empty(stored[0].shape, dtype=dtype)
    for part, pieces in formulas.slices(stored):
        for label, piece in zip(work.folders, pieces, strict=True):
            if not bool(torch.isfinite(piece).all()):
                raise CombineError("not_finite", f"'{name}' of '{label}' has weights that are no "
                                   "finite numbers.",
                                   "Training went wrong there: use an earlier result.")
        result.view(-1)[part] = convert(name, blend(pieces, part), dtype)
    return result


def _blend(work: _Work, stored: list[torch.Tensor], name: str) -> formulas.Blend:
    """Return what is to be done with each slice of a tensor."""
    weights, wish = work.weights, work.wish
    if wish.method == "linear":
        return formulas.linear(weights)
    if wish.method == "slerp":
        return formulas.slerp(stored[0], stored[1], weights[1])
    if wish.method == "task_arithmetic":
        return formulas.task_arithmetic(weights)
    assert wish.density is not None
    if wish.method == "ties":
        return formulas.ties(stored, weights, wish.density)
    return formulas.dare_ties(weights, wish.density, [
        seed_of(wish.seed, name, str(number)) for number in range(len(weights))])


def _write_config(first: Path, partial: Path, wish: ModelWish) -> None:
    """Write the first model's config.json, true of the number format."""
    config = read_json(first / "config.json")
    inner = config.get("text_config")
    if wish.dtype != "stored":
        for part in (config, *([inner] if isinstance(inner, dict) else [])):
            part |= {key: wish.dtype for key in ("dtype", "torch_dtype") if key in part}
    write_json(partial / "config.json", config)

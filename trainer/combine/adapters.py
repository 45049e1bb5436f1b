"""Several LoRA adapters of one base as one ordinary LoRA adapter.

The base is never loaded: what an adapter changes stands in its own matrices. Modules are read,
combined and let go one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.combine.errors import CombineError, require_wanted
from trainer.combine.lowrank import Change, Measured
from trainer.combine.modules import AdapterWish, combine_module
from trainer.combine.plan import Plan, make_plan
from trainer.combine.sources import WEIGHTS, Source, WeightedAdapter, read_sources
from trainer.combine.writing import require_same_tokenizer, template_notes, whole
from trainer.contract.files import write_json
from trainer.export.errors import Cancel, Progress
from trainer.export.merge_files import convert

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class CombineReport:
    """What was written.

    Attributes:
        path: The folder.
        method: As asked for.
        sources: What each source is called.
        weights: The weight of each.
        rank: Of the result; its scale is 1.
        modules: How many modules it changes.
        bytes: Of its weights.
        norms: How large each source's change of the base is (Frobenius, over all modules).
        norm: How large the result's is.
        distance: How far the result is from the weighted sum of the changes, as a share of that
            sum's size: 0 when the method keeps the sum exactly; None when the sum is 0.
        similarities: For each pair of sources (by number) the cosine between their changes; near 0
            they hardly touch, near -1 they undo each other.
        template_from: Whose tokenizer files and chat template were taken.
        notes: What one should know.
    """

    path: Path
    method: str
    sources: tuple[str, ...]
    weights: tuple[float, ...]
    rank: int
    modules: int
    bytes: int
    norms: tuple[float, ...]
    norm: float
    distance: float | None
    similarities: dict[tuple[int, int], float]
    template_from: str
    notes: tuple[str, ...]


def combine_adapters(given: Sequence[WeightedAdapter], target: Path, wish: AdapterWish, *,
                     progress: Progress | None = None,
                     cancelled: Cancel | None = None) -> CombineReport:
    """Write several adapters of one base as one adapter, by a method of PEFT.

    linear, cat, svd: a weighted sum; ties: arXiv:2306.01708; dare: arXiv:2311.03099. linear, ties,
    dare and magnitude_prune combine A with A and B with B, so that their product also has what one
    adapter's A and another's B say together; the methods with svd combine whole changes.

    Args:
        given: The adapters with their weights; tokenizer and chat template are those of the first.
        target: The folder to end up in; it must not exist.
        wish: How.
        progress: Told after each module.
        cancelled: Asked before each module.

    Raises:
        CombineError: It has no right result; the code and the text say why.
        ExportError: The disk has too little room ('disk_full').
        ModelError: A folder is no whole adapter, or wants to run code.
        OSError: It cannot be written. Nothing is left behind after any of these.
    """
    sources = read_sources(given)
    planned = make_plan(sources, wish)
    folders = _folders(sources)
    require_same_tokenizer(folders)
    measured = Measured(len(sources))
    with whole(target, planned.bytes, sources[0].given.folder) as partial:
        tensors: dict[str, torch.Tensor] = {}
        for number, (path, names) in enumerate(planned.names.items(), 1):
            require_wanted(cancelled)
            changes, found = _combine(sources, path, wish, planned.kind)
            measured.add(changes, found)
            full = found.padded(planned.rank)
            tensors |= {names["A"]: full.a.to(planned.kind), names["B"]: full.b.to(planned.kind)}
            if progress:
                progress(number, len(planned.names), path)
        _require_something(measured)
        tensors |= _frozen(sources)
        _write(partial, tensors, _config(sources, planned))
    return _report(target, sources, wish, planned, measured, template_notes(folders))


def _folders(sources: list[Source]) -> dict[str, Path]:
    """Return the folders by what they are called; the same name twice gets numbers."""
    labels = [one.label for one in sources]
    return {label if labels.count(label) == 1 else f"{label} ({number})": one.given.folder
            for number, (label, one) in enumerate(zip(labels, sources, strict=True), 1)}


def _combine(sources: list[Source], path: str, wish: AdapterWish, kind: torch.dtype
             ) -> tuple[list[Change], Change]:
    """Return what each source changes in a module, and the result as it will be stored.

    A source that leaves the module alone takes part with zeros, which have no vote in ties and add
    nothing elsewhere; 'cat' gets no room for it.
    """
    found = [Change(*one.read(path), one.scale(path)) if path in one.factors else None
             for one in sources]
    some = next(one for one in found if one)
    nothing = Change(some.a * 0, some.b * 0)
    every = [one or nothing for one in found]
    weights = [one.given.weight for one in sources]
    taking = [k for k, one in enumerate(found) if one or wish.method != "cat"]
    made = combine_module([every[k] for k in taking], [weights[k] for k in taking], wish, path)
    return every, Change(convert(path, made.a, kind).float(), convert(path, made.b, kind).float())


def _frozen(sources: list[Source]) -> dict[str, torch.Tensor]:
    """Return the base's weights that are stored beside, and that must be the same in all.

    Raises:
        CombineError: They are not ('bases_differ').
    """
    import torch

    found: dict[str, torch.Tensor] = {}
    for source in sources:
        for name in source.frozen:
            tensor = source.stored(name)
            if not torch.equal(found.setdefault(name, tensor), tensor):
                raise CombineError("bases_differ", f"'{source.label}' stores other weights of the "
                                   f"base in '{name}' than those before it.",
                                   "Train all on one base, with one vocabulary.")
    return found


def _require_something(measured: Measured) -> None:
    if measured.result == 0:
        raise CombineError("nothing_left", "The combination changes nothing: the sources undo "
                           "each other, or every number was dropped.",
                           "Choose other weights or a larger density.")


def _config(sources: list[Source], planned: Plan) -> dict[str, Any]:
    """Return adapter_config.json: the first one's, true of the new matrices."""
    config = dict(sources[0].config)
    lists = [one.config.get("target_modules") for one in sources]
    limited = any(one.config.get(key) for one in sources
                  for key in ("layers_to_transform", "layers_pattern", "exclude_modules"))
    if limited or not all(isinstance(names, list) for names in lists):
        targets = sorted(planned.names)
    else:
        targets = sorted({name for names in lists for name in names or ()})
    return config | {
        "r": planned.rank, "lora_alpha": planned.rank, "use_rslora": False, "rank_pattern": {},
        "alpha_pattern": {}, "init_lora_weights": True, "inference_mode": True,
        "target_modules": targets, "layers_to_transform": None, "layers_pattern": None,
        "exclude_modules": None, "loftq_config": {}, "eva_config": None}


def _write(folder: Path, tensors: dict[str, torch.Tensor], config: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in tensors.items()},
              str(folder / WEIGHTS), metadata={"format": "pt"})
    write_json(folder / "adapter_config.json", config)


def _report(target: Path, sources: list[Source], wish: AdapterWish, planned: Plan,
            measured: Measured, notes: list[str]) -> CombineReport:
    weights = tuple(one.given.weight for one in sources)
    count = len(sources)
    unknown = [one.label for one in sources if not one.base]
    if unknown:
        notes = [*notes, f"The base of '{unknown[0]}' was compared by its name only: it has no "
                 "manifest with hashes."]
    return CombineReport(
        target, wish.method, tuple(one.label for one in sources), weights, planned.rank,
        len(planned.names), (target / WEIGHTS).stat().st_size,
        tuple(measured.norm(number) for number in range(count)), measured.result,
        measured.distance(weights),
        {(i, j): measured.cosine(i, j) for i in range(count) for j in range(i + 1, count)},
        sources[0].label, tuple(notes))

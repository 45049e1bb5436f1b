"""The adapters that are to be combined: read, and refused where PEFT would lose or bend a part.

``add_weighted_adapter`` of PEFT copies the settings of the first adapter and sums matrices A and B.
Magnitudes of DoRA, trained biases, tokens and whole modules are left behind without a word, so
that every tensor and every setting must be one that is understood here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainer.combine.errors import CombineError
from trainer.combine.weighted import Weighted, require_weights
from trainer.contract.commits import MARK
from trainer.contract.files import read_json
from trainer.contract.models import read_adapter, read_safetensors_header

if TYPE_CHECKING:
    import torch

WEIGHTS = "adapter_model.safetensors"
_FACTOR = re.compile(r"base_model\.model\.(.+)\.lora_(?:(A|B)\.weight|embedding_(A|B))")
# PEFT stores the frozen weights of adapted embeddings and heads beside A and B.
_FROZEN = re.compile(r"base_model\.model\..+\.base_layer\.weight")
# These begin A and B without taking anything out of the base's weights.
_PLAIN_BEGINNINGS = (True, False, "gaussian", "orthogonal", "eva")
# What says how it was trained or where, and what is worked into the matrices and their scale.
_UNDERSTOOD = {
    "task_type", "peft_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision",
    "inference_mode", "r", "target_modules", "exclude_modules", "lora_alpha", "lora_dropout",
    "fan_in_fan_out", "use_rslora", "init_lora_weights", "layers_to_transform", "layers_pattern",
    "rank_pattern", "alpha_pattern", "megatron_config", "megatron_core", "loftq_config",
    "eva_config", "qalora_group_size", "runtime_config", "corda_config", "lora_ga_config"}
# What PEFT's sum would leave out or get wrong.
_LOST = {
    "use_dora": "magnitudes (DoRA)", "bias": "trained biases",
    "lora_bias": "biases of its matrices", "modules_to_save": "modules that were trained whole",
    "trainable_token_indices": "trained tokens",
    "target_parameters": "expert parameters, which PEFT cannot combine",
    "layer_replication": "layers that it repeats"}
_LOST_TENSORS = {
    "lora_magnitude_vector": "use_dora", "lora_A.bias": "lora_bias", "lora_B.bias": "lora_bias",
    "trainable_tokens_delta": "trainable_token_indices", ".bias": "bias"}


class WeightedAdapter(Weighted):
    """A finished adapter, such as a run's ``adapter``; the manifest beside it tells its base."""


@dataclass(frozen=True)
class Source:
    """An adapter that was read and can be combined.

    Attributes:
        given: As it was asked for.
        config: adapter_config.json.
        factors: By module: the names of the tensors A and B.
        facts: Shape and number format of each tensor.
        frozen: Names of the base's own weights that are stored beside.
        base: Hashes of the base's files as its run's manifest has them; empty without one.
    """

    given: WeightedAdapter
    config: dict[str, Any] = field(repr=False)
    factors: dict[str, dict[str, str]] = field(repr=False)
    facts: dict[str, tuple[tuple[int, ...], str]] = field(repr=False)
    frozen: tuple[str, ...] = field(repr=False)
    base: dict[str, str] = field(repr=False)

    @property
    def label(self) -> str:
        """What it is called."""
        return self.given.label

    def rank(self, module: str) -> int:
        """Return the rank of a module's matrices."""
        return self.facts[self.factors[module]["A"]][0][0]

    def scale(self, module: str) -> float:
        """Return by what B A is multiplied: alpha / r, of rsLoRA alpha / sqrt(r)."""
        from peft.utils.other import get_pattern_key

        patterns = self.config.get("alpha_pattern") or {}
        alpha = patterns.get(get_pattern_key(list(patterns), module), self.config["lora_alpha"])
        rank = self.rank(module)
        return float(alpha / (math.sqrt(rank) if self.config.get("use_rslora") else rank))

    def read(self, module: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return A (r, in) and B (out, r) of a module in float32.

        Raises:
            CombineError: One has a number that is none ('not_finite').
        """
        import torch

        found = []
        for part in "AB":
            name = self.factors[module][part]
            tensor = self.stored(name).to(torch.float32)
            if not bool(torch.isfinite(tensor).all()):
                raise CombineError("not_finite", f"'{name}' of '{self.label}' has weights that are "
                                   "no finite numbers.",
                                   "Training went wrong there: use an earlier result.")
            found.append(tensor)
        return found[0], found[1]

    def stored(self, name: str) -> torch.Tensor:
        """Return a tensor as it is stored."""
        from safetensors import safe_open

        with safe_open(str(self.given.folder / WEIGHTS), framework="pt") as file:
            tensor: torch.Tensor = file.get_tensor(name)
            return tensor


def read_sources(given: Sequence[WeightedAdapter]) -> list[Source]:
    """Read adapters and check that they can be combined at all, by whatever method.

    Raises:
        CombineError: Says which cannot, why, and what to do.
        ModelError: One is no whole adapter.
    """
    _check_given(given)
    sources = [_read(one) for one in given]
    first = sources[0]
    for other in sources[1:]:
        _require_same_base(first, other)
        for key in ("task_type", "fan_in_fan_out"):
            if first.config.get(key) != other.config.get(key):
                raise CombineError("settings_differ", f"'{first.label}' has {key} "
                                   f"{first.config.get(key)}, '{other.label}' has "
                                   f"{other.config.get(key)}.", "Combine adapters of one kind.")
    _require_same_shapes(sources)
    return sources


def _check_given(given: Sequence[WeightedAdapter]) -> None:
    if len(given) < 2:
        raise CombineError("one_source", f"{len(given)} adapter is named; combining needs two."
                           if given else "No adapter is named; combining needs two.",
                           "Name another one, or use the one as it is.")
    twice = [one.label for number, one in enumerate(given)
             if one.folder.resolve() in {other.folder.resolve() for other in given[:number]}]
    if twice:
        raise CombineError("source_twice", f"'{twice[0]}' is named twice.",
                           "Name it once, with the sum of its weights.")
    require_weights(given)


def _read(given: WeightedAdapter) -> Source:
    if (given.folder / MARK).is_file():
        raise CombineError("not_finished", f"'{given.label}' is a checkpoint.",
                           "Combine finished adapters: let the run end, or stop it early by its "
                           "number of steps.")
    found = read_adapter(given.folder)
    if found.kind != "LORA":
        raise CombineError("not_lora", f"'{given.label}' is of the method {found.kind}; PEFT "
                           "combines LoRA.", "Merge each into the base on its own, and combine "
                           "the models instead.")
    facts = read_safetensors_header(given.folder / WEIGHTS)
    _check_settings(given, found.config)
    manifest = read_json(given.folder.parent / "manifest.json")
    base = manifest.get("base", {}).get("sha256") if isinstance(manifest, dict) else None
    frozen = tuple(name for name in facts if _FROZEN.fullmatch(name))
    factors = _factors(given, {name: fact for name, fact in facts.items() if name not in frozen})
    return Source(given, found.config, factors, facts, frozen, base or {})


def _check_settings(given: WeightedAdapter, config: dict[str, Any]) -> None:
    """Refuse settings that change what A and B mean, or that stand for other weights."""
    from peft import LoraConfig

    usual = vars(LoraConfig())
    for key, value in config.items():
        if key in _UNDERSTOOD or not value or value == usual.get(key):
            continue
        if key in _LOST:
            raise _lost(given, key)
        raise CombineError("setting_unknown", f"'{given.label}' has {key} = {value!r}, which PEFT "
                           "does not carry into a combination.", "Merge each into the base on its "
                           "own, and combine the models instead.")
    begun = config.get("init_lora_weights", True)
    if begun not in _PLAIN_BEGINNINGS:
        raise CombineError("base_mutated", f"'{given.label}' began with {begun!r}, which takes a "
                           "part out of the base's weights: each such adapter stands on a base of "
                           "its own.", "Save it as an ordinary LoRA first (PEFT: "
                           "path_initial_model_for_weight_conversion); runs of Finestra are.")


def _lost(given: WeightedAdapter, key: str) -> CombineError:
    return CombineError("part_lost", f"'{given.label}' has {_LOST[key]} ({key}). Combining sums "
                        "the matrices A and B only and would lose that without a word.",
                        "Merge each into the base on its own, and combine the models instead.")


def _factors(given: WeightedAdapter, facts: dict[str, tuple[tuple[int, ...], str]]
             ) -> dict[str, dict[str, str]]:
    """Return the names of A and B by module; refuse every other tensor."""
    found: dict[str, dict[str, str]] = {}
    for name, (shape, _) in facts.items():
        match = _FACTOR.fullmatch(name)
        if match is None or len(shape) != 2:
            key = next((key for end, key in _LOST_TENSORS.items() if end in name),
                       "modules_to_save")
            raise _lost(given, key) if match is None else CombineError(
                "shape_unknown", f"'{name}' of '{given.label}' is no matrix.",
                "Only adapters of linear layers and embeddings can be combined.")
        found.setdefault(match[1], {})[match[2] or match[3]] = name
    if not found or any(len(parts) != 2 for parts in found.values()):
        odd = next((module for module, parts in found.items() if len(parts) != 2), "every module")
        raise CombineError("factor_missing", f"'{given.label}' lacks a matrix of {odd}.",
                           "Copy the whole adapter again.")
    return found


def _require_same_base(first: Source, other: Source) -> None:
    """Compare hashes where both have them, else names.

    Raises:
        CombineError: The bases differ ('bases_differ').
    """
    if first.base and other.base:
        names = sorted(name for name in first.base.keys() | other.base.keys()
                       if first.base.get(name) != other.base.get(name))
        why = f"{', '.join(names)} differ" if names else ""
    else:
        before, after = (one.config.get("base_model_name_or_path") for one in (first, other))
        why = "" if before == after else f"'{before}' and '{after}'"
    if why:
        raise CombineError("bases_differ", f"'{first.label}' and '{other.label}' were trained on "
                           f"different bases: {why}.", "An adapter says what to change in its own "
                           "base. Train both on one base.")


def _require_same_shapes(sources: list[Source]) -> None:
    seen: dict[str, tuple[str, tuple[int, int]]] = {}
    for source in sources:
        for module, names in source.factors.items():
            (rank, width), (height, other) = (source.facts[names[part]][0] for part in "AB")
            label, size = seen.setdefault(module, (source.label, (height, width)))
            if size != (height, width) or rank != other:
                raise CombineError("shapes_differ", f"{module} is {size[0]} x {size[1]} for "
                                   f"'{label}' and {height} x {width} for '{source.label}'.",
                                   "They do not belong to one base.")

"""Whether models can be combined weight by weight: one architecture, one vocabulary, one form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.combine.errors import CombineError
from trainer.combine.writing import require_same_tokenizer
from trainer.contract.models import ModelFacts, read_folder

# What config.json says about files and use, not about what is computed.
_UNIMPORTANT = {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache",
                "bos_token_id", "eos_token_id", "pad_token_id", "_attn_implementation",
                "_attn_implementation_autoset"}
_TIED = "tie_word_embeddings"
Settings = dict[str, Any]


def read_models(folders: Mapping[str, Path]) -> dict[str, ModelFacts]:
    """Read model folders and check that each weight of one is a weight of all.

    Args:
        folders: By what they are called, the base last where there is one.

    Raises:
        CombineError: They differ; the text names the setting or the tensor.
        ModelError: A folder is no whole model, or wants to run code.
    """
    models = {label: read_folder(folder) for label, folder in folders.items()}
    for label, facts in models.items():
        odd = sorted({kind for _, kind in facts.tensors.values() if kind.startswith("F8")})
        if facts.quantization or odd:
            raise CombineError("weights_quantized", f"'{label}' stores its weights quantized "
                               f"({facts.quantization or odd[0]}); sums of them mean nothing.",
                               "Use the 16-bit weights of this model.")
    (first, before), *others = models.items()
    for label, facts in others:
        _require_same_kind(first, before, label, facts)
    settings = {label: _settings(folder, models[label]) for label, folder in folders.items()}
    for label, facts in others:
        _require_same_ends(first, settings[first], label, settings[label])
        _require_same_tensors(first, before, label, facts)
        _require_same_settings(first, settings[first], label, settings[label])
    require_same_tokenizer(dict(folders))
    return models


def _require_same_kind(first: str, before: ModelFacts, label: str, facts: ModelFacts) -> None:
    kinds = [(one.config.get("model_type"), one.config.get("architectures"))
             for one in (before, facts)]
    if kinds[0] != kinds[1]:
        raise CombineError("architectures_differ", f"'{first}' is {_kind(before)}, '{label}' is "
                           f"{_kind(facts)}.", "Weights are combined one by one: only models of "
                           "one architecture and size can be.")


def _require_same_ends(first: str, before: Settings, label: str, settings: Settings) -> None:
    ties = [key for key in before if key.split(".")[-1] == _TIED
            and before[key] != settings.get(key)]
    if ties:
        tied, apart = (first, label) if before[ties[0]] else (label, first)
        raise CombineError("ties_differ", f"lm_head.weight is the embedding itself in '{tied}' and "
                           f"has weights of its own in '{apart}'.",
                           "Merging a run parts them when only one of both was trained; train "
                           "such runs with the same target_modules.")


def _kind(facts: ModelFacts) -> str:
    named = facts.config.get("architectures")
    return str(named[0] if isinstance(named, list) and named else facts.config.get("model_type"))


def _require_same_tensors(first: str, before: ModelFacts, label: str, facts: ModelFacts) -> None:
    for name in [*before.tensors, *facts.tensors]:
        if name in before.tensors and name in facts.tensors:
            shapes = before.tensors[name][0], facts.tensors[name][0]
            if shapes[0] != shapes[1]:
                rows = "vocabularies" if shapes[0][0] != shapes[1][0] and (
                    shapes[0][0] == before.text_config.get("vocab_size")) else "shapes"
                raise CombineError("shapes_differ", f"'{name}' is {_size(shapes[0])} in '{first}' "
                                   f"and {_size(shapes[1])} in '{label}': the {rows} differ.",
                                   "Combine models of one size and one vocabulary.")
        else:
            has, lacks = (first, label) if name in before.tensors else (label, first)
            raise CombineError("tensors_differ", f"'{has}' stores '{name}', '{lacks}' does not.",
                               "Combine models that one and the same base was made into.")


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"


def _require_same_settings(first: str, before: Settings, label: str, settings: Settings) -> None:
    for key in [*before, *settings]:
        if before.get(key) != settings.get(key):
            raise CombineError("configs_differ", f"config.json of '{first}' has {key} = "
                               f"{before.get(key)!r}, that of '{label}' {settings.get(key)!r}: "
                               "the same weights mean something else in each.",
                               "Combine models that one and the same base was made into.")


def _settings(folder: Path, facts: ModelFacts) -> Settings:
    """Return what config.json says of what is computed, whichever version has written it."""
    from transformers import CONFIG_MAPPING, AutoConfig

    if facts.config.get("model_type") not in CONFIG_MAPPING:
        return _flat(facts.config)
    return _flat(AutoConfig.from_pretrained(str(folder), trust_remote_code=False,
                                            local_files_only=True).to_dict())


def _flat(config: Mapping[str, Any], prefix: str = "") -> Settings:
    found: Settings = {}
    for key, value in config.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        elif key not in _UNIMPORTANT:
            found[f"{prefix}{key}"] = value
    return found

"""What a model name means, and what its folder says, read without loading any library.

Model repositories come from strangers and stay data: anything that asks for code of its own
(``auto_map``, ``trust_remote_code``) is refused here, before a library sees the path (rule R3),
and only safetensors weights are accepted (rule R2).
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trainer.contract.files import read_json
from trainer.contract.places import starter
from trainer.contract.rundir import RunDir, is_safe_name

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
# What belongs to a tokenizer, as Transformers writes it, and how answers end.
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
                   "special_tokens_map.json", "generation_config.json", "vocab.json",
                   "merges.txt", "added_tokens.json")
SCANNED = ("config.json", "tokenizer_config.json", "processor_config.json",
           "preprocessor_config.json", "generation_config.json", "adapter_config.json")
_DTYPE_BYTES = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
                "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}


class ModelError(ValueError):
    """A model cannot be used; ``code`` names the kind, the text says why and what to do."""

    def __init__(self, code: str, message: str, advice: str = "") -> None:
        """Keep the code and the advice beside the message."""
        super().__init__(message)
        self.code, self.advice = code, advice


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from: a folder or a hub id, and adapters to lay over it in order."""

    base: str
    is_folder: bool
    revision: str | None = None
    adapters: tuple[Path, ...] = ()


@dataclass(frozen=True)
class ModelFacts:
    """What the files of a model folder say.

    ``tensors`` maps names to (shape, dtype) as the safetensors headers give them.
    """

    config: dict[str, Any]
    tensors: dict[str, tuple[tuple[int, ...], str]] = field(repr=False)

    @property
    def text_config(self) -> dict[str, Any]:
        """The config of the part that writes; of models that also see, it is nested."""
        inner = self.config.get("text_config")
        return inner if isinstance(inner, dict) else self.config

    @property
    def depth(self) -> int:
        """Number of layers, 0 when config.json does not say."""
        return int(self.text_config.get("num_hidden_layers") or 0)

    @property
    def quantization(self) -> str:
        """By which method the stored weights are quantized already, '' when they are whole."""
        stored = self.config.get("quantization_config")
        return str(stored.get("quant_method") or "unknown") if isinstance(stored, dict) else ""

    @property
    def parameters(self) -> int:
        """Number of stored weights."""
        return sum(math.prod(shape) for shape, _ in self.tensors.values())

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights as stored."""
        return sum(math.prod(s) * _DTYPE_BYTES.get(d, 4) for s, d in self.tensors.values())


def resolve_model(name: str, runs: Path, revision: str | None = None,
                  adapters: Sequence[str] = ()) -> ModelSource:
    """Find out what a name stands for: 'starter', a run's id, a folder, or a hub id.

    Args:
        name: As written in ``model.name_or_path``.
        runs: The folder that holds the runs.
        revision: Only for hub ids.
        adapters: As written in ``model.adapters``: merged after those of the run.

    Raises:
        ModelError: Nothing of that name exists, it has no weights, or an adapter cannot be merged.
    """
    source = _resolve(name, runs, revision)
    return replace(source, adapters=(*source.adapters, *_named_adapters(list(adapters), runs)))


def _resolve(name: str, runs: Path, revision: str | None) -> ModelSource:
    if name == "starter":
        return ModelSource(str(starter()), True)
    if is_safe_name(name) and (runs / name).is_dir():
        return _of_run(RunDir(runs / name), runs)
    folder = Path(os.path.expanduser(name))
    if folder.is_dir():
        return ModelSource(str(folder.resolve()), True)
    if folder.is_absolute() or name.startswith((".", "~")) or "\\" in name or ".." in name:
        raise ModelError("model_missing", f"There is no model folder '{name}'.",
                         "Check the path.")
    if not HUB_ID.fullmatch(name):
        raise ModelError("model_name", f"'{name}' is no model folder, run id or hub id.",
                         "Write 'starter', a folder, a run's id, or a hub id such as "
                         "Qwen/Qwen3-0.6B.")
    return ModelSource(name, False, revision)


PROMPT_KINDS = ("PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING")


@dataclass(frozen=True)
class AdapterFacts:
    """What a finished adapter's config says: PEFT's name of its method, and its settings."""

    folder: Path
    kind: str
    config: dict[str, Any] = field(repr=False)

    @property
    def is_mergeable(self) -> bool:
        """Whether it can become part of the base's weights; virtual tokens cannot."""
        return self.kind not in PROMPT_KINDS


def read_adapter(folder: Path) -> AdapterFacts:
    """Read and check a finished adapter's folder.

    Raises:
        ModelError: It is no whole safetensors file, or wants to run code.
    """
    scan_folder(folder)
    weights = folder / "adapter_model.safetensors"
    config = read_json(folder / "adapter_config.json")
    if not isinstance(config, dict) or not weights.is_file():
        raise ModelError("adapter_missing", f"The folder '{folder}' is no finished adapter.",
                         "It needs adapter_config.json and adapter_model.safetensors.")
    read_safetensors_header(weights)
    return AdapterFacts(folder, str(config.get("peft_type") or ""), config)


def require_mergeable(folder: Path) -> Path:
    """Return an adapter's folder if it can be merged into a base.

    Raises:
        ModelError: It has virtual tokens only.
    """
    config = read_json(folder / "adapter_config.json")
    found = AdapterFacts(folder, str((config or {}).get("peft_type") or ""), config or {})
    if not found.is_mergeable:
        raise ModelError("adapter_unmergeable", f"The adapter '{folder.parent.name}' trains "
                         f"virtual tokens ({found.kind}), which no weight can take up.",
                         "Go on with it by tuner.continue_from and the same method, or start "
                         "from its base.")
    return folder


def resolve_adapter(name: str, runs: Path) -> Path:
    """Return the folder of a finished adapter that a run's id or a path names.

    Raises:
        ModelError: There is none.
    """
    if is_safe_name(name) and (runs / name).is_dir():
        folder = RunDir(runs / name).adapter
        if not (folder / "adapter_config.json").is_file():
            raise ModelError("run_without_adapter", f"The run '{name}' has no finished adapter.",
                             "Choose a completed run whose tuner is an adapter.")
        return folder
    folder = Path(os.path.expanduser(name))
    if not folder.is_dir():
        raise ModelError("adapter_missing", f"There is no adapter '{name}'.",
                         "Write the id of a run, or the folder of an adapter.")
    return folder.resolve()


def _of_run(run: RunDir, runs: Path, depth: int = 0) -> ModelSource:
    if depth > 8:
        raise ModelError("model_chain", f"The chain of runs behind '{run.id}' is too long.",
                         "Export one of them as a merged model and start from that.")
    if (run.model / "config.json").is_file():
        return ModelSource(str(run.model), True)
    if not (run.adapter / "adapter_config.json").is_file():
        raise ModelError("run_without_model", f"The run '{run.id}' has no finished model.",
                         "Wait until it is completed, or resume it.")
    config = run.read_config()
    name = config.model.name_or_path
    below = (_of_run(RunDir(runs / name), runs, depth + 1)
             if is_safe_name(name) and (runs / name).is_dir()
             else _resolve(name, runs, config.model.revision))
    return ModelSource(below.base, below.is_folder, below.revision,
                       (*below.adapters, *_named_adapters(config.model.adapters, runs),
                        require_mergeable(run.adapter)))


def _named_adapters(names: list[str], runs: Path) -> tuple[Path, ...]:
    return tuple(require_mergeable(read_adapter(resolve_adapter(name, runs)).folder)
                 for name in names)


def scan_folder(folder: Path) -> None:
    """Refuse a folder that wants to run code of its own.

    Raises:
        ModelError: ``auto_map`` or a truthy ``trust_remote_code`` at any depth of a config file.
    """
    for name in SCANNED:
        path = folder / name
        if path.is_file() and (key := _asks_for_code(read_json(path))):
            raise ModelError("remote_code",
                             f"{name} of this model asks to run its own code ({key}).",
                             "Finestra runs no code from model folders. Use a model that "
                             "Transformers supports itself.")


def _asks_for_code(value: Any) -> str:
    if isinstance(value, dict):
        for key, inner in value.items():
            if (key == "auto_map" and inner) or (key == "trust_remote_code" and inner):
                return str(key)
            if found := _asks_for_code(inner):
                return found
    if isinstance(value, list):
        for inner in value:
            if found := _asks_for_code(inner):
                return found
    return ""


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model folder.

    Raises:
        ModelError: There are none, or the index names a file that is missing.
    """
    index = read_json(folder / "model.safetensors.index.json")
    if isinstance(index, dict):
        names = sorted(set(index.get("weight_map", {}).values()))
        missing = [n for n in names if not is_safe_name(n) or not (folder / n).is_file()]
        if missing:
            raise ModelError("weights_missing", f"The weight file {missing[0]} is missing in "
                             f"'{folder}'.", "Copy the whole folder again.")
        return [folder / n for n in names]
    single = folder / "model.safetensors"
    if single.is_file():
        return [single]
    pickled = sorted(p.name for p in folder.glob("*.bin")) + sorted(
        p.name for p in folder.glob("*.pt*"))
    if pickled:
        raise ModelError("weights_pickled", f"'{folder}' has weights only as {pickled[0]}, a "
                         "format that can run code.", "Convert them to safetensors first.")
    raise ModelError("weights_none", f"The folder '{folder}' has no weights (model.safetensors).",
                     "Check that this is a whole model folder.")


def read_safetensors_header(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Read names, shapes and dtypes; format: 8 bytes little-endian length, then JSON.

    Raises:
        ModelError: The file is cut short or is not safetensors.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > 100_000_000:
                raise ValueError("header too long")
            header = json.loads(file.read(length))
        end = max((v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"),
                  default=0)
        if path.stat().st_size < 8 + length + end:
            raise ValueError("cut short")
        return {name: (tuple(v["shape"]), str(v["dtype"]))
                for name, v in header.items() if name != "__metadata__"}
    except (ValueError, KeyError, TypeError, struct.error, AttributeError):
        raise ModelError("weights_broken", f"{path.name} is not a whole safetensors file.",
                         "Copy or download it again.") from None


def read_folder(folder: Path) -> ModelFacts:
    """Read and check a model folder.

    Raises:
        ModelError: No config.json, no tokenizer, no or broken weights, or code of its own.
    """
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise ModelError("model_config", f"The folder '{folder}' has no readable config.json.",
                         "Check that this is a model folder in Hugging Face's layout.")
    scan_folder(folder)
    tensors: dict[str, tuple[tuple[int, ...], str]] = {}
    for path in weight_files(folder):
        tensors |= read_safetensors_header(path)
    if not (folder / "tokenizer.json").is_file():
        raise ModelError("tokenizer_missing", f"The folder '{folder}' has no tokenizer.json.",
                         "Save the model's fast tokenizer there.")
    return ModelFacts(config, tensors)

"""What the files of a model's folder say: family, weights, number format, template, licence.

Only JSON, the headers of safetensors and the first lines of README and LICENSE are read; no library
is loaded and nothing of the folder is run.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.contract.files import read_json
from trainer.contract.models import ModelError, ModelFacts, read_adapter, read_folder
from trainer.contract.models import read_safetensors_header as read_header
from trainer.data.catalog.hub_files import front_matter

_DTYPES = {"F64": "float64", "F32": "float32", "BF16": "bfloat16", "F16": "float16",
           "F8_E4M3": "float8", "F8_E5M2": "float8", "I8": "int8", "U8": "uint8"}
# The beginnings of licence texts that are told apart at a glance.
_LICENCES = (("apache license", "apache-2.0"), ("mit license", "mit"),
             ("llama 2 community", "llama2"), ("meta llama 3 community", "llama3"),
             ("llama 3.1 community", "llama3.1"), ("llama 3.2 community", "llama3.2"),
             ("llama 3.3 community", "llama3.3"), ("llama 4 community", "llama4"),
             ("bsd 3-clause", "bsd-3-clause"))
_TABLE = re.compile(r"^\|\s*licen[cs]e\s*\|\s*([\w.+-]{2,60})\s*\|", re.IGNORECASE | re.MULTILINE)
_LICENCE = re.compile(r"[\w .+-]{2,60}")
_CARD_BYTES = 64_000
Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class FolderFacts:
    """What a folder holds; '' and 0 stand for what its files do not say.

    Attributes:
        kind: 'base' for whole weights, 'adapter' for an adapter's.
        base: Of an adapter: what its config calls its base.
        method: Of an adapter: PEFT's name of its method.
        template: 'own' when it brings a chat template, 'none' when it does not.
        problem: (code, message, advice) of why it cannot be used, or None.
        model: The headers of a whole model, for an estimate of memory.
    """

    kind: str = "base"
    family: str = ""
    parameters: int = 0
    dtype: str = ""
    quantization: str = ""
    template: str = ""
    licence: str = ""
    context: int = 0
    base: str = ""
    method: str = ""
    problem: tuple[str, str, str] | None = None
    model: ModelFacts | None = None


def stamp_of(folder: Path) -> Stamp:
    """Return what a folder's content is known by: names, sizes and times of its files."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                about = entry.stat()
            except OSError:
                continue
            if stat.S_ISREG(about.st_mode):
                found.append((entry.name, about.st_size, about.st_mtime_ns))
    return tuple(sorted(found))


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder; links are not followed."""
    total, waiting = 0, [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    elif entry.is_file(follow_symlinks=False):
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total


def read_facts(folder: Path) -> FolderFacts:
    """Read what a folder's files say; what is wrong with them stands in ``problem``."""
    is_adapter = (folder / "adapter_config.json").is_file()
    try:
        return _adapter(folder) if is_adapter else _base(folder)
    except ModelError as error:
        return _without(folder, is_adapter, (error.code, str(error), error.advice))
    except OSError as error:
        return _without(folder, is_adapter, (
            "model_unreadable", f"'{folder.name}' cannot be read: {error.strerror}.",
            "Check its rights."))


def _base(folder: Path) -> FolderFacts:
    facts = read_folder(folder)
    return FolderFacts(
        family=_family(facts.config), parameters=facts.parameters, dtype=_dtype(facts.tensors),
        quantization=facts.quantization, template=template_of(folder), licence=licence_of(folder),
        context=_whole(facts.text_config.get("max_position_embeddings")), model=facts)


def _adapter(folder: Path) -> FolderFacts:
    found = read_adapter(folder)
    tensors = read_header(folder / "adapter_model.safetensors")
    return FolderFacts(
        "adapter", parameters=ModelFacts({}, tensors).parameters, dtype=_dtype(tensors),
        licence=licence_of(folder), method=found.kind.lower(),
        base=str(found.config.get("base_model_name_or_path") or ""))


def _without(folder: Path, is_adapter: bool, problem: tuple[str, str, str]) -> FolderFacts:
    """Return the little that can be said of a folder whose weights cannot be used."""
    if is_adapter:
        return FolderFacts("adapter", problem=problem)
    try:
        config = read_json(folder / "config.json")
    except OSError:
        config = None
    known = config if isinstance(config, dict) else {}
    return FolderFacts(family=_family(known), licence=licence_of(folder), problem=problem)


def _family(config: Mapping[str, Any]) -> str:
    return str(config.get("model_type") or "")[:60]


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _dtype(tensors: Mapping[str, tuple[tuple[int, ...], str]]) -> str:
    """Return the number format that most weights are stored in."""
    counts: Counter[str] = Counter()
    for shape, kind in tensors.values():
        counts[kind] += math.prod(shape)
    kind = counts.most_common(1)[0][0] if counts else ""
    return _DTYPES.get(kind, kind.lower())


def template_of(folder: Path) -> str:
    """Tell whether a model brings a chat template: 'own' or 'none'."""
    if (folder / "chat_template.jinja").is_file():
        return "own"
    config = read_json(folder / "tokenizer_config.json")
    return "own" if isinstance(config, dict) and config.get("chat_template") else "none"


def licence_of(folder: Path) -> str:
    """Return a model's licence as its card or its LICENSE says; '' when they do not."""
    card = _start(folder / "README.md")
    if found := _of_card(card):
        return found
    for name in ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE"):
        text = " ".join(_start(folder / name)[:2000].lower().split())
        for words, licence in _LICENCES:
            if words in text:
                return licence
    return ""


def _start(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_CARD_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _of_card(card: str) -> str:
    """Read the front matter of a README, or a row 'licence' of a table in it."""
    for name in _names(front_matter(card)):
        if _LICENCE.fullmatch(name):
            return name
    found = _TABLE.search(card)
    return found[1].lower() if found else ""


def _names(values: Any) -> Iterator[str]:
    """Yield what a card calls its licence; 'other' is explained by another key."""
    if not isinstance(values, dict):
        return
    first = values.get("license")
    if isinstance(first, list):
        first = first[0] if first else None
    if first == "other" and isinstance(values.get("license_name"), str):
        yield values["license_name"].strip()
    if isinstance(first, str):
        yield first.strip().lower()

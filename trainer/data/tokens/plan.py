"""What tokenising a dataset depends on, and so the key under which its tokens are kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trainer.contract.config.facts import OBJECTIVES
from trainer.data.reading.rows import DatasetError
from trainer.data.reading.sources import DatasetSpec
from trainer.data.shapes.recognise import Shape
from trainer.data.tokens.loaded import Loaded, load
from trainer.data.tokens.request import PrepareRequest, Say, sound_shape

# What is kept looks different from this number on.
FORMAT = 4
SETTINGS = ("rows", "max_length", "overlong", "bad_rows", "train_on_prompt", "mask_history",
            "max_samples", "deduplicate", "near_threshold", "labels")
_PIECE_BYTES = 4 << 20


@dataclass(frozen=True)
class Plan:
    """A dataset that was looked at: its key and what went into it.

    ``sha256`` is that of the data, ``stamp`` tells whether a file has changed since, ``size_bytes``
    is the files' size. ``origin`` are the key's parts, for people.
    """

    key: str
    name: str
    sha256: str
    stamp: str
    size_bytes: int
    origin: dict[str, Any]


def plan(params: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Look at a dataset and hash it; returns the fields of a Plan.

    Raises:
        DatasetError: It is not there, its shape does not fit, or there is no tokenizer.
        TemplateError: The chat template cannot be used.
    """
    request = PrepareRequest.from_document(params)
    spec = request.data.spec()
    stamp = stamp_text(spec)
    shape = sound_shape(request.data, spec, request.objective)
    model = load(request.model_folder, request.template)
    sha256 = data_hash(spec, say)
    origin = _origin(request, spec, shape, model) | {"data": sha256}
    require_same(spec, stamp)
    key = hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()[:40]
    return {"key": key, "name": spec.name, "sha256": sha256, "stamp": stamp,
            "size_bytes": spec.size(), "origin": origin}


def _origin(request: PrepareRequest, spec: DatasetSpec, shape: Shape,
            model: Loaded) -> dict[str, Any]:
    mapping = shape.mapping
    entry = spec.entry
    plain = not OBJECTIVES[request.objective].templated
    return {"format": FORMAT, "tokenizers": version("tokenizers"),
            "parts": [f"{part.suffix}.{part.compression}" for part in spec.parts],
            "shape": [shape.kind, mapping.columns.model_dump(exclude_none=True),
                      mapping.tags.model_dump(exclude_none=True), mapping.aliases],
            "num_samples": entry.num_samples if entry else None,
            "tokenizer": _file_hash(request.model_folder / "tokenizer.json", lambda **_: None),
            "template": list(model.edges) if plain
            else [model.chat.name, model.chat.digest, model.chat.variables],
            "settings": {name: getattr(request, name) for name in SETTINGS},
            "filters": request.filters.model_dump()}


def stamp_text(spec: DatasetSpec) -> str:
    """Return what changes when a file of the dataset does."""
    return json.dumps(spec.stamp())


def require_same(spec: DatasetSpec, stamp: str) -> None:
    """Refuse a dataset that changed since it was looked at.

    Raises:
        DatasetError: ``changed_while_reading``.
    """
    if stamp_text(spec) != stamp:
        raise DatasetError("changed_while_reading", f"'{spec.file_name}' changed while it was "
                           "read.", "Wait until it is written, then start again.")


def data_hash(spec: DatasetSpec, say: Say) -> str:
    """Return the SHA-256 of a dataset's content; of several files that of their hashes."""
    found = [_file_hash(part.path, say) for part in spec.parts]
    if not spec.is_folder:
        return found[0]
    lines = (f"{part.name}\0{value}\n" for part, value in zip(spec.parts, found, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _file_hash(path: Path, say: Say) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
            say(hashed=file.tell())
    return digest.hexdigest()

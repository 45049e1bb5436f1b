"""Which tensors a GGUF file has, in what order of rows and in which format.

Names come from the maps of the package ``gguf``. Formats of blocks: ``Q8_0`` and ``Q4_0`` hold 32
weights of a row each, so a row whose length is no multiple of 32 stays in f16; vectors stay in
f32, as llama.cpp wants its norms and biases.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from trainer.export.errors import ExportError
from trainer.export.gguf_families import Family
from trainer.export.gguf_library import gguf_library
from trainer.export.gguf_settings import Settings
from trainer.export.stored import Floats, StoredTensor

Kind = Literal["f32", "f16", "bf16", "q8_0", "q4_0"]
KINDS: tuple[Kind, ...] = get_args(Kind)
BLOCK = 32
# Bytes of how many weights.
_SIZES: dict[Kind, tuple[int, int]] = {"f32": (4, 1), "f16": (2, 1), "bf16": (2, 1),
                                       "q8_0": (34, 32), "q4_0": (18, 32)}
_TABLES = ("token_embd", "output")
# What is no weight of the text model: buffers of old checkpoints, and the part that sees.
_BUFFERS = (".rotary_emb.inv_freq", ".attn.masked_bias")
_VISION = ("vision_tower.", "multi_modal_projector.", "model.vision_tower.",
           "model.multi_modal_projector.")
_PREFIXES = (("model.language_model.", "model."), ("language_model.model.", "model."),
             ("language_model.lm_head.", "lm_head."))


@dataclass(frozen=True)
class PlannedTensor:
    """A tensor of the file.

    Attributes:
        name: In the file.
        kind: Its format.
        shape: As Transformers has it: (rows, columns), or (length,).
        source: Where its values are, unless ``values`` has them.
        order: The rows of the source in the order in which they are written; None: as stored.
        plus: What is added to each value.
        values: Values that stand in no file of the model.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    source: StoredTensor | None = None
    order: NDArray[np.intp] | None = None
    plus: float = 0.0
    values: Floats | None = None

    @property
    def bytes(self) -> int:
        """Size in the file."""
        size, weights = _SIZES[self.kind]
        return math.prod(self.shape) // weights * size


def plan(stored: Mapping[str, StoredTensor], family: Family, settings: Settings,
         kind: Kind) -> tuple[list[PlannedTensor], list[str]]:
    """Return the tensors of the file, and what a person should know of them.

    Raises:
        ExportError: A tensor is missing ('tensor_missing'), has another shape than the config
            says ('tensor_shape'), or is none that the family has ('tensor_unknown').
    """
    named, notes = _rename(stored, family, settings)
    _require(named, family, settings)
    found = [_planned(name, source, family, settings, kind)
             for name, source in sorted(named.items(), key=_position)]
    if settings.rope_factors is not None:
        factors = settings.rope_factors
        found.append(PlannedTensor("rope_freqs.weight", "f32", factors.shape, values=factors))
    odd = [tensor.name for tensor in found if len(tensor.shape) == 2
           and tensor.kind == "f16" and kind in {"q8_0", "q4_0"}]
    if odd:
        notes.append(f"{len(odd)} tensors stay in f16, because their rows are no multiple of "
                     f"{BLOCK} long: {odd[0]} and others.")
    return found, notes


def _rename(stored: Mapping[str, StoredTensor], family: Family,
            settings: Settings) -> tuple[dict[str, StoredTensor], list[str]]:
    gguf = gguf_library()
    architecture = gguf.MODEL_ARCH[family.architecture.upper()]
    names = gguf.get_tensor_name_map(architecture, settings.layers)
    found: dict[str, StoredTensor] = {}
    blind = False
    for name, tensor in stored.items():
        if name.endswith(_BUFFERS):
            continue
        if name.startswith(_VISION):
            blind = True
            continue
        text = _text_name(name)
        if text == "lm_head.weight" and settings.is_tied:
            continue
        new = names.get_name(text, try_suffixes=(".weight", ".bias"))
        if new is None or not _belongs(new, family, settings):
            raise ExportError("tensor_unknown", f"The model has a tensor '{name}', which no "
                              f"{family.architecture} model of llama.cpp has.",
                              "Merge adapters first, and export a plain model of its family.")
        found[new] = tensor
    note = "Only the text model is exported: the part that sees images is left out."
    return found, [note] if blind else []


def _text_name(name: str) -> str:
    for old, new in _PREFIXES:
        if name.startswith(old):
            return new + name[len(old):]
    return name


def _belongs(name: str, family: Family, settings: Settings) -> bool:
    if name in _outside(settings):
        return True
    parts = name.split(".")
    if len(parts) != 4 or parts[0] != "blk" or int(parts[1]) >= settings.layers:
        return False
    return parts[2] in (family.block if parts[3] == "weight" else family.biases)


def _outside(settings: Settings) -> list[str]:
    """Return the tensors outside of layers."""
    return ["token_embd.weight", "output_norm.weight",
            *([] if settings.is_tied else ["output.weight"])]


def _require(named: Mapping[str, StoredTensor], family: Family, settings: Settings) -> None:
    """Refuse a model that lacks a tensor, or has one of another shape than its config says."""
    layers = [f"blk.{layer}.{name}.weight" for layer in range(settings.layers)
              for name in family.block]
    missing = [name for name in (*_outside(settings), *layers) if name not in named]
    if missing:
        raise ExportError("tensor_missing", f"The model has no '{missing[0]}', as llama.cpp calls "
                          f"it ({len(missing)} are missing).",
                          "Check that all weight files are there.")
    rows = named["token_embd.weight"].rows
    for name, tensor in named.items():
        expected = _shape(name, settings, rows)
        if tensor.shape != expected:
            raise ExportError("tensor_shape", f"'{tensor.name}' has the shape {tensor.shape}; "
                              f"config.json says {expected}.",
                              "Check that config.json and weights are of the same model.")


def _shape(name: str, settings: Settings, vocabulary: int) -> tuple[int, ...]:
    keys = settings.keys
    hidden, inner = int(keys["embedding_length"]), int(keys["feed_forward_length"])
    query, key = settings.heads * settings.head_dim, settings.kv_heads * settings.head_dim
    role, part = name.split(".")[-2:]
    matrices = {"token_embd": (vocabulary, hidden), "output": (vocabulary, hidden),
                "attn_q": (query, hidden), "attn_k": (key, hidden), "attn_v": (key, hidden),
                "attn_output": (hidden, query), "ffn_gate": (inner, hidden),
                "ffn_up": (inner, hidden), "ffn_down": (hidden, inner)}
    if role in matrices:
        return matrices[role] if part == "weight" else matrices[role][:1]
    return (settings.head_dim,) if role in {"attn_q_norm", "attn_k_norm"} else (hidden,)


def _planned(name: str, source: StoredTensor, family: Family, settings: Settings,
             kind: Kind) -> PlannedTensor:
    role = name.split(".")[-2]
    order = None
    if family.rotates_pairs and role in {"attn_q", "attn_k"}:
        heads = settings.heads if role == "attn_q" else settings.kv_heads
        order = rotary_order(source.shape[0], heads)
    plus = 1.0 if family.adds_one and "norm" in role else 0.0
    return PlannedTensor(name, kind_of(source.shape, role, kind), source.shape, source, order,
                         plus)


def rotary_order(rows: int, heads: int) -> NDArray[np.intp]:
    """Return which row of query or key stands where: (rows,) indices.

    Transformers turns the first half of a head against its second, llama.cpp's 'llama' turns
    neighbours (``LLAMA_ROPE_TYPE_NORM``): row i of the first half and row i of the second stand
    beside each other there.
    """
    return np.arange(rows).reshape(heads, 2, -1).swapaxes(1, 2).ravel()


def kind_of(shape: tuple[int, ...], role: str, kind: Kind) -> Kind:
    """Return the format of one tensor in a file of a kind.

    Embedding and output of a q4_0 file are q8_0: there are few of them, and every token that
    is read or written goes through them.
    """
    if len(shape) == 1:
        return "f32"
    if kind in {"q8_0", "q4_0"}:
        if shape[-1] % BLOCK:
            return "f16"
        return "q8_0" if role in _TABLES else kind
    return kind


def _position(item: tuple[str, Any]) -> tuple[int, int, str]:
    """Order tensors as they are used: embedding, layers by number, output."""
    parts = item[0].split(".")
    if parts[0] == "blk":
        return 1, int(parts[1]), item[0]
    return (0 if parts[0] == "token_embd" else 2), 0, item[0]

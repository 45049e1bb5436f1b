"""A model folder as one GGUF file, for llama.cpp, Ollama and LM Studio.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, written by the package ``gguf``;
no torch. Weights go through in slices of rows, so memory does not grow with the model. The file is
'NAME.partial' until it is whole.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.contract.models import read_folder
from trainer.export.errors import Cancel, ExportError, Progress, require_wanted
from trainer.export.gguf_families import find_family
from trainer.export.gguf_library import gguf_library
from trainer.export.gguf_settings import Settings, read_settings, text_config
from trainer.export.gguf_tensors import KINDS, Kind, PlannedTensor, plan
from trainer.export.gguf_tokenizer import Tokenizer, read_tokenizer
from trainer.export.report import require_space, whole_file
from trainer.export.stored import Floats, StoredTensor, read_stored

# Weights of a slice: 32 MB as float32.
_SLICE = 8_000_000
_ALIGNMENT = 32
# What the tables of a tokenizer take beside its tokenizer.json, and everything else of the head.
_SPARE_BYTES = 1 << 20


@dataclass(frozen=True)
class GgufPlan:
    """What a GGUF file of a model would hold; nothing is written yet.

    Attributes:
        folder: The model.
        kind: As asked for.
        architecture: llama.cpp's name.
        tensors: In the order of the file.
        notes: What a person should know: where answers may differ, what stays larger.
        bytes: Size of the file, never too small.
    """

    folder: Path
    kind: Kind
    architecture: str
    settings: Settings = field(repr=False)
    tokenizer: Tokenizer = field(repr=False)
    tensors: list[PlannedTensor] = field(repr=False)
    notes: list[str]
    bytes: int


@dataclass(frozen=True)
class GgufReport:
    """What was written.

    Attributes:
        path: The file.
        bytes: Its size.
        formats: How many tensors have which format.
        adds_bos: Whether programs put the first token before every text by themselves.
        notes: What a person should know.
    """

    path: Path
    bytes: int
    formats: dict[str, int]
    adds_bos: bool
    notes: list[str]


def plan_gguf(folder: Path, kind: Kind = "f16") -> GgufPlan:
    """Find out what a GGUF file of a model folder would hold.

    Raises:
        ExportError: It cannot be written; see the modules ``gguf_*`` for the reasons.
        ModelError: The folder is no whole model, or wants to run code of its own.
        TemplateError: Its chat template cannot be read.
    """
    if kind not in KINDS:
        raise ExportError("kind_unknown", f"There is no GGUF format '{kind}' here.",
                          f"Choose one of: {', '.join(KINDS)}.")
    config = text_config(read_folder(folder).config)
    family = find_family(config)
    settings = read_settings(config, family)
    tensors, notes = plan(read_stored(folder), family, settings, kind)
    rows = next(tensor.shape[0] for tensor in tensors if tensor.name == "token_embd.weight")
    tokenizer = read_tokenizer(folder, rows)
    data = sum(_padded(tensor.bytes) for tensor in tensors)
    tables = (folder / "tokenizer.json").stat().st_size + 32 * rows + _SPARE_BYTES
    return GgufPlan(folder, kind, family.architecture, settings, tokenizer, tensors,
                    [*settings.notes, *notes, *tokenizer.notes], data + tables)


def export_gguf(folder: Path, target: Path, kind: Kind = "f16", *, name: str = "",
                progress: Progress | None = None, cancel: Cancel | None = None) -> GgufReport:
    """Write a model folder as a GGUF file.

    Args:
        folder: A whole model with merged weights: config.json, safetensors, tokenizer.json.
        target: The file; a file that is there already is replaced once the new one is whole.
        kind: The format of matrices.
        name: What people read in other programs; the folder's name by default.
        progress: Told after each slice.
        cancel: Asked before each slice.

    Raises:
        ExportError: As ``plan_gguf``; the disk has too little room ('disk_full'), a weight is no
            number or too large for f16 ('weight_range'), or it was cancelled ('cancelled').
            Nothing is left behind then.
        ModelError: As ``plan_gguf``.
        TemplateError: As ``plan_gguf``.
        OSError: The file cannot be written; nothing is left behind either.
    """
    planned = plan_gguf(folder, kind)
    require_space(target.parent, planned.bytes)
    with whole_file(target) as partial:
        _write(planned, partial, name or folder.name, progress, cancel)
    formats: Counter[str] = Counter(tensor.kind for tensor in planned.tensors)
    return GgufReport(target, target.stat().st_size, dict(formats),
                      planned.tokenizer.flags["add_bos_token"], planned.notes)


def _write(planned: GgufPlan, partial: Path, name: str, progress: Progress | None,
           cancel: Cancel | None) -> None:
    gguf = gguf_library()
    writer = gguf.GGUFWriter(partial, planned.architecture)
    try:
        _add_settings(gguf, writer, planned, name)
        _add_tokenizer(writer, planned.tokenizer)
        for tensor in planned.tensors:
            kind = gguf.GGMLQuantizationType[tensor.kind.upper()]
            shape = gguf.quant_shape_to_byte_shape(tensor.shape, kind)
            writer.add_tensor_info(tensor.name, shape, np.dtype(np.uint8), tensor.bytes, kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        _write_tensors(writer.fout[0], planned.tensors, progress, cancel)
    finally:
        writer.close()


def _add_settings(gguf: Any, writer: Any, planned: GgufPlan, name: str) -> None:
    types = {"f32": "ALL_F32"}
    file_type = gguf.LlamaFileType[types.get(planned.kind, f"MOSTLY_{planned.kind.upper()}")]
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
    for key, value in planned.settings.keys.items():
        add[type(value)](f"{planned.architecture}.{key}", value)
    writer.add_vocab_size(len(planned.tokenizer.tokens))


def _add_tokenizer(writer: Any, tokenizer: Tokenizer) -> None:
    writer.add_tokenizer_model(tokenizer.model)
    writer.add_tokenizer_pre(tokenizer.pre)
    writer.add_token_list(tokenizer.tokens)
    if tokenizer.scores:
        writer.add_token_scores(tokenizer.scores)
    writer.add_token_types(tokenizer.types)
    if tokenizer.merges:
        writer.add_token_merges(tokenizer.merges)
    for name, number in tokenizer.ids.items():
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", number)
    for name, flag in tokenizer.flags.items():
        writer.add_bool(f"tokenizer.ggml.{name}", flag)
    if tokenizer.template:
        writer.add_chat_template(tokenizer.template)


def _write_tensors(file: Any, tensors: Sequence[PlannedTensor], progress: Progress | None,
                   cancel: Cancel | None) -> None:
    """Write the data behind the head of the file, each tensor at a multiple of the alignment."""
    file.write(bytes(-file.tell() % _ALIGNMENT))
    total = sum(tensor.bytes for tensor in tensors)
    done = 0
    for tensor in tensors:
        for part in _slices(tensor):
            require_wanted(cancel)
            done += file.write(_encode(part, tensor).tobytes())
            if progress:
                progress(done, total, tensor.name)
        file.write(bytes(-file.tell() % _ALIGNMENT))


def _slices(tensor: PlannedTensor) -> Iterator[Floats]:
    """Yield the tensor's rows as float32, in the order in which they are written."""
    if tensor.values is not None:
        yield tensor.values.reshape(1, -1)
        return
    source = tensor.source
    assert source is not None
    yield from _read(source, tensor)


def _read(source: StoredTensor, tensor: PlannedTensor) -> Iterator[Floats]:
    rows = source.open()
    if len(source.shape) == 1:
        part = source.widen(rows).reshape(-1)
        ordered = part if tensor.order is None else part[tensor.order]
        yield (ordered + np.float32(tensor.plus)).reshape(1, -1)
        return
    step = max(1, _SLICE // source.columns)
    for start in range(0, source.rows, step):
        wanted = (slice(start, start + step) if tensor.order is None
                  else tensor.order[start:start + step])
        yield source.widen(rows[wanted])


def _encode(part: Floats, tensor: PlannedTensor) -> NDArray[Any]:
    gguf = gguf_library()
    if not np.isfinite(part).all():
        raise ExportError("weight_range", f"'{tensor.name}' has weights that are no numbers.",
                          "Training went wrong: use an earlier checkpoint.")
    if tensor.kind == "f16" and np.abs(part).max(initial=0) > np.finfo(np.float16).max:
        raise ExportError("weight_range", f"'{tensor.name}' has weights beyond 65,504, the "
                          "largest number of f16.", "Choose bf16 or f32.")
    encoded: NDArray[Any] = gguf.quants.quantize(
        part, gguf.GGMLQuantizationType[tensor.kind.upper()])
    return encoded


def _padded(size: int) -> int:
    return math.ceil(size / _ALIGNMENT) * _ALIGNMENT

"""The weights of a model folder, read in slices without torch.

Format: https://github.com/huggingface/safetensors (8 bytes little-endian length of the header,
the header as JSON with dtype, shape and offsets of each tensor, then the data). bfloat16 is the
upper half of a float32, so that 16 zero bits behind it make one.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.contract.models import read_safetensors_header, weight_files
from trainer.export.errors import ExportError

Floats = NDArray[np.float32]
_DTYPES: dict[str, np.dtype[Any]] = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4"),
                                     "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a safetensors file: a matrix, or a vector, which is a matrix of one row."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    path: Path
    offset: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.shape[0] if len(self.shape) == 2 else 1

    @property
    def columns(self) -> int:
        """Length of a row."""
        return self.shape[-1]

    def open(self) -> NDArray[Any]:
        """Map the tensor into memory as (rows, columns); bfloat16 as uint16."""
        return np.memmap(self.path, dtype=_DTYPES[self.dtype], mode="r", offset=self.offset,
                         shape=(self.rows, self.columns))

    def widen(self, part: NDArray[Any]) -> Floats:
        """Make float32 of a part of what ``open`` gave."""
        if self.dtype == "BF16":
            return (np.asarray(part).astype(np.uint32) << 16).view(np.float32)
        return np.asarray(part).astype(np.float32)


def read_stored(folder: Path) -> dict[str, StoredTensor]:
    """Find the tensors of a model folder.

    Raises:
        ModelError: Weights are missing, broken or pickled.
        ExportError: A tensor is stored in a format that is no plain number ('weights_dtype'), or
            in a shape that no exported family has ('weights_shape').
    """
    found: dict[str, StoredTensor] = {}
    for path in weight_files(folder):
        read_safetensors_header(path)
        found |= {tensor.name: tensor for tensor in _tensors(path)}
    return found


def _tensors(path: Path) -> list[StoredTensor]:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    found = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        tensor = StoredTensor(name, tuple(entry["shape"]), entry["dtype"], path,
                              8 + length + begin)
        _check(tensor, end - begin)
        found.append(tensor)
    return found


def _check(tensor: StoredTensor, size: int) -> None:
    kind = _DTYPES.get(tensor.dtype)
    if kind is None:
        raise ExportError("weights_dtype", f"'{tensor.name}' is stored as {tensor.dtype}, which is "
                          "no 16- or 32-bit number.",
                          "Export from the unquantized weights: merge in 16 bit first.")
    if len(tensor.shape) not in {1, 2} or math.prod(tensor.shape) * kind.itemsize != size:
        raise ExportError("weights_shape", f"'{tensor.name}' has the shape {tensor.shape}, which "
                          "is neither a matrix nor a vector.",
                          "Only families of plain text models can be exported so.")

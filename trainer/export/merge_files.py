"""Safetensors weights read tensor by tensor, and written so while they are made.

Format: https://github.com/huggingface/safetensors (8 bytes little-endian length of the header,
the header as JSON with dtype, shape and offsets of each tensor, then the data). Room for the
header is left at the beginning of a file and filled with spaces, which the format allows, so that
no shard has to be in memory as a whole.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch

from trainer.contract.files import write_json
from trainer.contract.models import read_safetensors_header, weight_files
from trainer.export.errors import ExportError

NUMBERS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16,
           "BF16": torch.bfloat16}
_NAMES = {**{dtype: name for name, dtype in NUMBERS.items()}, torch.int64: "I64",
          torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8",
          torch.bool: "BOOL"}
# A file that is read stays mapped for so many bytes, then it is opened anew: pages that were read
# count as memory of the process while it is.
_MAPPED_BYTES = 64_000_000
# What an entry of the header takes beside the name, and what the header takes beside entries.
_ENTRY_BYTES, _HEAD_BYTES = 160, 1024


class Reader:
    """The tensors of a model folder by name, read when they are asked for."""

    def __init__(self, folder: Path) -> None:
        """Read the headers.

        Raises:
            ModelError: Weights are missing, broken or pickled.
        """
        self.facts: dict[str, tuple[tuple[int, ...], str]] = {}
        self._files: dict[str, Path] = {}
        self._open: tuple[Path, Any] | None = None
        self._read = 0
        for path in weight_files(folder):
            header = read_safetensors_header(path)
            self.facts |= header
            self._files |= dict.fromkeys(header, path)

    def get(self, name: str) -> torch.Tensor:
        """Return a tensor as it is stored; it may lie in the mapped file."""
        from safetensors import safe_open

        path = self._files[name]
        if self._open is None or self._open[0] != path or self._read > _MAPPED_BYTES:
            self._open, self._read = None, 0
            self._open = path, safe_open(str(path), framework="pt")
        tensor: torch.Tensor = self._open[1].get_tensor(name)
        self._read += tensor.nbytes
        return tensor

    def close(self) -> None:
        """Let go of the file."""
        self._open = None


@dataclass
class _Shard:
    path: Path
    file: IO[bytes]
    header: dict[str, Any] = field(default_factory=lambda: {"__metadata__": {"format": "pt"}})
    bytes: int = 0


class ShardWriter:
    """Writes tensors one after the other into files of a given size at most."""

    def __init__(self, folder: Path, names: Iterable[str], shard_bytes: int) -> None:
        """Write nothing yet.

        Args:
            folder: Where the files are to lie.
            names: Every tensor that may come, for the room that headers need.
            shard_bytes: A file ends before it would be larger, unless one tensor alone is.
        """
        self.folder, self.shard_bytes = folder, shard_bytes
        self.bytes = 0
        self.tensors = 0
        self._room = header_room(names)
        self._shards: list[_Shard] = []

    def add(self, name: str, tensor: torch.Tensor) -> None:
        """Write a tensor."""
        size = tensor.nbytes
        shard = self._shards[-1] if self._shards else None
        # Readers look at the data in place, where a number must begin at a multiple of its size.
        if shard is None or (shard.bytes and shard.bytes + size > self.shard_bytes) or (
                shard.bytes % tensor.element_size()):
            shard = self._begin()
        data = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
        shard.file.write(data.data)
        shard.header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape),
                              "data_offsets": [shard.bytes, shard.bytes + size]}
        shard.bytes += size
        self.bytes += size
        self.tensors += 1

    def finish(self) -> list[str]:
        """End the last file, give all their names, write the index; return the names."""
        self.close()
        count = len(self._shards)
        names = (["model.safetensors"] if count == 1 else
                 [f"model-{k:05d}-of-{count:05d}.safetensors" for k in range(1, count + 1)])
        for shard, name in zip(self._shards, names, strict=True):
            os.replace(shard.path, self.folder / name)
        if count > 1:
            where = {tensor: name for shard, name in zip(self._shards, names, strict=True)
                     for tensor in shard.header if tensor != "__metadata__"}
            write_json(self.folder / "model.safetensors.index.json",
                       {"metadata": {"total_size": self.bytes}, "weight_map": where})
        return names

    def close(self) -> None:
        """Write the header of the file that is open, if one is, and close it."""
        if not self._shards or self._shards[-1].file.closed:
            return
        shard = self._shards[-1]
        with shard.file as file:
            header = json.dumps(shard.header, separators=(",", ":")).encode()
            assert len(header) <= self._room, "no room for the header"
            file.seek(0)
            file.write(struct.pack("<Q", self._room) + header.ljust(self._room))
            file.flush()
            os.fsync(file.fileno())

    def drop(self) -> None:
        """Close without finishing: what was written is of no use."""
        for shard in self._shards:
            shard.file.close()

    def _begin(self) -> _Shard:
        self.close()
        path = self.folder / f"shard-{len(self._shards) + 1}"
        shard = _Shard(path, path.open("wb"))
        self._shards.append(shard)
        shard.file.seek(8 + self._room)
        return shard


def header_room(names: Iterable[str]) -> int:
    """Return how many bytes are left for the header of a file, a multiple of eight."""
    size = _HEAD_BYTES + sum(len(json.dumps(name)) + _ENTRY_BYTES for name in names)
    return math.ceil(size / 8) * 8


def convert(name: str, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return a tensor in a number format; whole numbers stay what they are.

    Raises:
        ExportError: A weight is no finite number in that format ('weight_range').
    """
    if not tensor.is_floating_point():
        return tensor
    found = tensor.to(dtype)
    if not bool(torch.isfinite(found).all()):
        raise ExportError("weight_range", f"'{name}' has weights that are no finite numbers as "
                          f"{str(dtype).removeprefix('torch.')}.",
                          "Choose bfloat16 or float32; if that does not help, training went "
                          "wrong: use an earlier checkpoint.")
    return found

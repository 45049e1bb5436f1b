"""Compressed files as streams of bytes, with a budget against zip bombs."""

from __future__ import annotations

import gzip
import zlib
from typing import IO, Any, Protocol

from trainer.data.reading import bounds
from trainer.data.reading.rows import DatasetError


class Bytes(Protocol):
    """What is read from: so many bytes at most, b'' at the end."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes."""


class Unpacked:
    """The content of a .gz or .zst file.

    Raises (from ``read``):
        DatasetError: ``bad_gzip``, ``bad_zstd`` when it is not a whole file of that kind;
            ``too_large_inside`` when the content is out of proportion.
    """

    def __init__(self, file: IO[bytes], compression: str, name: str) -> None:
        """Read from an open file; its name is for messages."""
        self._file, self._name, self._done = file, name, 0
        self._inner: Bytes = gzip.GzipFile(fileobj=file) if compression == "gz" else _Zstd(file)

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes of the content."""
        try:
            piece = self._inner.read(size)
        except (gzip.BadGzipFile, zlib.error) as error:
            raise self._broken("bad_gzip", "gzip", error) from None
        except _BadZstd as error:
            raise self._broken("bad_zstd", "Zstandard", error) from None
        except EOFError as error:
            code = "bad_zstd" if isinstance(self._inner, _Zstd) else "bad_gzip"
            raise self._broken(code, "Zstandard" if code == "bad_zstd" else "gzip",
                               error) from None
        self._done += len(piece)
        if self._done > max(bounds.BOMB_BYTES, bounds.BOMB_RATIO * self._file.tell()):
            raise too_large_inside(self._name, self._done)
        return piece

    def _broken(self, code: str, kind: str, error: Exception) -> DatasetError:
        return DatasetError(code, f"'{self._name}' is not a whole {kind} file: {error}.",
                            "Copy or compress it again.")


def too_large_inside(name: str, size: int) -> DatasetError:
    """Return the error for a file that is out of proportion when unpacked."""
    return DatasetError("too_large_inside", f"'{name}' unpacks to more than {size // 2**20:,} MiB, "
                        "out of proportion to its size; it may be a zip bomb.",
                        "Unpack it yourself if you trust it, and name the file inside.")


class _BadZstd(ValueError):
    """Not Zstandard from here on."""


class _Zstd:
    """A Zstandard file of one or more frames; EOFError when the last one is torn."""

    def __init__(self, file: IO[bytes]) -> None:
        import zstandard

        self._file, self._library = file, zstandard
        self._frame: Any = None
        self._left, self._at = b"", 0

    def read(self, size: int, /) -> bytes:
        while self._at == len(self._left):
            if not (piece := self._file.read(1024)):
                if self._frame is not None:
                    raise EOFError("it ends in the middle")
                return b""
            self._left, self._at = self._unpacked(piece), 0
        found = self._left[self._at:self._at + size]
        self._at += len(found)
        return found

    def _unpacked(self, piece: bytes) -> bytes:
        found = []
        while piece:
            if self._frame is None:
                self._frame = self._library.ZstdDecompressor().decompressobj()
            try:
                found.append(self._frame.decompress(piece))
            except self._library.ZstdError as error:
                raise _BadZstd(str(error)) from None
            piece = b""
            if self._frame.eof:
                piece, self._frame = self._frame.unused_data, None
        return b"".join(found)

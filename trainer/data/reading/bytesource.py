"""Bytes of a dataset's file as UTF-8: decompressed, decoded, watched for changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from trainer.data.reading import bounds
from trainer.data.reading.compressed import Bytes, Unpacked
from trainer.data.reading.encodings import Recoded, detect
from trainer.data.reading.rowindex import Watch
from trainer.data.reading.sniff import require_text
from trainer.data.reading.sources import Part
from trainer.data.reading.watching import Guard, opened_raw

_FURTHER_BYTES = 64 * 1024


class Stream:
    r"""The text of one file as UTF-8 bytes; what could not be decoded stays wrong.

    ``offset`` is the place in the file of the next byte; it can be returned to while
    ``can_seek``. Only ``\n`` ends a line: the ``\r`` of a file without ``\n`` becomes one.
    """

    def __init__(self, part: Part, file: IO[bytes], watch: Watch) -> None:
        """Look at the beginning of an open file."""
        self.part, self._file, self._watch = part, file, watch
        self._guard = Guard(part, file, watch)
        source: Bytes = file
        if part.compression:
            source = Unpacked(file, part.compression, part.name)
        head = _filled(source, bounds.SAMPLE_BYTES)
        require_text(part, head)
        whole = len(head) < bounds.SAMPLE_BYTES
        self.encoding = detect(head if whole else head + self._further(head), whole=whole)
        self.can_seek = not part.compression and self.encoding.is_utf8
        self.offset = self.encoding.skip
        self._head = head[self.encoding.skip:]
        self._source = source
        self._recoded = None if self.encoding.is_utf8 else Recoded(_Joined(self), self.encoding)
        self._say()

    def _say(self) -> None:
        self._watch.encodings[self.part.name] = self.encoding.name
        if sentence := self.encoding.sentence(self.part.name):
            self._watch.note(sentence)

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes of UTF-8, b'' at the end.

        Raises:
            DatasetError: ``changed_while_reading``, or the file is damaged.
        """
        piece = self._recoded.read(size) if self._recoded else self.raw(size)
        self.offset += len(piece)
        return piece.replace(b"\r", b"\n") if self.encoding.bare_returns else piece

    def raw(self, size: int) -> bytes:
        """Return up to ``size`` bytes as they are in the (unpacked) file."""
        if self._head:
            piece, self._head = self._head[:size], self._head[size:]
        else:
            piece = self._source.read(size)
        self._guard.look(self._file.tell())
        return piece

    def _further(self, head: bytes) -> bytes:
        """Return lines from the middle and the end of a file that begins in plain ASCII."""
        if self.part.compression or not head.isascii() or b"\0" in head:
            return b""
        here, found = self._file.tell(), b""
        for place in (self._guard.size // 2, self._guard.size - _FURTHER_BYTES):
            self._file.seek(max(place, here))
            piece = self._file.read(_FURTHER_BYTES)
            found += piece[piece.find(b"\n") + 1:piece.rfind(b"\n") + 1]
        self._file.seek(here)
        return found

    def seek(self, offset: int) -> None:
        """Go on at a place of the file; only where ``can_seek``."""
        if offset > self.encoding.skip:
            self._head = b""
            self._file.seek(offset)
            self.offset = offset

    def finish(self) -> None:
        """Refuse a file that was changed or replaced since it was opened."""
        self._guard.finish()


class _Joined:
    """A stream's undecoded bytes."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        return self._stream.raw(size)


def _filled(source: Bytes, size: int) -> bytes:
    """Read so many bytes unless the file ends before."""
    pieces, left = [], size
    while left and (piece := source.read(left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


@contextmanager
def opened(part: Part, watch: Watch | None = None) -> Iterator[Stream]:
    """Open a file of text.

    Raises:
        DatasetError: It cannot be read, or is not what its ending says.
    """
    with opened_raw(part) as file:
        yield Stream(part, file, watch or Watch())


def lines(stream: Stream) -> Iterator[tuple[int, bytes | None]]:
    """Yield blocks of whole lines as (offset, bytes); None instead of a line that is too long."""
    start, held, size, skipping = stream.offset, list[bytes](), 0, False
    while piece := stream.read(bounds.BLOCK_BYTES):
        if skipping:
            skipping = b"\n" not in piece
            piece = b"" if skipping else piece[piece.find(b"\n") + 1:]
            start = stream.offset - len(piece)
        cut = piece.rfind(b"\n") + 1
        if cut:
            yield start, b"".join([*held, piece[:cut]])
            held, start = [], stream.offset - len(piece) + cut
        held.append(piece[cut:])
        size = sum(map(len, held)) if cut else size + len(piece)
        if size > bounds.MAX_ROW_BYTES:
            yield start, None
            held, size, skipping = [], 0, True
    if size:
        yield start, b"".join(held)


def where_not_utf8(error: UnicodeDecodeError) -> str:
    """Say which byte is wrong: ``byte 0xE9 at position 12``."""
    return f"byte 0x{error.object[error.start]:02X} at position {error.start + 1}"

"""JSON from a stream: a list of rows is read element by element, never as a whole."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from typing import IO, Any

from trainer.data.bytesource import MAX_ROW_BYTES, PIECE_BYTES, not_utf8, opened
from trainer.data.rows import Row, RowProblem, shown
from trainer.data.sources import DatasetSpec

_SPACE = re.compile(r"[ \t\r\n]*")
_MARGIN = 16


def _none(_: str) -> None:
    """Read NaN and Infinity, which are not JSON (RFC 8259), as a missing value."""


_DECODER = json.JSONDecoder(parse_constant=_none)


def decode_json(text: str) -> Any:
    """Read one JSON value; NaN and Infinity become None.

    Raises:
        ValueError: It is not JSON (json.JSONDecodeError), or has a number that is too long.
        RecursionError: It is nested too deeply.
    """
    return _DECODER.decode(text)


def first_character(file: IO[bytes]) -> str:
    """Return the first character that is not white space, or ''."""
    while piece := file.read(PIECE_BYTES):
        if stripped := piece.lstrip(b" \t\r\n"):
            return stripped[:4].decode("utf-8", "replace")[0]
    return ""


class BrokenJson(ValueError):
    """The stream is not JSON from here on."""


class _Text:
    """The text that is still to be read: a buffer that grows at its end when asked."""

    def __init__(self, spec: DatasetSpec, file: IO[bytes]) -> None:
        self._spec, self._file = spec, file
        self._decode = codecs.getincrementaldecoder("utf-8")()
        self._bytes_read = 0
        self._line, self._column = 1, 1
        self.buffer, self.position, self.ended = "", 0, False

    def more(self) -> bool:
        """Add a piece, larger ones to a larger rest; False at the end of the file."""
        if self.ended:
            return False
        rest = self.buffer[self.position:]
        self._line, self._column = self._place(self.position)
        piece = self._file.read(max(PIECE_BYTES, len(rest)))
        self.ended = not piece
        try:
            added = self._decode.decode(piece, final=self.ended)
        except UnicodeDecodeError as error:
            place = f"Byte {self._bytes_read + error.start + 1}"
            wrong = f"0x{error.object[error.start]:02X}"
            raise not_utf8(self._spec, place, wrong) from None
        self._bytes_read += len(piece)
        self.buffer, self.position = rest + added, 0
        return True

    def peek(self) -> str:
        """Skip white space and return the next character, '' at the end."""
        while True:
            found = _SPACE.match(self.buffer, self.position)
            self.position = found.end() if found else self.position
            if self.position < len(self.buffer):
                return self.buffer[self.position]
            if not self.more():
                return ""

    def _place(self, offset: int) -> tuple[int, int]:
        """Return (line, column) of a buffer offset, from 1."""
        breaks = self.buffer.count("\n", 0, offset)
        if not breaks:
            return self._line, self._column + offset
        return self._line + breaks, offset - self.buffer.rfind("\n", 0, offset)

    def where(self, offset: int) -> str:
        """Name the place of a buffer offset: ``line 3, column 7``."""
        line, column = self._place(offset)
        return f"line {line}, column {column}"

    def value(self) -> Any:
        """Read the value at the position; BrokenJson says what is wrong and where."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self.buffer, self.position)
            except json.JSONDecodeError as error:
                if self._is_broken(error) or not self.more():
                    raise BrokenJson(f"{error.msg} at {self.where(error.pos)}") from None
                continue
            except (RecursionError, ValueError) as error:
                raise BrokenJson(f"{error} at {self.where(self.position)}") from None
            if end < len(self.buffer) or not self.more():
                self.position = end
                return value

    def _is_broken(self, error: json.JSONDecodeError) -> bool:
        """Tell a real error from a value that only goes on beyond the buffer."""
        if len(self.buffer) - self.position > MAX_ROW_BYTES:
            return True
        open_string = error.msg.startswith("Unterminated string")
        return not open_string and error.pos < len(self.buffer) - _MARGIN


def array_rows(spec: DatasetSpec,
               row_of: Callable[[int, Any], Row | RowProblem]) -> Iterator[Row | RowProblem]:
    """Yield the elements of a JSON list as rows, numbered from 1.

    JSON that breaks off cannot be read any further: the place is the last RowProblem.
    """
    with opened(spec) as file:
        text = _Text(spec, file)
        text.peek()
        text.position += 1
        number = 0
        if text.peek() == "]":
            return
        while True:
            number += 1
            try:
                text.peek()
                value = text.value()
            except BrokenJson as error:
                yield _broken(number, str(error))
                return
            yield row_of(number, value)
            after = text.peek()
            if after != ",":
                break
            text.position += 1
        if after != "]":
            what = f"expected ',' or ']' but found {shown(after)}" if after else "the list is open"
            yield _broken(number + 1, f"{what} at {text.where(text.position)}")


def _broken(number: int, why: str) -> RowProblem:
    return RowProblem(number, "", "not_json",
                      f"is not JSON: {why}; nothing after it can be read")

"""JSON from a stream: a list of rows is read element by element, never as a whole."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

from trainer.data.reading import bounds
from trainer.data.reading.bytesource import Stream

_SPACE = re.compile(r"[ \t\r\n]*")
_WRONG = re.compile("[\udc80-\udcff]")
_MARGIN = 16
_LOOK_BACK = 64 * 1024


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


def first_character(stream: Stream) -> str:
    """Return the first character that is not white space, or ''."""
    while piece := stream.read(bounds.BLOCK_BYTES):
        if stripped := piece.lstrip(b" \t\r\n"):
            return stripped[:4].decode("utf-8", "replace")[0]
    return ""


class BrokenJson(ValueError):
    """The stream is not JSON from here on."""


class JsonText:
    """The text that is still to be read: a buffer that grows at its end when asked."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._line, self._column = 1, 1
        self._sought = stream.offset > 8
        self._start, self._bare = stream.offset, True
        self.buffer, self.position, self.ended, self.pieces, self.space = "", 0, False, 0, ""
        self.taken = ""

    def more(self) -> bool:
        """Add a piece, larger ones to a larger rest; False at the end of the file."""
        if self.ended:
            return False
        rest = self.buffer[self.position:]
        self._line, self._column = self._place(self.position)
        self._start = self.offset()
        piece = self._stream.read(max(bounds.BLOCK_BYTES, len(rest)))
        self.ended = not piece
        added = self._decode.decode(piece, final=self.ended)
        self._bare = added.isascii() and rest.isascii()
        self.buffer, self.position = rest + added, 0
        self.pieces += 1
        return True

    def offset(self) -> int:
        """Return the place of the position in the stream, in bytes."""
        before = self.buffer[:self.position]
        return self._start + (len(before) if self._bare
                              else len(before.encode("utf-8", "surrogateescape")))

    def peek(self) -> str:
        """Skip white space, which ``space`` keeps, and return the next character, '' at the end."""
        self.space = ""
        while True:
            found = _SPACE.match(self.buffer, self.position)
            if found and found.end() > self.position:
                self.space = (self.space + found.group())[-_MARGIN * 64:]
                self.position = found.end()
            if self.position < len(self.buffer):
                return self.buffer[self.position]
            if not self.more():
                return ""

    def skip_to(self, pattern: re.Pattern[str], inclusive: bool) -> bool:
        """Go to the end of the next match that begins behind the position; False at the end."""
        begin = self.position + (not inclusive)
        while True:
            if found := pattern.search(self.buffer, begin):
                self.position = found.end()
                return True
            self.position = max(begin, len(self.buffer) - _MARGIN * 64)
            if not self.more():
                return False
            begin = 0

    def _place(self, offset: int) -> tuple[int, int]:
        """Return (line, column) of a buffer offset, from 1."""
        breaks = self.buffer.count("\n", 0, offset)
        if not breaks:
            return self._line, self._column + offset
        return self._line + breaks, offset - self.buffer.rfind("\n", 0, offset)

    def where(self, offset: int) -> str:
        """Name the place of a buffer offset: ``line 3, column 7``."""
        if self._sought:
            before = self.buffer[:offset].encode("utf-8", "surrogateescape")
            return f"byte {self._start + len(before) + 1}"
        line, column = self._place(offset)
        return f"line {line}, column {column}"

    def value(self) -> tuple[Any, str]:
        """Read the value at the position; return it and the place of bytes that are no text.

        Raises:
            BrokenJson: It is not JSON; says what is wrong and where.
        """
        while True:
            try:
                value, end = _DECODER.raw_decode(self.buffer, self.position)
            except json.JSONDecodeError as error:
                if self._is_broken(error) or not self.more():
                    what = error.msg.removesuffix(" at")
                    raise BrokenJson(f"{what} at {self.where(error.pos)}") from None
                continue
            except (RecursionError, ValueError) as error:
                raise BrokenJson(f"{error} at {self.where(self.position)}") from None
            if end < len(self.buffer) or not self.more():
                wrong = None if self._bare else _WRONG.search(self.buffer, self.position, end)
                place = self.where(wrong.start()) if wrong else ""
                self.taken = self.buffer[self.position:min(end, self.position + _LOOK_BACK)]
                self.position = end
                return value, place

    def _is_broken(self, error: json.JSONDecodeError) -> bool:
        """Tell a real error from a value that only goes on beyond the buffer."""
        if len(self.buffer) - self.position > bounds.MAX_ROW_BYTES:
            return True
        open_string = error.msg.startswith("Unterminated string")
        return not open_string and error.pos < len(self.buffer) - _MARGIN

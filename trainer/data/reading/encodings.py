"""Which encoding a text file has: asked of its first bytes, said, and never guessed over UTF-8."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Protocol

_WRONG = "\udcff"
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"),
          (codecs.BOM_UTF32_BE, "utf-32-be"), (codecs.BOM_UTF16_LE, "utf-16-le"),
          (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True)
class Encoding:
    """An encoding by Python's name.

    ``skip`` is the length of the byte order mark. With ``bare_returns`` lines end in carriage
    returns alone. ``guessed`` when nothing in the file says so.
    """

    name: str
    skip: int = 0
    bare_returns: bool = False
    guessed: bool = False

    @property
    def is_utf8(self) -> bool:
        """Whether the bytes can be read as they are."""
        return self.name == "utf-8"

    def sentence(self, file_name: str) -> str:
        """Say how a file is read, '' for plain UTF-8."""
        if self.is_utf8:
            return ""
        how = "looks like" if self.guessed else "is"
        return f"'{file_name}' {how} {spoken(self.name)} text and is read as such."


def spoken(name: str) -> str:
    """Return the name that people use for one of Python's encodings: ``Windows-1252``."""
    if name.startswith("cp125"):
        return f"Windows-{name[2:]}"
    return {"cp949": "EUC-KR", "cp874": "Windows-874", "big5": "Big5",
            "shift_jis": "Shift-JIS"}.get(name, name.upper().replace("_", "-"))


class _Bytes(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Recoded:
    """A stream of another encoding as UTF-8; what is wrong becomes the byte 0xFF, never UTF-8."""

    def __init__(self, source: _Bytes, encoding: Encoding) -> None:
        """Decode what ``source`` gives."""
        self._source, self._ended = source, False
        self._decoder = codecs.getincrementaldecoder(encoding.name)("finestra.wrong")

    def read(self, size: int) -> bytes:
        """Return some bytes of UTF-8, b'' at the end."""
        found = b""
        while not found and not self._ended:
            piece = self._source.read(size)
            self._ended = not piece
            found = self._decoder.decode(piece, self._ended).encode("utf-8", "surrogateescape")
        return found


def _wrong(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return _WRONG, error.end


codecs.register_error("finestra.wrong", _wrong)


def detect(sample: bytes, *, whole: bool) -> Encoding:
    """Return the encoding of a text by its first bytes.

    Args:
        sample: The beginning of the file.
        whole: Whether it is all of the file; else the last character may be torn.
    """
    for mark, name in _MARKS:
        if sample.startswith(mark):
            return Encoding(name, len(mark), _bare_returns(sample[len(mark):], name, whole))
    from trainer.data.reading.guess import guess

    name = guess(sample, whole=whole)
    return Encoding(name, 0, _bare_returns(sample, name, whole), name != "utf-8")


def _bare_returns(sample: bytes, name: str, whole: bool) -> bool:
    """Tell a text whose lines end in carriage returns alone."""
    if b"\r" not in sample:
        return False
    text = sample.decode(name if name.startswith("utf-") else "latin-1", "replace")
    return "\n" not in text and "\r" in (text if whole else text[:-1])

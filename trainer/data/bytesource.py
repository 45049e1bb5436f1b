"""Bytes of a dataset file as lines, decompressed, with limits and clear errors."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from typing import IO, cast

from trainer.data.rows import DatasetError
from trainer.data.sources import DatasetSpec

MAX_ROW_BYTES = 64 * 1024 * 1024
PIECE_BYTES = 256 * 1024
_OTHER_BOMS = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32",
               codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}


@contextmanager
def opened(spec: DatasetSpec) -> Iterator[IO[bytes]]:
    """Open the file for reading bytes, after a UTF-8 byte order mark if there is one.

    Raises:
        DatasetError: It cannot be read, is not gzip though named so, or is UTF-16 or UTF-32;
            also while the caller reads inside the block.
    """
    try:
        with open(spec.path, "rb") as raw:
            file: IO[bytes] = raw
            if spec.compressed:
                file = cast(IO[bytes], BufferedReader(gzip.GzipFile(fileobj=raw)))
            _skip_bom(spec, cast(BufferedReader, file))
            yield file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DatasetError("bad_gzip", f"'{spec.file_name}' is not a whole gzip file: {error}.",
                           "Copy or compress it again.") from None
    except OSError as error:
        raise DatasetError("unreadable", f"'{spec.path}' cannot be read: {error.strerror}.",
                           "Check the file and its permissions.") from None


def _skip_bom(spec: DatasetSpec, file: BufferedReader) -> None:
    start = file.peek(4)[:4]
    if start.startswith(codecs.BOM_UTF8):
        file.read(len(codecs.BOM_UTF8))
        return
    for mark, encoding in _OTHER_BOMS.items():
        if start.startswith(mark):
            raise DatasetError("not_utf8", f"'{spec.file_name}' is {encoding}, not UTF-8.",
                               f"Convert it: iconv -f {encoding} -t UTF-8.")


def lines(file: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    r"""Yield (number from 1, line without its end); None instead of a line over MAX_ROW_BYTES.

    Only ``\n`` ends a line, so that U+2028 and form feeds inside a text do not.
    """
    number = 0
    while line := file.readline(MAX_ROW_BYTES + 1):
        number += 1
        if len(line) <= MAX_ROW_BYTES or line.endswith(b"\n"):
            yield number, line.rstrip(b"\r\n")
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(PIECE_BYTES)
        yield number, None


def where_not_utf8(error: UnicodeDecodeError) -> str:
    """Say which byte is wrong: ``byte 0xE9 at position 12``."""
    return f"byte 0x{error.object[error.start]:02X} at position {error.start + 1}"


def text_lines(spec: DatasetSpec, file: IO[bytes]) -> Iterator[str]:
    """Yield lines as text with their ends, for formats in which a wrong byte spoils the file.

    Raises:
        DatasetError: A line is not UTF-8 (named), or longer than MAX_ROW_BYTES.
    """
    for number, line in enumerate(iter(lambda: file.readline(MAX_ROW_BYTES + 1), b""), start=1):
        if len(line) > MAX_ROW_BYTES:
            raise DatasetError("row_too_long", f"Line {number} of {spec.file_name} is longer than "
                               f"{MAX_ROW_BYTES // 2**20} MiB.", "Split the file into rows.")
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise not_utf8(spec, f"Line {number}", where_not_utf8(error)) from None


def not_utf8(spec: DatasetSpec, place: str, why: str) -> DatasetError:
    """Return the error for a file with bytes that are not UTF-8."""
    return DatasetError("not_utf8", f"{place} of {spec.file_name} is not UTF-8 ({why}).",
                        "Save the file as UTF-8, for example: iconv -f GB18030 -t UTF-8.")

"""Formats with a row on each line: JSON Lines and plain text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Any

import orjson

from trainer.data.reading import bounds
from trainer.data.reading.batches import Batch, Item, Source
from trainer.data.reading.bytesource import lines, opened, where_not_utf8
from trainer.data.reading.encodings import spoken
from trainer.data.reading.jsonstream import decode_json
from trainer.data.reading.rows import Row, RowProblem, shown
from trainer.data.reading.wrapped import is_turn

_DIGITS = bytes(48 if 48 <= byte <= 57 else 0 for byte in range(256))
_LONG_NUMBER = b"0" * 19
NUL = "it holds NUL bytes, so the file is damaged or no text"
_new_row = partial(tuple.__new__, Row)


def read_lines(source: Source) -> Iterator[Batch]:
    """Read JSON Lines; numbers are those of the physical lines."""
    with opened(source.part, source.watch) as stream:
        stream.seek(source.offset)
        number = source.row
        for offset, block in lines(stream):
            if block is None:
                problem = RowProblem(number, "", "row_too_long", too_long())
                yield Batch(number, offset if stream.can_seek else 0, [problem], number + 1)
                number += 1
                continue
            items, following = _json_rows(block, number, stream.encoding.name)
            yield Batch(number, offset if stream.can_seek else 0, items, following)
            number = following
        stream.finish()


def too_long() -> str:
    """Say that a row is over the limit."""
    return f"is longer than {bounds.MAX_ROW_BYTES // 2**20} MiB"


def _split(block: bytes) -> list[bytes]:
    found = block.split(b"\n")
    if not found[-1]:
        found.pop()
    return found


def _json_rows(block: bytes, number: int, encoding: str) -> tuple[list[Item], int]:
    """Return a block's rows and the number of the line after it."""
    found = _split(block)
    following = number + len(found)
    if len(block) <= bounds.MAX_ROW_BYTES and _LONG_NUMBER not in block.translate(_DIGITS):
        try:
            values = list(map(orjson.loads, found))
        except orjson.JSONDecodeError:
            pass
        else:
            if set(map(type, values)) == {dict}:
                return list(map(_new_row, zip(count(number), values))), following
    items = [json_row(at, line, encoding) for at, line in enumerate(found, number)
             if line.strip()]
    return items, following


def json_row(number: int, line: bytes, encoding: str = "utf-8") -> Item:
    """Read one line of JSON Lines: a row, or what is wrong with it."""
    if len(line) > bounds.MAX_ROW_BYTES + 1:
        return RowProblem(number, "", "row_too_long", too_long())
    if _LONG_NUMBER not in line.translate(_DIGITS):
        try:
            return row_of(number, orjson.loads(line))
        except orjson.JSONDecodeError:
            pass
    return _careful_row(number, line, encoding)


def _careful_row(number: int, line: bytes, encoding: str) -> Item:
    """Read a line as the standard library does, which takes more and says what is wrong."""
    try:
        value = decode_json(line.rstrip(b"\r\n").decode("utf-8"))
    except UnicodeDecodeError as error:
        return wrong_bytes(number, "", error, encoding)
    except json.JSONDecodeError as error:
        if "\0" in error.doc:
            return RowProblem(number, "", "not_json", f"is not JSON: {NUL}")
        start = error.doc.lstrip()
        why = ("it is written as Python prints it; json.dumps writes JSON"
               if start.startswith(("{'", "[{'")) else
               f"{error.msg.removesuffix(' at')} at column {error.colno}; it begins "
               f"{shown(start[:40])}")
        return RowProblem(number, "", "not_json", f"is not JSON: {why}")
    except RecursionError:
        return RowProblem(number, "", "not_json", "is nested too deeply")
    except ValueError as error:
        return RowProblem(number, "", "not_json", f"is not JSON: {error}")
    return row_of(number, value)


def wrong_bytes(number: int, column: str, error: UnicodeDecodeError, encoding: str) -> RowProblem:
    """Name bytes of a row that are not text."""
    return RowProblem(number, column, "not_utf8",
                      bytes_that_are_not(encoding, where_not_utf8(error)))


def bytes_that_are_not(encoding: str, where: str) -> str:
    """Say that bytes are no text: where, if the file is UTF-8, else what it is read as."""
    if encoding == "utf-8":
        return f"is not UTF-8 ({where})"
    return f"has bytes that are not {spoken(encoding)}, which the file is read as"


def row_of(number: int, value: Any) -> Item:
    """Make a row of a JSON value: an object, or the bare turns of a conversation."""
    if isinstance(value, dict):
        return Row(number, value)
    if isinstance(value, list) and value and is_turn(value[0]):
        return Row(number, {"messages": value})
    return RowProblem(number, "", "not_object",
                      f"is {shown(value)}, not an object with named columns")


def read_text(source: Source) -> Iterator[Batch]:
    """Read a text: each line that is not blank is a row with the column ``text``."""
    with opened(source.part, source.watch) as stream:
        stream.seek(source.offset)
        number = source.row
        for offset, block in lines(stream):
            items = list(_text_rows(block, number, stream.encoding.name))
            yield Batch(number, offset if stream.can_seek else 0, items, number + len(items))
            number += len(items)
        stream.finish()


def _text_rows(block: bytes | None, number: int, encoding: str) -> Iterator[Item]:
    for line in [None] if block is None else _split(block):
        if line is None or len(line) > bounds.MAX_ROW_BYTES + 1:
            yield RowProblem(number, "text", "row_too_long", too_long())
        elif not line.strip():
            continue
        elif b"\0" in line:
            yield RowProblem(number, "text", "nul_bytes", f"cannot be used: {NUL}")
        else:
            try:
                yield Row(number, {"text": line.rstrip(b"\r").decode("utf-8")})
            except UnicodeDecodeError as error:
                yield wrong_bytes(number, "text", error, encoding)
        number += 1

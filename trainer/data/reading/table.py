"""Tables as text: records of CSV and TSV files."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import StringIO
from itertools import chain, islice
from typing import Any

from trainer.data.reading import bounds
from trainer.data.reading.batches import Batch, Item, Source
from trainer.data.reading.bytesource import Stream, lines, opened
from trainer.data.reading.lines import NUL, bytes_that_are_not, too_long
from trainer.data.reading.rows import DatasetError, Row, RowProblem, listed

_WRONG = re.compile("[\udc80-\udcff]")
_LONGEST_NAME = 200
_LOOK_AHEAD = 200


def read_table(source: Source) -> Iterator[Batch]:
    """Read records; the first one names the columns."""
    csv.field_size_limit(bounds.MAX_ROW_BYTES)
    with opened(source.part, source.watch) as stream:
        feed = _Lines(stream)
        delimiter = _told(feed) or _delimiter(source, feed.peek())
        names = _header(source, feed, delimiter)
        if not names:
            return
        if source.offset:
            stream.seek(source.offset)
            feed = _Lines(stream)
        table = _Table(feed, names, delimiter, stream.encoding.name)
        number, offset = source.row, source.offset
        while items := table.rows(number):
            yield Batch(number, offset, items, number + len(items))
            number += len(items)
            offset = feed.offset() if stream.can_seek else 0
        stream.finish()


class _TooLong(Exception):
    """A line is over the limit; it was skipped."""


class _Lines:
    """A stream's lines with their ends, for csv.reader; remembers those of the present record.

    Lines end as Python's universal newlines do. ``odd`` tells that a block holds bytes that are
    no text, or NULs.
    """

    def __init__(self, stream: Stream) -> None:
        self._blocks = lines(stream)
        self._offset, self._lines, self._at = stream.offset, list[str](), 0
        self._again: list[str] = []
        self.record: list[str] = []
        self.odd = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self._again:
            line = self._again.pop()
        else:
            while self._at == len(self._lines):
                self._fill()
            line = self._lines[self._at]
            self._at += 1
        self.record.append(line)
        return line

    def _fill(self) -> None:
        self._offset, block = next(self._blocks)
        if block is None:
            raise _TooLong
        self.odd = b"\0" in block or (self.odd and bool(self.record))
        try:
            text = block.decode("utf-8")
        except UnicodeDecodeError:
            text, self.odd = block.decode("utf-8", "surrogateescape"), True
        self._lines, self._at = list(StringIO(text, newline="")), 0

    def peek(self) -> str:
        """Return the first line that is not blank, '' when there is none."""
        for line in self:
            if line.strip():
                self.push_back([line])
                return line
        return ""

    def push_back(self, found: list[str]) -> None:
        """Give lines once more."""
        self._again.extend(reversed(found))
        self.record = []

    def offset(self) -> int:
        """Return the place of the next line in bytes, 0 when that is not known."""
        if self._again:
            return 0
        before = "".join(self._lines[:self._at])
        return self._offset + len(before.encode("utf-8", "surrogateescape"))


def _told(feed: _Lines) -> str:
    """Return what a first line such as ``sep=;``, which is Excel's, names; that line is skipped."""
    line = feed.peek().rstrip("\r\n")
    if line.lower().startswith("sep=") and len(line) == 5:
        next(feed)
        feed.record = []
        return line[4]
    return ""


def _delimiter(source: Source, header: str) -> str:
    """Return what separates the columns of a .csv: a comma unless only another one occurs."""
    if source.part.suffix == ".tsv":
        return "\t"
    return max(",;\t|", key=header.count) if "," not in header else ","


def _header(source: Source, feed: _Lines, delimiter: str) -> list[str]:
    """Return the names of the columns; [] when there is nothing."""
    try:
        cells = next(csv.reader(feed, delimiter=delimiter, strict=True), [])
    except (csv.Error, _TooLong):
        raise _not_names(source, "cannot be read as names of columns") from None
    feed.record = []
    return checked_names(source, [cell.strip() for cell in cells]) if cells else []


def checked_names(source: Source, names: list[str]) -> list[str]:
    """Return the names of a table's columns; a nameless one is called after its place.

    Raises:
        DatasetError: ``header`` when one is there twice, or they are no names at all.
    """
    if not any(names) or any(len(name) > _LONGEST_NAME or "\n" in name for name in names):
        raise _not_names(source, "looks like a row, not like names of columns")
    for at, name in enumerate(names, 1):
        if not name:
            names[at - 1] = f"column {at}"
            source.watch.note(f"Column {at} of '{source.part.name}' has no name; "
                              f"it is called 'column {at}'.")
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    if len(seen) < len(names):
        twice = sorted(name for name, count in seen.items() if count > 1)
        raise _not_names(source, f"names {listed(twice)} twice")
    return names


def _not_names(source: Source, what: str) -> DatasetError:
    return DatasetError("header", f"The first line of {source.part.name} {what}.",
                        "The first line of a table names its columns, each once.")


class _Table:
    """Records of a table, and what is wrong with them."""

    def __init__(self, feed: _Lines, names: list[str], delimiter: str, encoding: str) -> None:
        self._feed, self._names, self._encoding = feed, names, encoding
        self._options: dict[str, Any] = {"delimiter": delimiter, "strict": True}
        self._reader = csv.reader(feed, **self._options)
        self._tall = False
        cell = rf'(?:"[^"]*(?:""[^"]*)*"|[^"{re.escape(delimiter)}]*)'
        self._clean = re.compile(rf"{cell}(?:{re.escape(delimiter)}{cell})*")

    def rows(self, number: int) -> list[Item]:
        """Return the next records, [] at the end."""
        found: list[Item] = []
        names, width, feed = self._names, len(self._names), self._feed
        while len(found) < bounds.TABLE_ROWS:
            try:
                cells = next(self._reader)
            except StopIteration:
                break
            except (csv.Error, _TooLong) as error:
                found.append(self._broken(number + len(found), error))
                continue
            if not cells or (len(cells) == 1 < width and not cells[0].strip()):
                feed.record.clear()
            elif len(cells) == width and not feed.odd:
                self._tall = self._tall or len(feed.record) > 1
                feed.record.clear()
                found.append(Row(number + len(found), dict(zip(names, cells, strict=True))))
            else:
                found.append(self._odd_row(number + len(found), cells))
        return found

    def _odd_row(self, number: int, cells: list[str]) -> Item:
        """Return a record that has too many or too few cells, or stands near odd bytes."""
        if len(cells) != len(self._names) and (taken := self._resumed(sound=True)):
            return self._left_open(number, taken)
        self._feed.record.clear()
        text = "".join(cells) if self._feed.odd else ""
        if wrong := _WRONG.search(text):
            byte = f"byte 0x{ord(wrong.group()) - 0xdc00:02X}"
            return RowProblem(number, self._column(cells, wrong.group()), "not_utf8",
                              bytes_that_are_not(self._encoding, byte))
        if "\0" in text:
            return RowProblem(number, self._column(cells, "\0"), "nul_bytes",
                              f"cannot be used: {NUL}")
        width = len(self._names)
        if len(cells) > width:
            return RowProblem(number, "", "columns", f"has {len(cells)} cells, the header {width}; "
                              "cells that hold the separator need quotes")
        missing: list[str | None] = [None] * (width - len(cells))
        return Row(number, dict(zip(self._names, [*cells, *missing], strict=True)))

    def _column(self, cells: list[str], mark: str) -> str:
        at = next(at for at, cell in enumerate(cells) if mark in cell)
        return self._names[at] if at < len(self._names) else ""

    def _broken(self, number: int, error: Exception) -> RowProblem:
        """Say what is wrong with a record that cannot be read, and go on behind it."""
        if isinstance(error, _TooLong) or "field limit" in str(error):
            self._resumed()
            return RowProblem(number, "", "row_too_long", too_long())
        why = str(error)
        if (taken := self._resumed()) or why == "unexpected end of data":
            return self._left_open(number, taken)
        return RowProblem(number, "", "not_csv", f"cannot be read: {why}")

    def _left_open(self, number: int, taken: int) -> RowProblem:
        more = f", which would take the next {taken} lines into a cell" if taken > 1 else ""
        return RowProblem(number, "", "not_csv",
                          f"cannot be read: a quote is opened and not closed{more}")

    def _resumed(self, *, sound: bool = False) -> int:
        """Give the lines of a record once more, from the first on that is a record by itself.

        A quote that is not closed takes the records after it into its cell. The second line is
        one, broken perhaps, as long as no cell of this table had a line end, unless all is
        ``sound`` but for the number of cells. Returns the number of lines that are given again.
        """
        taken, self._feed.record = self._feed.record, []
        second = taken[1] if len(taken) > 1 else ""
        whole = not (self._tall or sound) and second.count('"') % 2 == 0 and (
            self._options["delimiter"] in second or len(self._names) == 1)
        for at in range(1, len(taken)):
            if whole or self._is_record(taken[at:at + 1], at == len(taken) - 1):
                self._feed.push_back(taken[at:])
                return len(taken) - at
        return 0

    def _is_record(self, line: list[str], last: bool) -> bool:
        """Tell whether a record begins with a line: the right number of cells, no stray quotes.

        The last line may go on in lines that were not read yet: they are looked at.
        """
        lines = chain(line, islice(self._feed, _LOOK_AHEAD) if last else [])
        try:
            cells = next(csv.reader(lines, **self._options), [])
        except (csv.Error, _TooLong):
            return False
        finally:
            ahead, self._feed.record = self._feed.record, []
            self._feed.push_back(ahead)
        return len(cells) == len(self._names) and bool(
            self._clean.fullmatch("".join([*line, *ahead]).rstrip("\r\n")))

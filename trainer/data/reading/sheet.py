"""Excel files: the rows of the first sheet that has any."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Iterator
from datetime import datetime, time
from itertools import chain, islice
from typing import IO, Any
from xml.etree.ElementTree import ParseError

from trainer.data.reading import bounds
from trainer.data.reading.batches import Batch, Item, Source
from trainer.data.reading.columns import plain
from trainer.data.reading.compressed import too_large_inside
from trainer.data.reading.rows import DatasetError, Row, RowProblem
from trainer.data.reading.sniff import require_binary
from trainer.data.reading.table import checked_names
from trainer.data.reading.watching import Guard, opened_raw

_REFUSALS = (zipfile.BadZipFile, zlib.error, LookupError, ParseError, EOFError, ValueError,
             TypeError, AttributeError, NotImplementedError, RuntimeError)


def read_sheet(source: Source) -> Iterator[Batch]:
    """Read the first sheet with rows; formulas stay text, dates become ISO text."""
    with opened_raw(source.part) as file:
        guard = Guard(source.part, file, source.watch)
        require_binary(source.part, file.read(4096), ".xlsx")
        try:
            _require_small(source, file, guard.size)
            for batch in _batches(source, file):
                guard.look(guard.size // 2)
                yield batch
        except _REFUSALS as error:
            if isinstance(error, DatasetError):
                raise
            guard.look(0)
            raise _damaged(source, error) from None
        guard.finish()


def _damaged(source: Source, error: Exception) -> DatasetError:
    what = f"{str(error)[:200] or type(error).__name__}".rstrip(".")
    return DatasetError("damaged_file", f"'{source.part.name}' is damaged or not whole: {what}.",
                        "Open it in Excel or LibreOffice and save it again.")


def _require_small(source: Source, file: IO[bytes], size: int) -> None:
    """Refuse a zip bomb before anything is unpacked."""
    with zipfile.ZipFile(file) as packed:
        entries = packed.infolist()
    inside = sum(entry.file_size for entry in entries)
    texts = sum(entry.file_size for entry in entries if "sharedStrings" in entry.filename)
    if (inside > max(bounds.BOMB_BYTES, bounds.BOMB_RATIO * size)
            or inside > bounds.MAX_SHEET_BYTES or texts > bounds.MAX_SHEET_TEXTS_BYTES):
        raise too_large_inside(source.part.name, inside)
    file.seek(0)


def _batches(source: Source, file: IO[bytes]) -> Iterator[Batch]:
    from openpyxl import load_workbook

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        book = load_workbook(file, read_only=True, data_only=False, keep_links=False)
    try:
        row, records = source.row, _records(source, book)
        while items := list(islice(records, bounds.TABLE_ROWS)):
            yield Batch(row, 0, items, row + len(items))
            row += len(items)
    finally:
        book.close()


def _records(source: Source, book: Any) -> Iterator[Item]:
    """Yield the rows of the first sheet that has one below its header."""
    for sheet in book.worksheets:
        sheet.reset_dimensions()
        found = ((at, cells) for at, cells in enumerate(sheet.iter_rows(values_only=True), 1)
                 if not all(map(_is_empty, cells)))
        header, first = next(found, None), next(found, None)
        if header is None or first is None:
            continue
        if len(book.worksheets) > 1:
            source.watch.note(f"The sheet '{sheet.title}' of '{source.part.name}' is read.")
        names = _header(source, header[1])
        for number, (line, cells) in enumerate(chain([first], found), source.row):
            yield _record(number, line, cells, names)
        return


def _is_empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _header(source: Source, cells: tuple[Any, ...]) -> list[str]:
    names = ["" if cell is None else str(cell).strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    return checked_names(source, names)


def _record(number: int, line: int, cells: tuple[Any, ...], names: list[str]) -> Item:
    width = len(cells)
    while width > len(names) and _is_empty(cells[width - 1]):
        width -= 1
    if width > len(names):
        return RowProblem(number, "", "columns", f"(line {line} of the sheet) has {width} cells, "
                          f"the header {len(names)}")
    values = [_value(cell) for cell in cells[:width]]
    values += [None] * (len(names) - width)
    return Row(number, dict(zip(names, values, strict=True)))


def _value(cell: Any) -> Any:
    """Return a cell as a plain value: a formula as its text, a day without the time.

    Numbers become text, as in a CSV of the same table: an answer such as 42 is text to learn.
    """
    if type(cell) is float and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if type(cell) in (int, float):
        return str(cell)
    if isinstance(cell, datetime) and cell.time() == time():
        return cell.date().isoformat()
    return plain(cell)

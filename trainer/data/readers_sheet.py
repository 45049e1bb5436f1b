"""Excel files: the rows of the first sheet that has any."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from itertools import islice
from typing import IO, Any
from xml.etree.ElementTree import ParseError

from trainer.data import bounds
from trainer.data.batches import Batch, Item, Source
from trainer.data.bytesource import changed, opened_raw, require_same
from trainer.data.columns import plain
from trainer.data.compressed import too_large_inside
from trainer.data.rows import DatasetError, Row, RowProblem
from trainer.data.sniff import require_binary


def read_sheet(source: Source) -> Iterator[Batch]:
    """Read the first sheet with rows; formulas stay text, dates become ISO text."""
    import os

    with opened_raw(source.part) as file:
        found = os.fstat(file.fileno())
        seen = found.st_size, found.st_mtime_ns
        require_binary(source.part, file.read(4096), ".xlsx")
        file.seek(0)
        done = source.watch.bytes_done
        try:
            _require_small(source, file, seen[0])
            for batch in _batches(source, file):
                found = os.fstat(file.fileno())
                if (found.st_size, found.st_mtime_ns) != seen:
                    raise changed(source.part)
                yield batch
        except (zipfile.BadZipFile, KeyError, ParseError, EOFError, ValueError) as error:
            if isinstance(error, DatasetError):
                raise
            raise _damaged(source, error) from None
        source.watch.bytes_done = done + seen[0]
        require_same(source.part, file, seen)


def _damaged(source: Source, error: Exception) -> DatasetError:
    return DatasetError("damaged_file", f"'{source.part.name}' is damaged or not whole: "
                        f"{str(error)[:200] or type(error).__name__}.",
                        "Open it in Excel or LibreOffice and save it again.")


def _require_small(source: Source, file: IO[bytes], size: int) -> None:
    """Refuse a zip bomb before anything is unpacked."""
    with zipfile.ZipFile(file) as packed:
        inside = sum(entry.file_size for entry in packed.infolist())
    if inside > bounds.MAX_SHEET_BYTES or inside > max(bounds.BOMB_BYTES,
                                                       bounds.BOMB_RATIO * size):
        raise too_large_inside(source.part.name, inside)
    file.seek(0)


def _batches(source: Source, file: IO[bytes]) -> Iterator[Batch]:
    from openpyxl import load_workbook

    book = load_workbook(file, read_only=True, data_only=False, keep_links=False)
    try:
        row = source.row
        records = _first_records(source, book)
        while items := list(islice(records, bounds.TABLE_ROWS)):
            yield Batch(row, 0, items, row + len(items))
            row += len(items)
    finally:
        book.close()


def _first_records(source: Source, book: Any) -> Iterator[Item]:
    for sheet in book.worksheets:
        sheet.reset_dimensions()
        lines = ((at, cells) for at, cells in enumerate(sheet.iter_rows(values_only=True), 1)
                 if any(cell is not None and cell != "" for cell in cells))
        first = next(lines, None)
        if first is None:
            continue
        if len(book.worksheets) > 1:
            source.watch.note(f"The sheet '{sheet.title}' of '{source.part.name}' is read.")
        names = _header(source, first[1])
        for number, (line, cells) in enumerate(lines, source.row):
            yield _record(number, line, cells, names)
        return


def _header(source: Source, cells: tuple[Any, ...]) -> list[str]:
    names = ["" if cell is None else str(cell).strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    from trainer.data.readers_table import checked_names

    return checked_names(source, names)


def _record(number: int, line: int, cells: tuple[Any, ...], names: list[str]) -> Item:
    extra = [cell for cell in cells[len(names):] if cell is not None and cell != ""]
    if extra:
        return RowProblem(number, "", "columns", f"(line {line} of the sheet) has "
                          f"{len(names) + len(extra)} cells, the header {len(names)}")
    values = [plain(cell) for cell in cells[:len(names)]]
    values += [None] * (len(names) - len(values))
    return Row(number, dict(zip(names, values, strict=True)))

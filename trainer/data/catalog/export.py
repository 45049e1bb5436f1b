"""Writing a dataset's rows to a file of another format, with their original columns."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainer.contract.files import fsync_folder
from trainer.data.catalog.escape import escape_cell
from trainer.data.catalog.jsonlines import json_line
from trainer.data.reading.readers import read
from trainer.data.reading.rows import DatasetError, Row, listed
from trainer.data.reading.sources import DatasetSpec

FORMATS = (".jsonl", ".json", ".csv", ".tsv", ".xlsx")
XLSX_ROWS, XLSX_COLUMNS, XLSX_CELL = 1_048_575, 16_384, 32_767


def export(spec: DatasetSpec, path: Path, *, overwrite: bool = False) -> int:
    """Write a dataset to a file; return the number of its rows.

    The file appears when it is whole. Nested values become JSON text in tables, and a cell that a
    spreadsheet would run gets an apostrophe before it.

    Args:
        spec: The dataset; every row has to be readable.
        path: Where to; its ending is the format, one of FORMATS.
        overwrite: Replace a file that is there.

    Raises:
        DatasetError: The format is unknown, the file is there, it is the dataset's own, or the
            rows do not fit into the format.
        OSError: The file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise DatasetError("export_format", f"'{path.name}' has no ending that can be written.",
                           f"Name a file that ends in {', '.join(FORMATS)}.")
    if any(path.resolve() == part.path for part in spec.parts):
        raise DatasetError("export_itself", f"'{path}' is the dataset's own file.",
                           "Name another file; a source is never changed.")
    if path.exists() and not overwrite:
        raise DatasetError("file_exists", f"There is already a file '{path}'.",
                           "Name another one, or replace it with --force.")
    with _finished(path) as made:
        return _WRITERS[suffix](spec, made)


@contextmanager
def _finished(path: Path) -> Iterator[Path]:
    """Give a temporary file beside ``path``; rename it into place when all went well."""
    handle, name = tempfile.mkstemp(dir=path.resolve().parent, prefix=".export-",
                                    suffix=path.suffix)
    os.close(handle)
    made = Path(name)
    try:
        yield made
        made.chmod(0o644)
        os.replace(made, path)
    except BaseException:
        made.unlink(missing_ok=True)
        raise
    fsync_folder(path.resolve().parent)


def _rows(spec: DatasetSpec) -> Iterator[Row]:
    for item in read(spec):
        if not isinstance(item, Row):
            raise DatasetError("bad_rows", item.message,
                               "Drop the bad rows first: finestra data fix NAME --drop-bad.")
        yield item


def _write_jsonl(spec: DatasetSpec, path: Path) -> int:
    count = 0
    with path.open("wb") as file:
        for row in _rows(spec):
            file.write(json_line(row.values))
            count += 1
    return count


def _write_json(spec: DatasetSpec, path: Path) -> int:
    count = 0
    with path.open("wb") as file:
        for row in _rows(spec):
            file.write(b"[\n" if not count else b",\n")
            file.write(json_line(row.values).rstrip(b"\n"))
            count += 1
        file.write(b"\n]\n")
    return count


def _columns(spec: DatasetSpec) -> list[str]:
    """Return every column that any row has, in the order in which they turn up."""
    return list(dict.fromkeys(name for row in _rows(spec) for name in row.values))


def _cell(value: Any) -> Any:
    """Return a value as a table has it: numbers as they are, anything nested as JSON text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else json_line(value).decode().rstrip("\n")
    return escape_cell(text)


def _write_table(spec: DatasetSpec, path: Path, delimiter: str) -> int:
    names, count = _columns(spec), 0
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        table = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        table.writerow(map(escape_cell, names))
        for row in _rows(spec):
            table.writerow([_cell(row.values.get(name)) for name in names])
            count += 1
    return count


def _write_csv(spec: DatasetSpec, path: Path) -> int:
    return _write_table(spec, path, ",")


def _write_tsv(spec: DatasetSpec, path: Path) -> int:
    return _write_table(spec, path, "\t")


def _write_xlsx(spec: DatasetSpec, path: Path) -> int:
    from openpyxl import Workbook

    names = _sheet_columns(spec)
    book = Workbook(write_only=True)
    sheet = book.create_sheet("data")
    sheet.append([_sheet_text(escape_cell(name)) for name in names])
    count = 0
    for row in _rows(spec):
        sheet.append([_sheet_cell(row, name) for name in names])
        count += 1
    book.save(path)
    return count


def _sheet_columns(spec: DatasetSpec) -> list[str]:
    """Return the columns; DatasetError when the rows do not fit into a sheet."""
    names: dict[str, None] = {}
    for count, row in enumerate(_rows(spec), start=1):
        if count > XLSX_ROWS:
            raise _too_large(f"more than {XLSX_ROWS:,} rows")
        for name in row.values:
            names.setdefault(name)
            if isinstance(cell := _sheet_cell(row, name), str) and len(cell) > XLSX_CELL:
                raise _too_large(f"row {row.number} has {len(cell):,} characters in "
                                 f"{listed([name])}; a cell holds {XLSX_CELL:,}")
        if len(names) > XLSX_COLUMNS:
            raise _too_large(f"more than {XLSX_COLUMNS:,} columns")
    return list(names)


def _sheet_cell(row: Row, name: str) -> Any:
    value = _cell(row.values.get(name))
    return _sheet_text(value) if isinstance(value, str) else value


def _sheet_text(text: str) -> str:
    """Return text without the control characters that a sheet cannot hold."""
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    return str(ILLEGAL_CHARACTERS_RE.sub("", text))


def _too_large(what: str) -> DatasetError:
    return DatasetError("export_too_large", f"An Excel file cannot hold this dataset: {what}.",
                        "Export it as .csv or .jsonl.")


_WRITERS: dict[str, Callable[[DatasetSpec, Path], int]] = {
    ".jsonl": _write_jsonl, ".json": _write_json, ".csv": _write_csv, ".tsv": _write_tsv,
    ".xlsx": _write_xlsx}

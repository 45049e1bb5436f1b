"""Reading rows from files, one at a time: a file of any size needs the memory of one row."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from trainer.data.bytesource import MAX_ROW_BYTES, lines, opened, text_lines, where_not_utf8
from trainer.data.jsonstream import array_rows, decode_json, first_character
from trainer.data.rows import DatasetError, Row, RowProblem, listed, shown
from trainer.data.sources import DatasetSpec

Read = Iterator[Row | RowProblem]


def read(spec: DatasetSpec, *, max_samples: int | None = None) -> Read:
    """Yield the rows of a dataset in the file's order.

    A row that cannot be read is yielded as a RowProblem in its place.

    Args:
        spec: What ``Registry.resolve`` found.
        max_samples: Only the first so many rows, problems counted; None for all.

    Raises:
        DatasetError: The file has no row at all, or cannot be read any further.
    """
    limits = [n for n in (max_samples, spec.entry and spec.entry.num_samples) if n]
    count = 0
    for item in islice(_READERS[spec.suffix](spec), min(limits) if limits else None):
        count += 1
        yield item if isinstance(item, Row) else _named(item, spec)
    if not count:
        raise DatasetError("empty", f"The file '{spec.file_name}' has no rows.",
                           "Choose a file with rows.")


def _named(problem: RowProblem, spec: DatasetSpec) -> RowProblem:
    """Put the row and the file before a reader's words."""
    text = f"Row {problem.row} of {spec.file_name} {problem.message}."
    return replace(problem, message=text)


def _read_jsonl(spec: DatasetSpec) -> Read:
    with opened(spec) as file:
        for number, line in lines(file):
            if line is None or line.strip():
                yield _json_row(number, line)


def _json_row(number: int, line: bytes | None) -> Row | RowProblem:
    """Read one line of JSON Lines."""
    if line is None:
        return RowProblem(number, "", "row_too_long",
                          f"is longer than {MAX_ROW_BYTES // 2**20} MiB")
    try:
        value = decode_json(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return RowProblem(number, "", "not_utf8",
                          f"is not UTF-8 ({where_not_utf8(error)})")
    except json.JSONDecodeError as error:
        return RowProblem(number, "", "not_json", f"is not JSON: {error.msg} at column "
                          f"{error.colno}; it begins {shown(error.doc.lstrip()[:40])}")
    except RecursionError:
        return RowProblem(number, "", "not_json", "is nested too deeply")
    except ValueError as error:
        return RowProblem(number, "", "not_json", f"is not JSON: {error}")
    return row_of(number, value)


def row_of(number: int, value: Any) -> Row | RowProblem:
    """Make a row of a JSON value, which must be an object."""
    if isinstance(value, dict):
        return Row(number, value)
    return RowProblem(number, "", "not_object",
                      f"is {shown(value)}, not an object with named columns")


def _read_json(spec: DatasetSpec) -> Read:
    with opened(spec) as file:
        start = first_character(file)
    if start == "{":
        return _read_objects(spec)
    if start == "[":
        return array_rows(spec, row_of)
    if not start:
        return iter(())
    raise DatasetError("not_json", f"'{spec.file_name}' is not JSON: it begins with '{start}'.",
                       "Save it as a JSON list of objects, or as JSON Lines.")


def _read_objects(spec: DatasetSpec) -> Read:
    """Read a .json file that begins with an object: JSON Lines under another name, or one object.

    Raises:
        DatasetError: It holds a single object rather than rows.
    """
    with opened(spec) as file:
        first = next(line for _, line in lines(file) if line is None or line.strip())
    if first is not None and isinstance(_json_row(1, first), Row):
        return _read_jsonl(spec)
    raise DatasetError("not_a_list", f"'{spec.file_name}' begins with one object, not with a "
                       "list of rows.",
                       "Save it as a JSON list of objects, or as JSON Lines: one object a line.")


def _read_table(spec: DatasetSpec) -> Read:
    csv.field_size_limit(MAX_ROW_BYTES)
    with opened(spec) as file:
        source = text_lines(spec, file)
        first = next((line for line in source if line.strip()), "")
        if not first:
            return
        delimiter = "\t" if spec.suffix == ".tsv" else _delimiter(first)
        names = _header(spec, first, delimiter)
        yield from _records(csv.reader(source, delimiter=delimiter, strict=True), names)


def _delimiter(header: str) -> str:
    """Return what separates the columns of a .csv: a comma unless only another one occurs."""
    return max(",;\t", key=header.count) if "," not in header else ","


def _header(spec: DatasetSpec, line: str, delimiter: str) -> list[str]:
    """Return the names of the columns; DatasetError when one is missing or there twice."""
    names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not all(names):
        what = f"names {listed(twice)} twice" if twice and all(names) else "has a nameless column"
        raise DatasetError("header", f"The first line of {spec.file_name} {what}.",
                           "The first line of a table names its columns, each once.")
    return names


def _records(table: Any, names: list[str]) -> Read:
    number = 0
    while True:
        try:
            cells = next(table)
        except StopIteration:
            return
        except csv.Error as error:
            number += 1
            yield RowProblem(number, "", "not_csv", f"cannot be read: {error}")
            continue
        if not cells:
            continue
        number += 1
        if len(cells) > len(names):
            yield RowProblem(number, "", "columns", f"has {len(cells)} cells, the "
                             f"header {len(names)}; cells that hold the separator need quotes")
        else:
            yield Row(number, dict(zip(names, cells, strict=False)))


def _read_text(spec: DatasetSpec) -> Read:
    number = 0
    with opened(spec) as file:
        for _, line in lines(file):
            if line is not None and not line.strip():
                continue
            number += 1
            yield _text_row(number, line)


def _text_row(number: int, line: bytes | None) -> Row | RowProblem:
    if line is None:
        return RowProblem(number, "text", "row_too_long",
                          f"is longer than {MAX_ROW_BYTES // 2**20} MiB")
    try:
        return Row(number, {"text": line.decode("utf-8")})
    except UnicodeDecodeError as error:
        return RowProblem(number, "text", "not_utf8",
                          f"is not UTF-8 ({where_not_utf8(error)})")


_READERS: dict[str, Callable[[DatasetSpec], Read]] = {
    ".jsonl": _read_jsonl, ".json": _read_json, ".csv": _read_table, ".tsv": _read_table,
    ".txt": _read_text, ".md": _read_text}

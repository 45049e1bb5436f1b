"""Tables as text: records of CSV and TSV files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from typing import Any

from trainer.data import bounds
from trainer.data.batches import Batch, Item, Source
from trainer.data.bytesource import Stream, lines, opened
from trainer.data.rows import DatasetError, Row, RowProblem, listed


def read_table(source: Source) -> Iterator[Batch]:
    """Read records; the first line names the columns."""
    csv.field_size_limit(bounds.MAX_ROW_BYTES)
    with opened(source.part, source.watch) as stream:
        feed = _lines(stream)
        first = next((line for line in feed if line.strip()), "")
        if not first:
            return
        delimiter = "\t" if source.part.suffix == ".tsv" else _delimiter(first)
        names = _header(source, first, delimiter)
        number = source.row
        records = _records(csv.reader(feed, delimiter=delimiter, strict=True), names, number)
        while items := list(islice(records, bounds.TABLE_ROWS)):
            yield Batch(number, 0, items, number + len(items))
            number += len(items)
        stream.finish()


def _lines(stream: Stream) -> Iterator[str]:
    for _, block in lines(stream):
        for line in (block or b"").decode("utf-8", "surrogateescape").splitlines(keepends=True):
            yield line


def _delimiter(header: str) -> str:
    """Return what separates the columns of a .csv: a comma unless only another one occurs."""
    return max(",;\t", key=header.count) if "," not in header else ","


def _header(source: Source, line: str, delimiter: str) -> list[str]:
    """Return the names of the columns."""
    return checked_names(source, [name.strip() for name in
                                  next(csv.reader([line], delimiter=delimiter))])


def checked_names(source: Source, names: list[str]) -> list[str]:
    """Return the names of a table's columns.

    Raises:
        DatasetError: ``header`` when one is missing or there twice.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not all(names):
        what = f"names {listed(twice)} twice" if twice and all(names) else "has a nameless column"
        raise DatasetError("header", f"The first line of {source.part.name} {what}.",
                           "The first line of a table names its columns, each once.")
    return names


def _records(table: Any, names: list[str], number: int) -> Iterator[Item]:
    while True:
        try:
            cells = next(table)
        except StopIteration:
            return
        except csv.Error as error:
            yield RowProblem(number, "", "not_csv", f"cannot be read: {error}")
            number += 1
            continue
        if not cells:
            continue
        if len(cells) > len(names):
            yield RowProblem(number, "", "columns", f"has {len(cells)} cells, the "
                             f"header {len(names)}; cells that hold the separator need quotes")
        else:
            yield Row(number, dict(zip(names, cells, strict=False)))
        number += 1

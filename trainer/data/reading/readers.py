"""Reading rows from files, one at a time: a file of any size needs the memory of a few rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module

from trainer.data.reading.batches import Batch, Item, Reader, Source
from trainer.data.reading.folders import splits_note
from trainer.data.reading.rowindex import Place, RowIndex, Watch, where_in
from trainer.data.reading.rows import DatasetError, Row, RowProblem
from trainer.data.reading.sources import DatasetSpec
from trainer.data.reading.watching import changed

_READERS = {".jsonl": "json_rows:read_jsonl", ".json": "json_rows:read_json",
            ".csv": "table:read_table", ".tsv": "table:read_table",
            ".txt": "lines:read_text", ".md": "lines:read_text",
            ".parquet": "columnar:read_parquet", ".arrow": "columnar:read_arrow",
            ".xlsx": "sheet:read_sheet"}


def read(spec: DatasetSpec, *, max_samples: int | None = None, start: int = 1,
         index: RowIndex | None = None, watch: Watch | None = None) -> Iterator[Item]:
    """Yield the rows of a dataset in the file's order.

    A row that cannot be read is yielded as a RowProblem in its place.

    Args:
        spec: What ``Registry.resolve`` found.
        max_samples: Only so many rows, problems counted; None for all.
        start: The number of the first row that is wanted.
        index: Where rows are, from an earlier reading; without one, all before ``start`` is read.
        watch: Filled while reading: progress, encodings, and the index of a whole reading.

    Raises:
        DatasetError: There is no row at all, the files cannot be read any further, change while
            they are read, or have changed since ``index`` was made.
    """
    limit, count = _limit(spec, max_samples, start), 0
    for items in read_batches(spec, start=start, index=index, watch=watch):
        if limit is not None and count + len(items) >= limit:
            yield from items[:limit - count]
            return
        count += len(items)
        yield from items


def _limit(spec: DatasetSpec, max_samples: int | None, start: int) -> int | None:
    kept = spec.entry.num_samples if spec.entry else None
    limits = [max_samples] if max_samples else []
    if kept:
        limits.append(max(kept - start + 1, 0))
    return min(limits, default=None)


def read_batches(spec: DatasetSpec, *, start: int = 1, index: RowIndex | None = None,
                 watch: Watch | None = None) -> Iterator[list[Item]]:
    """Yield the rows of ``read`` in lists, as they are read: for those who count fast.

    Raises:
        DatasetError: Like ``read``.
    """
    watch = watch or Watch()
    watch.bytes_total = spec.size()
    watch.index = RowIndex(spec.stamp())
    if index is not None:
        index.require(spec)
        if index.complete and start > index.rows:
            return
    if spec.is_folder and (note := splits_note(spec.file_name, spec.parts)):
        watch.note(note)
    place = index.nearest(start) if index is not None else Place(1, 0, 0, 0)
    watch.bytes_done = sum(size for _, size, _ in spec.stamp()[:place.part])
    empty = True
    for batch in _all_batches(spec, place, watch, start):
        items = batch.items
        if batch.row < start:
            items = [item for item in items if number_of(item) >= start]
        if items:
            empty = False
            yield items
    if empty and start == 1:
        raise DatasetError("empty", f"The {'folder' if spec.is_folder else 'file'} "
                           f"'{spec.file_name}' has no rows.", "Choose a file with rows.")
    if spec.stamp() != watch.index.stamp:
        raise changed(spec.file_name)
    watch.index.complete = place == (1, 0, 0, 0)


def _all_batches(spec: DatasetSpec, place: Place, watch: Watch,
                 wanted: int) -> Iterator[Batch]:
    """Yield batches from a place on, through all files; note where they are."""
    noted = place == (1, 0, 0, 0)
    row, offset, base = place.row, place.offset, place.base
    for number in range(place.part, len(spec.parts)):
        part = spec.parts[number]
        if noted:
            watch.index.begin_part(base)
        source = Source(part, watch, row, offset, base, wanted)
        for batch in _reader(part.suffix)(source):
            if noted and batch.offset:
                watch.index.add(batch.row, batch.offset)
            row = batch.following
            watch.index.rows = row - 1 if noted else 0
            yield batch._replace(items=[_named(item, spec, number, base) for item in batch.items]
                                 ) if _has_problems(batch) else batch
        base, offset = row - 1, 0


def _reader(suffix: str) -> Reader:
    """Import a format's reader: some need much that others do not."""
    module, _, name = _READERS[suffix].partition(":")
    found: Reader = getattr(import_module(f"trainer.data.reading.{module}"), name)
    return found


def _has_problems(batch: Batch) -> bool:
    return RowProblem in set(map(type, batch.items))


def _named(item: Item, spec: DatasetSpec, part: int, base: int) -> Item:
    """Put the row and the file before a reader's words."""
    if isinstance(item, Row):
        return item
    where = f"Row {item.row} of {spec.file_name}"
    if spec.is_folder:
        where = where_in(spec, part, item.row, item.row - base)
    return replace(item, message=f"{where} {item.message}.")


def row_at(spec: DatasetSpec, number: int, index: RowIndex | None = None) -> Item | None:
    """Return one row by its number; None when there is none of this number.

    Raises:
        DatasetError: Like ``read``.
    """
    for items in read_batches(spec, start=number, index=index):
        return items[0] if number_of(items[0]) == number else None
    return None


def number_of(item: Item) -> int:
    """Return the number of a row, or of the row that a problem is about."""
    return item.number if isinstance(item, Row) else item.row

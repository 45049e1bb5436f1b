"""Parquet and Arrow files: rows batch by batch, as plain Python values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import IO, Any

from trainer.data.reading import bounds
from trainer.data.reading.batches import Batch, Item, Source
from trainer.data.reading.columns import plain_column
from trainer.data.reading.features import label_names
from trainer.data.reading.rows import DatasetError, Row, listed
from trainer.data.reading.sniff import require_binary
from trainer.data.reading.watching import Guard, opened_raw

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


def read_parquet(source: Source) -> Iterator[Batch]:
    """Read a Parquet file; places are its row groups, counted from 0."""
    return _guarded(source, _parquet, ".parquet")


def read_arrow(source: Source) -> Iterator[Batch]:
    """Read an Arrow file or stream; places are its record batches, counted from 0."""
    return _guarded(source, _arrow, ".arrow")


def _guarded(source: Source, read: Callable[[Source, IO[bytes], Guard], Iterator[Batch]],
             kind: str) -> Iterator[Batch]:
    """Read, and say plainly what Arrow refuses."""
    import pyarrow

    with opened_raw(source.part) as file:
        guard = Guard(source.part, file, source.watch)
        require_binary(source.part, file.read(4096), kind)
        file.seek(0)
        try:
            yield from read(source, file, guard)
        except (pyarrow.ArrowException, EOFError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            guard.look(0)
            raise _damaged(source, error) from None
        guard.finish()


def _damaged(source: Source, error: Exception) -> DatasetError:
    what = str(error).splitlines()[0][:200].rstrip(".") if str(error) else type(error).__name__
    return DatasetError("damaged_file", f"'{source.part.name}' is damaged or not whole: {what}.",
                        "Copy or export it again.")


def _parquet(source: Source, file: IO[bytes], guard: Guard) -> Iterator[Batch]:
    from pyarrow import parquet

    table = parquet.ParquetFile(file, buffer_size=2**20, pre_buffer=False)
    columns = _Columns(source, table.schema_arrow)
    row, groups = source.row, table.num_row_groups
    for group in range(source.offset, groups):
        place, done = group, int(guard.size * (group + 0.5) / groups)
        for batch in table.iter_batches(bounds.TABLE_ROWS, row_groups=[group], use_threads=False):
            following = row + batch.num_rows
            items = columns.rows(batch, row) if following > source.wanted else []
            guard.look(done)
            yield Batch(row, place, items, following)
            row, place = following, 0


def _arrow(source: Source, file: IO[bytes], guard: Guard) -> Iterator[Batch]:
    from pyarrow import ipc

    is_file = file.read(6) == b"ARROW1"
    file.seek(0)
    table = ipc.open_file(file) if is_file else ipc.open_stream(file)
    columns, row = _Columns(source, table.schema), source.row
    for number, batch in _batches(table, source.offset):
        place = number
        for start in range(0, batch.num_rows, bounds.TABLE_ROWS):
            portion = batch.slice(start, bounds.TABLE_ROWS)
            following = row + portion.num_rows
            items = columns.rows(portion, row) if following > source.wanted else []
            guard.look(file.tell())
            yield Batch(row, place, items, following)
            row, place = following, 0


def _batches(table: Any, first: int) -> Iterator[tuple[int, Any]]:
    """Yield (number, record batch) of an Arrow file or stream."""
    if hasattr(table, "get_batch"):
        for number in range(first, table.num_record_batches):
            yield number, table.get_batch(number)
        return
    for number, batch in enumerate(table):
        if number >= first:
            yield number, batch


class _Columns:
    """The columns of a file: their names, and what makes their values plain."""

    def __init__(self, source: Source, schema: Any) -> None:
        names = [str(name) for name in schema.names]
        twice = sorted({name for name in names if names.count(name) > 1}) if (
            len(set(names)) < len(names)) else []
        if twice:
            raise DatasetError("header", f"'{source.part.name}' has two columns {listed(twice)}.",
                               "Give each column a name of its own.")
        self._at = [at for at, name in enumerate(names) if not _PANDAS_INDEX.fullmatch(name)]
        self._names = [names[at] for at in self._at]
        self._labels = label_names(schema)
        for name, labels in self._labels.items():
            source.watch.note(f"The numbers of the column '{name}' are read as their names: "
                              f"{listed(labels, 6)}.")

    def rows(self, batch: Any, row: int) -> list[Item]:
        """Return the rows of a record batch, numbered from ``row``."""
        columns = [self._named(name, plain_column(batch.column(at)))
                   for at, name in zip(self._at, self._names, strict=True)]
        if not columns:
            return [Row(row + at, {}) for at in range(batch.num_rows)]
        return [Row(at, dict(zip(self._names, cells, strict=True)))
                for at, cells in enumerate(zip(*columns, strict=True), row)]

    def _named(self, name: str, values: list[Any]) -> list[Any]:
        labels = self._labels.get(name)
        if not labels:
            return values
        return [labels[value] if isinstance(value, int) and 0 <= value < len(labels) else value
                for value in values]

"""Parquet and Arrow files: rows batch by batch, as plain Python values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, Any

from trainer.data import bounds
from trainer.data.batches import Batch, Item, Source
from trainer.data.bytesource import changed, opened_raw, require_same
from trainer.data.columns import plain_column
from trainer.data.rows import DatasetError, Row
from trainer.data.sniff import require_binary


class _Opened:
    """An open file that is watched for changes."""

    def __init__(self, source: Source, file: IO[bytes], kind: str) -> None:
        import os

        self._source, self._file, self._os = source, file, os
        found = os.fstat(file.fileno())
        self._seen = found.st_size, found.st_mtime_ns
        self._before = source.watch.bytes_done
        require_binary(source.part, file.read(4096), kind)
        file.seek(0)

    def look(self, done: float) -> None:
        """Refuse a file that is being written to; tell which share of it was read."""
        found = self._os.fstat(self._file.fileno())
        if (found.st_size, found.st_mtime_ns) != self._seen:
            raise changed(self._source.part)
        self._source.watch.bytes_done = self._before + int(self._seen[0] * done)

    def finish(self) -> None:
        """Refuse a file that was changed or replaced."""
        self.look(1.0)
        require_same(self._source.part, self._file, self._seen)


def _guarded(source: Source, read: Callable[[Source, IO[bytes], _Opened], Iterator[Batch]],
             kind: str) -> Iterator[Batch]:
    """Read, and say plainly what Arrow refuses."""
    import pyarrow

    with opened_raw(source.part) as file:
        opened = _Opened(source, file, kind)
        try:
            yield from read(source, file, opened)
        except (pyarrow.ArrowException, EOFError) as error:
            opened.look(0.0)
            raise _damaged(source, error) from None
        except OSError as error:
            if error.errno is not None:
                raise
            opened.look(0.0)
            raise _damaged(source, error) from None
        opened.finish()


def _damaged(source: Source, error: Exception) -> DatasetError:
    what = str(error).splitlines()[0][:200].rstrip(".") if str(error) else type(error).__name__
    return DatasetError("damaged_file", f"'{source.part.name}' is damaged or not whole: {what}.",
                        "Copy or export it again.")


def read_parquet(source: Source) -> Iterator[Batch]:
    """Read a Parquet file; places are its row groups, counted from 0."""
    return _guarded(source, _parquet, ".parquet")


def _parquet(source: Source, file: IO[bytes], opened: _Opened) -> Iterator[Batch]:
    from pyarrow import parquet

    table = parquet.ParquetFile(file, buffer_size=2**20, pre_buffer=False)
    row, groups = source.row, table.num_row_groups
    for group in range(source.offset, groups):
        offset = group
        batches = table.iter_batches(bounds.TABLE_ROWS, row_groups=[group], use_threads=False)
        for batch in batches:
            items = _rows(batch, row)
            opened.look((group + 0.5) / groups)
            yield Batch(row, offset, items, row + len(items))
            row, offset = row + len(items), 0


def read_arrow(source: Source) -> Iterator[Batch]:
    """Read an Arrow file or stream; places are batches of a file, bytes of a stream."""
    return _guarded(source, _arrow, ".arrow")


def _arrow(source: Source, file: IO[bytes], opened: _Opened) -> Iterator[Batch]:
    from pyarrow import ipc

    if file.read(6) != b"ARROW1":
        file.seek(0)
        yield from _stream(source, file, opened)
        return
    file.seek(0)
    table, row = ipc.open_file(file), source.row
    for number in range(source.offset, table.num_record_batches):
        for offset, items in _sliced(table.get_batch(number), row, number):
            opened.look(number / table.num_record_batches)
            yield Batch(row, offset, items, row + len(items))
            row += len(items)


def _stream(source: Source, file: IO[bytes], opened: _Opened) -> Iterator[Batch]:
    from pyarrow import ipc

    table, row = ipc.open_stream(file), source.row
    size = max(source.watch.bytes_total, 1)
    number = 0
    for batch in table:
        number += 1
        if number <= source.offset:
            continue
        for offset, items in _sliced(batch, row, number - 1):
            opened.look(min(file.tell() / size, 1.0))
            yield Batch(row, offset, items, row + len(items))
            row += len(items)


def _sliced(batch: Any, row: int, place: int) -> Iterator[tuple[int, list[Item]]]:
    """Yield (place, rows) of a batch in portions; only the first has a place."""
    for start in range(0, batch.num_rows, bounds.TABLE_ROWS):
        portion = batch.slice(start, bounds.TABLE_ROWS)
        yield (0 if start else place), _rows(portion, row + start)


def _rows(batch: Any, row: int) -> list[Item]:
    names = batch.schema.names
    if len(set(names)) < len(names):
        raise DatasetError("header", "Two columns have the same name.", "Rename one of them.")
    columns = [plain_column(batch.column(at)) for at in range(len(names))]
    if not columns:
        return [Row(row + at, {}) for at in range(batch.num_rows)]
    return [Row(at, dict(zip(names, cells, strict=True)))
            for at, cells in enumerate(zip(*columns, strict=True), row)]

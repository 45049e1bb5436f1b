"""One row of a dataset by its number, without reading all that is before it."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from trainer.data.checking.reports import Asked, ReportStore
from trainer.data.reading.batches import Item
from trainer.data.reading.readers import number_of, read_batches
from trainer.data.reading.rowindex import RowIndex, Watch
from trainer.data.reading.rows import DatasetError
from trainer.data.reading.sources import DatasetSpec, Stamp
from trainer.data.shapes.recognise import Shape

KEPT = 8
_seen: OrderedDict[Stamp, RowIndex] = OrderedDict()


def reports_folder(home: Path) -> Path:
    """Return where the reports of checks are kept."""
    return home / "cache" / "reports"


def find_row(spec: DatasetSpec, number: int, home: Path | None,
             shape: Shape | None = None) -> tuple[Item, str]:
    """Return a row, or what is wrong with it, and how it is called in a message.

    The index that a check left in the home says where to begin; else that of the last look.

    Raises:
        DatasetError: There is no such row (``no_such_row``), or the file cannot be read.
    """
    stamp = spec.stamp()
    index = _kept_index(spec, home, shape) or _seen.get(stamp)
    watch = Watch()
    for items in read_batches(spec, start=number, index=index, watch=watch):
        if index is None:
            _remember(stamp, watch.index)
        if number_of(items[0]) != number:
            break
        return items[0], Watch(index=index or watch.index).where(spec, number)
    raise DatasetError("no_such_row", f"There is no row {number:,} in '{spec.name}'.",
                       "Choose another number.")


def _kept_index(spec: DatasetSpec, home: Path | None, shape: Shape | None) -> RowIndex | None:
    if home is None:
        return None
    store = ReportStore(reports_folder(home))
    return store.index_of(spec) or (store.index_of(spec, Asked(shape)) if shape else None)


def _remember(stamp: Stamp, index: RowIndex) -> None:
    _seen[stamp] = index
    while len(_seen) > KEPT:
        _seen.popitem(last=False)

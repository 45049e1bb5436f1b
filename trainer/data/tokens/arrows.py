"""Token rows in an Arrow file (IPC stream), which ``datasets.Dataset.from_file`` maps into memory.

The columns of conversations and plain text are ``input_ids`` and ``labels``, of pairs
``prompt_ids``, ``chosen_ids`` and ``rejected_ids``, of judged answers ``prompt_ids``,
``completion_ids`` and ``label`` (true or false), of prompts ``prompt_ids``, ``prompt``,
``question`` and ``reference``, of texts with a class ``input_ids`` and ``label`` (the class's
name); and always ``row`` (of the file), ``length`` and ``trained`` (in tokens) and ``cut``. Whole
documents before they are cut into blocks have ``input_ids`` alone.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from trainer.contract.config.facts import RowKind
from trainer.data.tokens.fit import Fitted, FittedAnswer, FittedPair, FittedPrompt, FittedRow
from trainer.data.tokens.tokenizer import IGNORED, TokenizedRow

Layout = RowKind | Literal["documents"]
LISTS: dict[Layout, tuple[str, ...]] = {
    "turns": ("input_ids", "labels"), "text": ("input_ids", "labels"),
    "pairs": ("prompt_ids", "chosen_ids", "rejected_ids"),
    "judged": ("prompt_ids", "completion_ids"), "prompts": ("prompt_ids",),
    "labelled": ("input_ids",), "documents": ("input_ids",)}
# Columns of one value a row, and their Arrow type.
SINGLE: dict[Layout, dict[str, str]] = {
    "judged": {"label": "bool"},
    "prompts": {"prompt": "string", "question": "string", "reference": "string"},
    "labelled": {"label": "string"}}
_COUNTS = ("row", "length", "trained", "cut")
BATCH_ROWS = 1000
BATCH_TOKENS = 4_000_000


def schema(rows: Layout) -> Any:
    """Return the Arrow schema of a kind of rows."""
    import pyarrow as pa

    single = [(name, pa.type_for_alias(kind)) for name, kind in SINGLE.get(rows, {}).items()]
    return pa.schema([*((name, pa.list_(pa.int32())) for name in LISTS[rows]), *single,
                      ("row", pa.int64()), ("length", pa.int32()), ("trained", pa.int32()),
                      ("cut", pa.bool_())])


class TokenWriter:
    """Writes rows as they come; token lists go into flat arrays, not through Python objects."""

    def __init__(self, path: Path, rows: Layout) -> None:
        """Begin a file."""
        import pyarrow as pa

        self._schema = schema(rows)
        self._writer = pa.ipc.new_stream(str(path), self._schema)
        self._lists = [_Lists() for _ in LISTS[rows]]
        self._single = tuple(SINGLE.get(rows, ()))
        self._plain: dict[str, list[Any]] = {}
        self._clear()

    def __enter__(self) -> TokenWriter:
        """Return the writer; leaving the block ends the file."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Write what is left, unless something went wrong, and close the file."""
        if kind is None:
            self._flush()
        self._writer.close()

    def add(self, item: Fitted) -> None:
        """Write one example."""
        if isinstance(item, FittedRow):
            self._add(tokens_and_labels(item.tokens)[:len(self._lists)], item)
        elif isinstance(item, FittedPair):
            self._add((item.prompt_ids, item.chosen_ids, item.rejected_ids), item)
        elif isinstance(item, FittedAnswer):
            self._add((item.prompt_ids, item.completion_ids), item)
        elif isinstance(item, FittedPrompt):
            self._add((item.prompt_ids,), item)
        else:
            self._add((item.input_ids,), item)

    def _add(self, values: Sequence[Iterable[int]], item: Fitted) -> None:
        for column, ids in zip(self._lists, values, strict=True):
            column.add(ids)
        plain = self._plain
        for name in self._single:
            plain[name].append(getattr(item, name))
        plain["row"].append(item.row)
        plain["length"].append(item.length)
        plain["trained"].append(item.trained_tokens)
        plain["cut"].append(bool(item.cut_turns or item.cut_tokens))
        if len(plain["row"]) >= BATCH_ROWS or len(self._lists[0].values) >= BATCH_TOKENS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._plain["row"]:
            return
        plain = [pa.array(self._plain[field.name], field.type)
                 for field in self._schema if field.name in self._plain]
        arrays = [column.take() for column in self._lists] + plain
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))
        self._clear()

    def _clear(self) -> None:
        self._plain = {name: [] for name in (*self._single, *_COUNTS)}


class _Lists:
    """A column of lists, as Arrow holds it: all values, and where each list ends."""

    def __init__(self) -> None:
        self.values, self._ends = array("i"), array("i", [0])

    def add(self, ids: Iterable[int]) -> None:
        self.values.extend(ids)
        self._ends.append(len(self.values))

    def take(self) -> Any:
        """Return the column and begin a new one; Arrow keeps the memory of the old."""
        import pyarrow as pa

        values, ends = self.values, self._ends
        self.values, self._ends = array("i"), array("i", [0])
        flat = pa.Array.from_buffers(pa.int32(), len(values), [None, pa.py_buffer(values)])
        places = pa.Array.from_buffers(pa.int32(), len(ends), [None, pa.py_buffer(ends)])
        return pa.ListArray.from_arrays(places, flat)


def tokens_and_labels(row: TokenizedRow) -> tuple[array[int], array[int]]:
    """Return ``row.input_ids`` and ``row.labels`` as arrays."""
    ids = array("i", row.input_ids)
    labels = array("i", [IGNORED]) * len(ids)
    for first, last in row.trained:
        labels[first:last] = ids[first:last]
    return ids, labels


def join(parts: Sequence[Path], target: Path) -> None:
    """Write the rows of several files into one, in order, batch by batch."""
    import pyarrow as pa

    if len(parts) == 1:
        parts[0].rename(target)
        return
    writer = None
    for part in parts:
        with pa.memory_map(str(part)) as file, pa.ipc.open_stream(file) as reader:
            writer = writer or pa.ipc.new_stream(str(target), reader.schema)
            for batch in reader:
                writer.write_batch(batch)
        part.unlink()
    if writer is not None:
        writer.close()

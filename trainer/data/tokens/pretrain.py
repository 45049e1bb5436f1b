"""Plain text as tokens: documents one after the other, cut into blocks of one length.

Nothing is lost: a document that does not fit goes on in the next block, and the very last block is
as short as it is. The blocks are the same however many processes encoded the documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.data.tokens.fit import FittedRow
from trainer.data.tokens.tokenizer import all_trained

if TYPE_CHECKING:
    from trainer.data.tokens.arrows import TokenWriter
    from trainer.data.tokens.tokenize import Counts


def cut_blocks(parts: Sequence[Path], writer: TokenWriter, length: int, counts: Counts) -> None:
    """Join the documents of several files, cut them into blocks, write and count those.

    Args:
        parts: Files with the columns ``row`` and ``input_ids``; they are removed.
        writer: Takes the blocks.
        length: Tokens of a block.
        counts: Of the documents; the blocks' tokens are added.
    """
    rest: list[int] = []
    begun = 0
    for part in parts:
        for row, ids in _documents(part):
            begun = begun if rest else row
            rest += ids
            place = 0
            while len(rest) - place >= length:
                _write(writer, counts, begun, rest[place:place + length])
                place, begun = place + length, row
            rest = rest[place:]
        part.unlink()
    if rest:
        _write(writer, counts, begun, rest)


def _write(writer: TokenWriter, counts: Counts, row: int, ids: list[int]) -> None:
    """Write one block, named by the row that it begins in."""
    writer.add(FittedRow(row, all_trained(ids)))
    counts.add_tokens(len(ids), len(ids))


def _documents(path: Path) -> Iterator[tuple[int, list[int]]]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
        batch: Any
        for batch in reader:
            yield from zip(batch.column("row").to_pylist(),
                           batch.column("input_ids").to_pylist(), strict=True)

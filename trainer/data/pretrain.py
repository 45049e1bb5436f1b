"""Plain text as tokens: documents one after the other, cut into blocks of one length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from trainer.data.loaded import Loaded
from trainer.data.messages import Example


def document_ids(example: Example, model: Loaded) -> list[int]:
    """Return one document's tokens, between the tokens that begin and end a text.

    What looks like a special token in the text stays text.
    """
    bos, eos = model.edges
    return [*bos, *model.tokenizer.encode(model.tokenizer.plain(example.text)).input_ids, *eos]


def blocks(documents: Iterable[tuple[int, list[int]]],
           length: int) -> Iterator[tuple[int, list[int]]]:
    """Join documents and cut them into blocks; the last one may be shorter.

    Args:
        documents: (row, tokens) of each.
        length: Tokens of a block.

    Yields:
        (row that the block begins in, tokens).
    """
    rest: list[int] = []
    begun = 0
    for row, ids in documents:
        begun = begun if rest else row
        rest += ids
        place = 0
        while len(rest) - place >= length:
            yield begun, rest[place:place + length]
            place += length
            begun = row
        rest = rest[place:]
    if rest:
        yield begun, rest


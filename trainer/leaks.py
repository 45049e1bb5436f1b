"""Held-out rows that stand in the training data: then memory is measured, not learning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trainer.context import Context
from trainer.data.checking import leakage
from trainer.tokens import Rows, TokenSet

FIRST = 5
ROW = "rows stand"
PROMPT = "rows have a prompt that stands, with another answer,"


def warn(context: Context, train: Rows, held: Rows) -> None:
    """Say how many held-out rows are also trained on, and which are the first."""
    if not len(held):
        return
    limited = any(one.request.max_samples for one in train.sets)
    if limited or held.sets == train.sets:
        _warn_of(context, *_same_tokens(train, held), ROW)
        return
    context.emit.stage("reading", "Looking for evaluation rows in the training data")
    specs = [one.request.data.spec() for one in train.sets]
    for one in held.sets:
        found = leakage.find(specs, one.request.data.spec())
        rows = {kind: [pair.row for pair in found.pairs if pair.kind == kind]
                for kind in ("row", "prompt")}
        _warn_of(context, found.same_row, rows["row"], ROW)
        _warn_of(context, found.same_prompt, rows["prompt"], PROMPT)


def _warn_of(context: Context, count: int, rows: Sequence[int], what: str) -> None:
    if not count:
        return
    first = ", ".join(f"{row:,}" for row in rows[:FIRST])
    more = ", ..." if count > FIRST else ""
    context.emit.warn("leakage", f"{count:,} evaluation {what} in the training data "
                      f"(rows {first}{more}): what is measured on them is memory.")


def _same_tokens(train: Rows, held: Rows) -> tuple[int, list[int]]:
    """Return how many held-out rows are trained on as they are, and their numbers."""
    known = set(_hashes(train))
    found = [number for number, value in zip(held.numbers("row"), _hashes(held), strict=True)
             if value in known]
    return len(found), found


def _hashes(rows: Rows) -> list[int]:
    """Return a hash of each row's tokens, in order."""
    columns = [name for name in rows.columns if name.endswith("_ids")]
    whole = [value for one in rows.sets for value in _hashes_of(one, columns)]
    return [whole[i] for i in rows.order]


def _hashes_of(one: TokenSet, columns: list[str]) -> Iterator[int]:
    from xxhash import xxh3_64_intdigest

    for batch in one.table.data.table.select(columns).to_batches():
        lists = [(column.offsets.to_numpy(), column.values.to_numpy()) for column in batch]
        for index in range(len(batch)):
            yield xxh3_64_intdigest(b"|".join(
                values[ends[index]:ends[index + 1]].tobytes() for ends, values in lists))

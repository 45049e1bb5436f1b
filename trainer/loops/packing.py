"""Several rows in one sequence, each blind to the others.

A packed sequence has no attention mask: its position ids begin at 0 with every row, from which
Transformers knows where rows end. What is packed with what depends on lengths and seed only, so
that a resumed run finds the same sequences.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn.utils.rnn import pad_sequence

from trainer.failures import Failure

if TYPE_CHECKING:
    from trainer.context import Context
    from trainer.splits import Split, Splits


class Piece(NamedTuple):
    """Some tokens of a row: ``row[start:stop]``."""

    row: int
    start: int
    stop: int


def best_fit(lengths: Sequence[int], capacity: int, order: Sequence[int]) -> list[list[Piece]]:
    """Pack whole rows, the longest first, each into the fullest sequence that has room.

    Best-fit decreasing (arXiv:2404.10830). Rows of one token teach nothing and are left out.

    Args:
        lengths: Tokens of each row, at most ``capacity``.
        capacity: Tokens of a sequence.
        order: The rows to pack; decides between rows of one length.
    """
    packs: list[list[Piece]] = []
    room: dict[int, list[int]] = {}
    rooms: list[int] = []
    for row in sorted(order, key=lambda i: -lengths[i]):
        length = lengths[row]
        assert length <= capacity
        if length < 2:
            continue
        place = bisect.bisect_left(rooms, length)
        if place == len(rooms):
            free, index = capacity, len(packs)
            packs.append([])
        else:
            free = rooms[place]
            index = room[free].pop(0)
            if not room[free]:
                rooms.pop(place)
        packs[index].append(Piece(row, 0, length))
        _put_back(rooms, room, free - length, index)
    return packs


def _put_back(rooms: list[int], room: dict[int, list[int]], free: int, index: int) -> None:
    waiting = room.setdefault(free, [])
    if not waiting:
        bisect.insort(rooms, free)
    waiting.append(index)


def wrapped(lengths: Sequence[int], capacity: int, order: Sequence[int]) -> list[list[Piece]]:
    """Fill sequences to the brim; a row that does not fit goes on in the next one.

    A piece of a row does not see the piece before it. Pieces of one token are left out.
    """
    packs: list[list[Piece]] = [[]]
    room = capacity
    for row in order:
        start = 0
        while start < lengths[row]:
            if room == 0:
                packs.append([])
                room = capacity
            stop = min(lengths[row], start + room)
            if stop - start > 1:
                packs[-1].append(Piece(row, start, stop))
            room -= stop - start
            start = stop
    return [pack for pack in packs if pack]


@dataclass(frozen=True)
class Packed:
    """A split whose rows are sequences of rows; ``fill`` is the share of them that is used."""

    split: Split
    fill: float


def pack_training(context: Context, splits: Splits) -> Splits:
    """Return the splits with packed training rows when the config asks for it; says how many."""
    from dataclasses import replace

    config = context.config
    strategy = config.training.packing
    if config.facts.rows != "turns" or config.objective != "sft" or strategy == "none":
        return splits
    capacity = config.data.max_length
    packed = pack(splits.train, strategy, capacity,
                  seed=config.training.seed if config.data.shuffle else None)
    context.emit.choose("training.packing", strategy, f"{len(splits.train):,} rows became "
                        f"{len(packed.split):,} sequences of at most {capacity:,} tokens, "
                        f"{packed.fill:.0%} full; a batch counts sequences")
    return replace(splits, train=packed.split)


def blind_collator(context: Context, model: Any, pad_token_id: int) -> BlindCollator | None:
    """Return what makes batches of packed or padding-free rows; None where rows are padded.

    Raises:
        Failure: Rows of this model see each other when they are packed.
    """
    training = context.config.training
    if context.config.objective != "sft":
        return None
    if training.packing == "none" and not training.padding_free:
        return None
    _require_blind(model)
    flash = str(model.config._attn_implementation or "").startswith("flash")
    if training.padding_free and not flash:
        context.emit.choose("training.padding_free", True, "exact, but no faster without "
                            "FlashAttention: attention is computed over the whole batch")
    return BlindCollator(pad_token_id, flat=training.padding_free or flash)


def _require_blind(model: Any) -> None:
    """Refuse a model in which a packed row is not what it is by itself.

    Half precision rounds coarsely, and so does LLM.int8, whose outlier columns are those of the
    whole batch (arXiv:2208.07339, section 3.2).
    """
    coarse = (model.dtype in (torch.bfloat16, torch.float16)
              or getattr(model, "quantization_method", None) is not None)
    try:
        seen = sees_other_rows(model, tolerance=5e-2 if coarse else 1e-3)
    except TypeError as error:
        seen = f"it takes no position ids ({error})"
    if seen:
        raise Failure("packing_leaks", f"Rows of a '{model.config.model_type}' model cannot be "
                      f"packed with the attention '{model.config._attn_implementation}': {seen}.",
                      "Set training.packing to 'none' and switch training.padding_free off; "
                      "grouping by length saves most of the padding.")


def pack(split: Split, strategy: str, capacity: int, *, seed: int | None) -> Packed:
    """Return the split as packed sequences with the columns input_ids, labels and seq_lengths.

    Args:
        split: Token rows.
        strategy: 'bfd' or 'wrapped'.
        capacity: Tokens of a sequence.
        seed: Rows are shuffled with it before; None keeps their order.
    """
    from datasets import Dataset

    from trainer.splits import Split

    order = list(range(len(split)))
    if seed is not None:
        random.Random(f"pack:{seed}").shuffle(order)
    packs = (best_fit if strategy == "bfd" else wrapped)(split.lengths, capacity, order)
    columns = {name: [[getattr(piece, name) for piece in one] for one in packs]
               for name in Piece._fields}
    dataset = Dataset.from_dict(columns).with_transform(_Gather(split.dataset))
    lengths = [sum(piece.stop - piece.start for piece in one) for one in packs]
    return Packed(Split(dataset, lengths), sum(lengths) / max(1, capacity * len(lengths)))


class _Gather:
    """Reads the tokens of a batch of packs; the tokens stay in their files."""

    def __init__(self, tokens: Any) -> None:
        self._tokens = tokens

    def __reduce__(self) -> tuple[Any, ...]:
        """Be known to ``datasets`` by the tokens' fingerprint, not by their content."""
        return (str, (f"packed:{self._tokens._fingerprint}",))

    def __deepcopy__(self, memo: dict[int, Any]) -> _Gather:
        """Stay the same one when ``datasets`` copies its formats."""
        return self

    def __call__(self, packs: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        found: dict[str, list[list[int]]] = {"input_ids": [], "labels": [], "seq_lengths": []}
        for rows, starts, stops in zip(packs["row"], packs["start"], packs["stop"], strict=True):
            tokens = self._tokens[rows]
            for name in ("input_ids", "labels"):
                found[name].append([token for row, start, stop in
                                    zip(tokens[name], starts, stops, strict=True)
                                    for token in row[start:stop]])
            found["seq_lengths"].append([stop - start for start, stop in
                                         zip(starts, stops, strict=True)])
        return found


@dataclass(frozen=True)
class BlindCollator:
    """Makes batches of rows or packed sequences in which no row sees another.

    ``flat`` lays the whole batch end to end, (1, T), which padding-free training is and what
    FlashAttention needs, with the borders as it wants them; else each sequence is a line of the
    batch, (B, T), and only the ends of lines are padded.
    """

    pad_token_id: int
    flat: bool

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Return input_ids, labels and position_ids; the first token of a row is not learned."""
        ids = [torch.tensor(row["input_ids"]) for row in rows]
        labels = [torch.tensor(row["labels"]) for row in rows]
        sizes = [row.get("seq_lengths") or [len(row["input_ids"])] for row in rows]
        places = [torch.cat([torch.arange(size) for size in line]) for line in sizes]
        for label, place in zip(labels, places, strict=True):
            label[place == 0] = -100
        if not self.flat:
            return {"input_ids": _padded(ids, self.pad_token_id), "labels": _padded(labels, -100),
                    "position_ids": _padded(places, 0)}
        lengths = torch.tensor([size for line in sizes for size in line])
        borders = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)]).int()
        longest = int(lengths.max())
        return {"input_ids": torch.cat(ids)[None], "labels": torch.cat(labels)[None],
                "position_ids": torch.cat(places)[None],
                "cu_seq_lens_q": borders, "cu_seq_lens_k": borders,
                "max_length_q": longest, "max_length_k": longest}


def _padded(lines: list[torch.Tensor], value: int) -> torch.Tensor:
    return pad_sequence(lines, batch_first=True, padding_value=value)


def count_tokens(position_ids: torch.Tensor) -> int:
    """Return how many tokens of (B, T) are no padding.

    Padding has the position 0 and is not followed by a position 1, as the first token of a row is.
    """
    following = torch.nn.functional.pad(position_ids[:, 1:], (0, 1))
    return int(position_ids.numel() - ((position_ids == 0) & (following != 1)).sum())


def sees_other_rows(model: Any, *, tolerance: float) -> str:
    """Try whether rows of a packed sequence see each other; returns what was seen, or ''.

    The second row must say the same whatever stands before it, and the same as when it is alone.

    Args:
        model: A causal language model, with or without an adapter.
        tolerance: Largest difference of logits that is rounding, relative to the largest logit.
    """
    device = next(model.parameters()).device
    chance = torch.Generator().manual_seed(0)
    size = min(model.config.get_text_config().vocab_size, 1000)
    first, other, row = torch.randint(size // 2, size, (3, 12), generator=chance).to(device)
    place = torch.arange(12, device=device)

    def say(*rows: torch.Tensor) -> torch.Tensor:
        out = model(input_ids=torch.cat(rows)[None], use_cache=False,
                    position_ids=torch.cat([place] * len(rows))[None])
        logits: torch.Tensor = out.logits[0, -12:].float()
        return logits

    training = model.training
    model.eval()
    with torch.no_grad():
        alone, after, after_other = say(row), say(first, row), say(other, row)
    model.train(training)
    scale = tolerance * float(alone.abs().max())
    if float((after - after_other).abs().max()) > scale:
        return "a row sees the row before it"
    if float((after - alone).abs().max()) > scale:
        return "a row says something else than by itself"
    return ""

"""Several datasets as one: which rows a run sees, in which order, before it is shuffled. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, repeat
from typing import Literal

Strategy = Literal["concat", "interleave_under", "interleave_over"]
_DRAWN = 1000
_COUNTED = 10_000_000


def mixed_order(counts: Sequence[int], weights: Sequence[float | None],
                strategy: Strategy = "concat", seed: int = 0) -> Sequence[int]:
    """Return the rows of a mixture, as numbers in the datasets put one after the other.

    ``concat``: one dataset after the other; a weight of 2.5 takes every row twice and half of the
    rows, drawn by the seed, once more. ``interleave_under`` and ``interleave_over``: in turns,
    drawn by weight (strictly in turns when no weight is given), until the first dataset is used
    up, or until every one has been, those that are begin again. That is what LLaMA-Factory does,
    to the row.

    Args:
        counts: Rows of each dataset.
        weights: Of each; None counts as 1.
        strategy: How.
        seed: The same seed gives the same order.
    """
    starts = [0, *accumulate(counts)][:-1]
    if strategy == "concat":
        return _concat(counts, starts, weights, seed)
    full = [index for index, count in enumerate(counts) if count]
    if not full:
        return range(0)
    chosen = [counts[i] for i in full]
    over = strategy == "interleave_over"
    if any(weights[i] is not None for i in full):
        shares = [weights[i] or 1.0 for i in full]
        turns = _drawn(chosen, shares, over, seed)
    else:
        turns = _in_turns(chosen, over)
    return [starts[full[which]] + row for which, row in turns]


def mixed_rows(counts: Sequence[int], weights: Sequence[float | None],
               strategy: Strategy = "concat", seed: int = 0) -> int:
    """Return how many rows ``mixed_order`` would return, without making them.

    Exact for less than ``_COUNTED`` turns; what is drawn less often is used up when its share says.
    """
    if strategy == "concat":
        shares = [divmod(1.0 if weight is None else weight, 1) for weight in weights]
        return sum(count * int(whole) + round(part * count)
                   for count, (whole, part) in zip(counts, shares, strict=True))
    full = [index for index, count in enumerate(counts) if count]
    if not full:
        return 0
    chosen, last = [counts[i] for i in full], max if strategy == "interleave_over" else min
    if all(weights[i] is None for i in full):
        return len(full) * last(chosen)
    return last(_used_up(chosen, [weights[i] or 1.0 for i in full], seed))


def _used_up(counts: Sequence[int], weights: Sequence[float], seed: int) -> list[int]:
    """Return after how many turns each dataset is used up for the first time."""
    import numpy as np

    generator = np.random.default_rng(seed)
    shares = np.array(weights) / sum(weights)
    turns, places, found = 0, [0] * len(counts), [0] * len(counts)
    while not all(found):
        if turns >= _COUNTED:
            return [known or round(count / share)
                    for known, count, share in zip(found, counts, shares, strict=True)]
        drawn = generator.choice(len(counts), size=_DRAWN, p=shares)
        for which, count in enumerate(counts):
            mine = np.flatnonzero(drawn == which)
            if not found[which] and places[which] + len(mine) >= count:
                found[which] = turns + int(mine[count - places[which] - 1]) + 1
            places[which] += len(mine)
        turns += _DRAWN
    return found


def _concat(counts: Sequence[int], starts: Sequence[int], weights: Sequence[float | None],
            seed: int) -> Sequence[int]:
    if all(weight in (None, 1) for weight in weights):
        return range(sum(counts))
    order: list[int] = []
    for index, (count, start, weight) in enumerate(zip(counts, starts, weights, strict=True)):
        whole, part = divmod(1.0 if weight is None else weight, 1)
        order += chain.from_iterable(repeat(range(start, start + count), int(whole)))
        share = random.Random(f"mix:{seed}:{index}").sample(range(count), round(part * count))
        order += [start + row for row in sorted(share)]
    return order


def _in_turns(counts: Sequence[int], over: bool) -> Iterator[tuple[int, int]]:
    """Yield (dataset, row), every dataset in every round."""
    for row in range(max(counts) if over else min(counts)):
        for which, count in enumerate(counts):
            yield which, row % count


def _drawn(counts: Sequence[int], weights: Sequence[float], over: bool,
           seed: int) -> Iterator[tuple[int, int]]:
    """Yield (dataset, row), the dataset drawn by weight."""
    import numpy as np

    generator = np.random.default_rng(seed)
    shares = np.array(weights) / sum(weights)
    places = [0] * len(counts)
    used_up: set[int] = set()
    while True:
        for which in generator.choice(len(counts), size=_DRAWN, p=shares).tolist():
            if len(used_up) == len(counts) or (used_up and not over):
                return
            yield which, places[which]
            places[which] += 1
            if places[which] == counts[which]:
                used_up.add(which)
                places[which] = 0

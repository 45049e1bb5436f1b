"""In which order training rows are seen: a pure function of (seed, epoch), so resume is exact."""

from __future__ import annotations

import random
from collections.abc import Sequence


def epoch_order(lengths: Sequence[int], *, seed: int, epoch: int, shuffle: bool,
                batch_size: int | None) -> list[int]:
    """Return the order of the rows in one epoch.

    Args:
        lengths: Tokens of each row.
        seed: Seed of the run.
        epoch: From 0; every epoch has another order.
        shuffle: Without it the rows keep their order and are not grouped.
        batch_size: Rows of like length are put together in batches of this size, and the
            batches shuffled; None does not group. The longest batch comes first, so that
            running out of memory happens at the start.
    """
    order = list(range(len(lengths)))
    if not shuffle:
        return order
    chance = random.Random(f"{seed}:{epoch}")
    chance.shuffle(order)
    if batch_size is None:
        return order
    window = 50 * batch_size
    batches: list[list[int]] = []
    for start in range(0, len(order), window):
        group = sorted(order[start:start + window], key=lambda i: -lengths[i])
        batches += [group[i:i + batch_size] for i in range(0, len(group), batch_size)]
    rest = [b for b in batches if len(b) < batch_size]
    whole = [b for b in batches if len(b) == batch_size]
    chance.shuffle(whole)
    if whole:
        longest = max(range(len(whole)), key=lambda i: max(lengths[j] for j in whole[i]))
        whole[0], whole[longest] = whole[longest], whole[0]
    return [i for batch in whole + rest for i in batch]

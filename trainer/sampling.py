"""In which order training rows are seen: a pure function of (seed, epoch), so resume is exact."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler


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


class EpochSampler(Sampler[int]):
    """Hands out ``epoch_order``; accelerate sets the epoch, also after a resume."""

    def __init__(self, lengths: Sequence[int], *, seed: int, shuffle: bool,
                 batch_size: int | None) -> None:
        """Keep what the order depends on."""
        self._lengths, self._seed = lengths, seed
        self._shuffle, self._batch_size = shuffle, batch_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        """Yield row numbers."""
        yield from epoch_order(self._lengths, seed=self._seed, epoch=self.epoch,
                               shuffle=self._shuffle, batch_size=self._batch_size)

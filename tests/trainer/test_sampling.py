"""The order of rows is a function of seed and epoch."""

from __future__ import annotations

import random

from trainer.sampling import epoch_order

LENGTHS = [random.Random(1).randrange(5, 200) for _ in range(1)] + [
    random.Random(i).randrange(5, 200) for i in range(102)]


def order(epoch: int = 0, *, seed: int = 3, shuffle: bool = True,
          batch_size: int | None = 8) -> list[int]:
    return epoch_order(LENGTHS, seed=seed, epoch=epoch, shuffle=shuffle, batch_size=batch_size)


def test_every_row_once_and_the_same_each_time():
    assert sorted(order()) == list(range(103))
    assert order() == order()
    assert order(1) != order(0)
    assert order(seed=4) != order(seed=3)


def test_without_shuffling_rows_keep_their_place():
    assert order(2, shuffle=False) == list(range(103))


def test_grouping_saves_padding_and_puts_the_longest_batch_first():
    def padding(rows: list[int]) -> int:
        batches = [rows[i:i + 8] for i in range(0, len(rows), 8)]
        return sum(max(LENGTHS[i] for i in b) * len(b) - sum(LENGTHS[i] for i in b)
                   for b in batches)

    grouped, plain = order(), order(batch_size=None)
    assert padding(grouped) < 0.2 * padding(plain)
    assert max(LENGTHS) in [LENGTHS[i] for i in grouped[:8]]
    assert len(grouped[96:]) == 7


def test_fewer_rows_than_a_batch():
    assert sorted(epoch_order([3, 1, 2], seed=0, epoch=0, shuffle=True, batch_size=8)) == [0, 1, 2]

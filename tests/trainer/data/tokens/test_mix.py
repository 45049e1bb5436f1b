"""Mixtures: which rows, how often, in which order."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.tokens.mix import Strategy, mixed_order, mixed_rows

STRATEGIES: list[Strategy] = ["concat", "interleave_under", "interleave_over"]
COUNTS = st.lists(st.integers(0, 40), min_size=1, max_size=4)


@settings(deadline=None)
@given(counts=COUNTS)
def test_without_weights_every_row_once_in_order(counts: list[int]) -> None:
    order = mixed_order(counts, [None] * len(counts))
    assert list(order) == list(range(sum(counts)))
    assert isinstance(order, range), "a large mixture needs no list"


@settings(deadline=None)
@given(counts=COUNTS, weight=st.floats(0.01, 6), seed=st.integers(0, 9))
def test_a_weight_is_whole_copies_and_a_share(counts: list[int], weight: float,
                                              seed: int) -> None:
    weights = [weight] + [None] * (len(counts) - 1)
    order = list(mixed_order(counts, weights, "concat", seed))
    seen = Counter(order)
    first, rest = seen.keys() & set(range(counts[0])), range(counts[0], sum(counts))
    assert all(seen[row] == 1 for row in rest)
    assert all(seen[row] in (int(weight), int(weight) + 1) for row in range(counts[0]))
    assert sum(seen[row] for row in first) == int(weight) * counts[0] + round(
        weight % 1 * counts[0])
    assert order == list(mixed_order(counts, weights, "concat", seed))


def test_the_share_is_drawn_by_the_seed() -> None:
    found = {tuple(mixed_order([100], [0.3], "concat", seed)) for seed in range(5)}
    assert len(found) == 5
    assert all(len(set(rows)) == 30 and list(rows) == sorted(rows) for rows in found)


def test_without_weights_datasets_take_turns() -> None:
    assert list(mixed_order([2, 3], [None, None], "interleave_under")) == [0, 2, 1, 3]
    assert list(mixed_order([2, 3], [None, None], "interleave_over")) == [0, 2, 1, 3, 0, 4]


@settings(deadline=None)
@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=4), seed=st.integers(0, 9),
       weights=st.lists(st.floats(0.1, 10), min_size=4, max_size=4))
def test_drawn_turns_end_when_the_first_or_the_last_is_used_up(
        counts: list[int], seed: int, weights: list[float]) -> None:
    starts = [sum(counts[:i]) for i in range(len(counts))]
    ranges = [range(start, start + n) for start, n in zip(starts, counts, strict=True)]
    for strategy, enough in (("interleave_under", any), ("interleave_over", all)):
        order = list(mixed_order(counts, weights[:len(counts)], strategy, seed))
        assert enough(set(rows) <= set(order) for rows in ranges)
        assert not enough(set(rows) <= set(order[:-1]) for rows in ranges)
        for rows in ranges:
            mine = [row for row in order if row in rows]
            assert all(b == a + 1 or (a == rows[-1] and b == rows[0]) for a, b in pairwise(mine))


@pytest.mark.parametrize("strategy", ["interleave_under", "interleave_over"])
def test_weights_say_how_often_it_is_whose_turn(strategy: Strategy) -> None:
    order = list(mixed_order([5000, 5000], [3, 1], strategy, 7))
    first = sum(row < 5000 for row in order)
    assert 0.72 < first / len(order) < 0.78


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_empty_datasets_are_passed_over(strategy: Strategy) -> None:
    assert sorted(set(mixed_order([0, 3, 0], [None, 2, 1], strategy, 1))) == [0, 1, 2]
    assert list(mixed_order([0, 0], [1, 2], strategy, 1)) == []


@settings(deadline=None)
@given(counts=COUNTS, seed=st.integers(0, 9), strategy=st.sampled_from(STRATEGIES),
       weights=st.lists(st.none() | st.floats(0.05, 10), min_size=4, max_size=4))
def test_the_number_of_rows_is_known_without_making_them(
        counts: list[int], seed: int, strategy: Strategy, weights: list[float | None]) -> None:
    chosen = weights[:len(counts)]
    assert mixed_rows(counts, chosen, strategy, seed) == len(
        mixed_order(counts, chosen, strategy, seed))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_large_mixture_is_counted_as_well(strategy: Strategy) -> None:
    counts, weights = [5000, 700], [3.25, 1.0]
    assert mixed_rows(counts, weights, strategy, 3) == len(
        mixed_order(counts, weights, strategy, 3))


def test_a_share_next_to_nothing_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.data.tokens.mix._COUNTED", 3000)
    found = mixed_rows([10, 10], [1000.0, 1e-9], "interleave_over", 1)
    assert found == pytest.approx(1e13, rel=1e-3)

"""The arithmetic, by hand and by counting every possible outcome."""

import math
from itertools import product

import pytest

from trainer.evaluation.judging.stats import kappa, sign_test, win_interval


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (5, 0), (8, 2), (2, 8), (30, 30),
                                              (60, 40), (1, 12)])
def test_the_sign_test_counts_coins(wins: int, losses: int) -> None:
    n = wins + losses
    away = abs(wins - losses)
    p = sum(math.comb(n, heads) for heads in range(n + 1) if abs(2 * heads - n) >= away) / 2 ** n
    assert sign_test(wins, losses) == pytest.approx(p, abs=1e-12)


def test_the_interval_by_hand() -> None:
    """Of 100 rows, 40 wins, 40 ties, 20 losses: 40.5 and 20.5 of 102."""
    d = 20 / 102
    se = math.sqrt(((40.5 + 20.5) / 102 - d * d) / 102)
    low, high = win_interval(40, 40, 20)
    assert low == pytest.approx((1 + d - 1.959964 * se) / 2, abs=1e-6)
    assert high == pytest.approx((1 + d + 1.959964 * se) / 2, abs=1e-6)
    assert win_interval(0, 0, 0) == (None, None)


def test_the_interval_holds_the_estimate_and_is_never_certain() -> None:
    for wins, ties, losses in product(range(8), repeat=3):
        if n := wins + ties + losses:
            low, high = win_interval(wins, ties, losses)
            assert low is not None and high is not None
            assert 0 <= low <= (wins + ties / 2) / n <= high <= 1 and high - low > 0.01


@pytest.mark.parametrize("n", [20, 30])
@pytest.mark.parametrize(("win", "tie"), [(1 / 3, 1 / 3), (0.5, 0.0), (0.8, 0.1), (0.1, 0.8),
                                          (0.3, 0.1), (0.95, 0.0)])
def test_the_interval_holds_the_truth_as_often_as_it_says(n: int, win: float, tie: float) -> None:
    lose, truth, held = 1 - win - tie, win + tie / 2, 0.0
    for wins in range(n + 1):
        for losses in range(n + 1 - wins):
            ties = n - wins - losses
            low, high = win_interval(wins, ties, losses)
            assert low is not None and high is not None
            if low <= truth <= high:
                held += (math.comb(n, wins) * math.comb(n - wins, losses)
                         * win ** wins * lose ** losses * tie ** ties)
    assert 0.93 <= held <= 1


def test_kappa_by_hand() -> None:
    """Of 50: 20 yes/yes, 15 no/no, 10 and 5 apart: (0.7 - 0.5) / (1 - 0.5)."""
    pairs = [(1.0, 1.0)] * 20 + [(1.0, 0.0)] * 5 + [(0.0, 1.0)] * 10 + [(0.0, 0.0)] * 15
    assert kappa(pairs) == pytest.approx(0.4)
    assert kappa([(1.0, 0.0), (0.0, 1.0)]) == pytest.approx(-1)
    assert kappa([]) is None and kappa([(1.0, 1.0)] * 3) is None

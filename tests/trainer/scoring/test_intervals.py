import numpy as np
import pytest

from tests.trainer.scoring.making import only, said
from tests.trainer.scoring.test_translation import ROWS
from trainer.failures import Failure
from trainer.scoring import Prediction, make, score, summarise
from trainer.scoring.intervals import percentiles, resampled, wilson
from trainer.scoring.scores import mean


def means(values, *, share=False, name="m"):
    return mean(name, [Prediction(row, "", "") for row in range(1, len(values) + 1)], values,
                share=share)


@pytest.mark.parametrize(("hits", "n", "low", "high"), [
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3 (Wilson's score interval).
    (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611),
    (1, 29, 0.0061, 0.1718)])
def test_wilsons_interval_is_that_of_the_literature(hits, n, low, high):
    assert wilson(hits, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_ends_at_the_ends():
    assert wilson(10, 10)[1] == 1.0 and wilson(0, 10)[0] == 0.0
    assert np.isnan(wilson(0, 0)).all()


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_wilson_holds_the_truth_as_often_as_it_says(share):
    """By the binomial distribution itself: the chance of counts whose interval has the truth."""
    from math import comb

    n = 100
    held = sum(comb(n, k) * share ** k * (1 - share) ** (n - k) for k in range(n + 1)
               if wilson(k, n)[0] <= share <= wilson(k, n)[1])
    assert 0.93 <= held <= 0.97


def test_the_bootstrap_holds_the_truth_as_often_as_it_says():
    """400 data sets of 80 skewed numbers with mean 1: about 95 % of intervals have it."""
    chance = np.random.default_rng(0)
    held = 0
    for seed in range(400):
        low, high = percentiles(resampled([means(chance.exponential(1, size=80))], resamples=500,
                                          seed=seed)[0])
        held += low <= 1 <= high
    assert 0.90 <= held / 400 <= 0.98


def test_the_bootstrap_of_a_mean_is_as_wide_as_theory_says():
    values = np.random.default_rng(1).normal(5, 2, size=400)
    [measured] = summarise([means(values)], resamples=4000)
    half = 1.96 * values.std() / 20
    assert (measured.low, measured.high) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.02)
    assert measured.method == "bootstrap" and measured.n == 400


def test_bleu_resampled_by_sums_is_bleu_of_the_rows_drawn():
    scores = only("bleu", ROWS)
    values = resampled([scores], resamples=5, seed=3)[0]
    drawn = np.random.default_rng(3).integers(0, len(ROWS), size=(5, len(ROWS)))
    again = [only("bleu", [ROWS[place] for place in places]).value for places in drawn]
    assert values == pytest.approx(again, abs=1e-9)


def test_the_same_seed_gives_the_same_interval_whatever_else_is_asked():
    rows = said(*[(p.output, p.references[0]) for p in ROWS])
    scores = score([make("rouge"), make("chrf")], rows)
    together, alone = summarise(scores, seed=5), summarise(scores[-1:], seed=5)
    assert together[-1] == alone[0] and summarise(scores[-1:], seed=6)[0] != alone[0]


def test_left_out_rows_are_counted_and_not_scored():
    [measured] = summarise([means([1.0, None, 0.0, None], share=True)])
    assert (measured.n, measured.left_out, measured.value) == (2, 2, 0.5)
    assert (measured.low, measured.high) == wilson(1, 2)


@pytest.mark.parametrize("values", [[], [None, None]])
def test_nothing_to_compare_with_is_no_number(values):
    for share in (True, False):
        [measured] = summarise([means(values, share=share)])
        assert np.isnan([measured.value, measured.low, measured.high]).all() and measured.n == 0


def test_scores_of_other_rows_are_refused():
    with pytest.raises(Failure, match="not of the same rows"):
        summarise([means([1.0]), means([1.0, 0.0])])
    with pytest.raises(Failure, match="level 95"):
        summarise([means([1.0])], level=95)

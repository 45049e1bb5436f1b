import numpy as np
import pytest
from scipy import stats

from tests.trainer.scoring.making import only, said
from tests.trainer.scoring.test_intervals import means
from tests.trainer.scoring.test_rouge import texts
from trainer.failures import Failure
from trainer.scoring import Likelihood, Prediction, compare, make
from trainer.scoring.paired import mcnemar, permutation

TRIES = 400


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (1, 0), (5, 5), (3, 9), (0, 12), (40, 61),
                                           (600, 500), (3000, 3300)])
def test_mcnemar_is_the_binomial_test(won, lost):
    before = np.array([0.0] * won + [1.0] * lost + [1.0] * 7)
    after = np.array([1.0] * won + [0.0] * lost + [1.0] * 7)
    wanted = stats.binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert mcnemar(before, after) == pytest.approx(wanted, rel=1e-9)


def test_few_rows_try_every_exchange():
    before, after = [0.1, 0.5, 0.2, 0.9, 0.4, 0.3], [0.3, 0.6, 0.1, 1.0, 0.8, 0.9]
    wanted = stats.permutation_test((np.subtract(after, before),), np.mean,
                                    permutation_type="samples", n_resamples=np.inf).pvalue
    assert permutation(means(before), means(after)) == pytest.approx(wanted)


def test_many_rows_draw_exchanges():
    chance = np.random.default_rng(4)
    before = chance.normal(0, 1, 200)
    after = before + chance.normal(0.14, 1, 200)
    wanted = stats.ttest_rel(after, before).pvalue
    assert permutation(means(before), means(after)) == pytest.approx(wanted, abs=0.01)


def rejected(make_pair, alpha=0.05, **options) -> float:
    """Return how often two models of a simulation are told apart."""
    chance = np.random.default_rng(11)
    found = [compare(*make_pair(chance), seed=seed, **options).verdict(alpha) != "unclear"
             for seed in range(TRIES)]
    return sum(found) / TRIES


def equal_shares(chance):
    """Two models that are each right with the row's own probability."""
    easy = chance.uniform(0.2, 0.8, 300)
    return [means((chance.random(300) < easy).astype(float), share=True) for _ in range(2)]


def equal_means(chance):
    row = chance.exponential(1, 60)
    return [means(row + chance.exponential(1, 60)) for _ in range(2)]


def equal_perplexities(chance):
    def one():
        return make("likelihood").score([
            Prediction(row, "", "", likelihood=Likelihood(tuple(-p), (), 1))
            for row, p in enumerate((base + chance.exponential(1, n)
                                     for base, n in zip(bases, sizes, strict=True)), 1)])[0]

    bases, sizes = chance.uniform(0, 2, 40), chance.integers(1, 30, 40)
    return [one(), one()]


@pytest.mark.parametrize("pair", [equal_shares, equal_means, equal_perplexities])
def test_two_equal_models_are_told_apart_as_often_as_alpha(pair):
    """Of 400 tries 5 % with two and a half standard errors; the exact McNemar stays below."""
    found = rejected(pair, resamples=2, flips=999)
    assert (0.02 if pair is equal_shares else 0.023) <= found <= 0.078


def test_a_model_made_worse_is_called_worse():
    def worse(chance, hurt=0.25):
        before, after = equal_shares(chance)
        return before, means(np.where(chance.random(300) < hurt, 0.0, after.values), share=True)

    chance = np.random.default_rng(11)
    verdicts = [compare(*worse(chance), resamples=2).verdict() for _ in range(200)]
    assert verdicts.count("worse") > 140 and "better" not in verdicts
    one = compare(*worse(chance, 0.5))
    assert (one.verdict(), one.test) == ("worse", "mcnemar") and one.high < 0
    assert one.low <= one.difference <= one.high


def test_parts_of_points_are_no_shares():
    """Of 200 rows 60 lose a tenth, 10 are won: the mean rises, and nobody can be sure of it."""
    whole = means([1.0] * 100 + [0.0] * 100, share=True)
    parts = means([0.9] * 60 + [1.0] * 50 + [0.0] * 90)
    for one in (compare(whole, parts), compare(parts, whole)):
        assert one.test == "permutation" and one.p > 0.1 and one.verdict() == "unclear"


def test_texts_that_were_spoilt_are_worse_and_shuffled_models_are_not():
    references = texts(250, 8)
    chance = np.random.default_rng(2)

    def spoil(text, share):
        return " ".join("wrong" if chance.random() < share else word for word in text.split())

    good, same, bad = ([spoil(r, share) for r in references] for share in (0.3, 0.3, 0.4))
    for name in ("bleu", "chrf"):
        first, second, third = (only(name, said(*zip(answers, references, strict=True)))
                                for answers in (good, same, bad))
        assert compare(first, second, flips=999).verdict() == "unclear"
        assert compare(first, third, flips=999).verdict() == "worse"
        assert compare(third, first, flips=999).verdict() == "better"


def test_lower_perplexity_is_better():
    def model(loss):
        return make("likelihood").score([
            Prediction(row, "", "", likelihood=Likelihood((-loss - row / 50,), (), 1))
            for row in range(1, 40)])

    perplexity = compare(model(2.0)[0], model(1.0)[0], flips=999)
    assert perplexity.difference < 0 and perplexity.verdict() == "better"
    lost = Likelihood((float("-inf"),), (), 1)
    broken = make("likelihood").score([Prediction(1, "", "", likelihood=lost)])[0]
    assert compare(model(2.0)[0], broken).verdict() == "unclear"
    for first, second in ((800.0, 900.0), (900.0, 800.0), (2.0, 900.0)):
        perplexity, bits = (compare(one, other, flips=999) for one, other in zip(
            model(first)[:2], model(second)[:2], strict=True))
        assert perplexity.verdict() == "unclear" and np.isnan(perplexity.p)
        assert bits.verdict() == ("better" if second < first else "worse")


def test_rows_are_paired_by_number_and_those_of_one_model_only_do_not_count():
    right = said(("a", "a"), ("b", "b"), ("c", "c"), ("d", ""))
    wrong = [Prediction(p.row, "?", "x", p.references) for p in reversed(right)][:3]
    one = compare(only("exact_match", right), only("exact_match", wrong))
    assert (one.n, one.before, one.after) == (2, 1.0, 0.0) and one.p == 0.5
    assert compare(only("exact_match", right), only("exact_match", right)).p == 1.0


def test_what_cannot_be_paired():
    a = only("exact_match", said(("a", "a")))
    with pytest.raises(Failure, match="cannot be compared"):
        compare(a, only("contains", said(("a", "a"))))
    with pytest.raises(Failure, match="No row"):
        compare(a, only("exact_match", said(("a", ""))))
    twice = only("exact_match", said(("a", "a")) * 2)
    with pytest.raises(Failure, match="two scores of the same row"):
        compare(twice, a)

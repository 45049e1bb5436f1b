import math

import numpy as np
import pytest

from tests.trainer.scoring.making import values
from trainer.failures import Failure
from trainer.scoring import Choice, Likelihood, Prediction, make


def forced(*found: Likelihood | None) -> list[Prediction]:
    return [Prediction(row, "?", "", likelihood=one) for row, one in enumerate(found, 1)]


def test_perplexity_and_bits_worked_out_by_hand():
    """Three tokens of probability 1/2 and one of 1/8: 6 bits over 4 tokens, 4 bytes."""
    half = math.log(0.5)
    rows = forced(Likelihood.of("é", [half, half], [True, False]), None,
                  Likelihood.of("ab", [half, 3 * half], [True, True]))
    perplexity, bits, accuracy = make("likelihood").score(rows)
    assert perplexity.value == pytest.approx(2 ** 1.5) and bits.value == pytest.approx(6 / 4)
    assert accuracy.value == pytest.approx(3 / 4)
    assert values(perplexity) == pytest.approx([2, None, 4], nan_ok=True)
    assert not perplexity.higher_is_better and accuracy.higher_is_better


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary():
    rows = forced(*[Likelihood.of("x" * n, [-math.log(50)] * n) for n in (1, 7, 30)])
    perplexity, _, accuracy = make("likelihood").score(rows)
    assert perplexity.value == pytest.approx(50) and np.isnan(accuracy.value)


def test_an_impossible_token_makes_perplexity_infinite():
    assert make("likelihood").score(forced(Likelihood.of("x", [-math.inf])))[0].value == math.inf


def test_a_lone_surrogate_has_three_bytes():
    assert Likelihood.of("\ud800", []).n_bytes == 3


@pytest.mark.parametrize("value", [math.nan, 0.5])
def test_what_is_no_log_probability_is_refused(value):
    with pytest.raises(Failure, match="Row 1 has a log-probability"):
        make("likelihood").score(forced(Likelihood((value,), (), 1)))


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(Failure, match="1 log-probabilities and 2 marks"):
        make("likelihood").score(forced(Likelihood((-1.0,), (True, True), 1)))


def asked(right: int | None, *choices: tuple[str, float]) -> Prediction:
    return Prediction(1, "?", "", choices=tuple(Choice(*c) for c in choices), right_choice=right)


def test_the_likeliest_choice_and_the_likeliest_per_character():
    """-4 over 8 characters beats -3 over 2; as lm-evaluation-harness divides."""
    row = asked(0, ("Berlin, D"[:8], -4.0), ("Bo", -3.0))
    acc, norm = make("multiple_choice").score([row])
    assert (acc.name, norm.name) == ("acc", "acc_norm")
    assert (values(acc), values(norm)) == ([0], [1])


def test_of_equals_the_first_is_taken_and_rows_without_choices_are_left_out():
    rows = [asked(1, ("a", -1.0), ("b", -1.0)), asked(None, ("a", -1.0)), asked(0),
            asked(0, ("", -1.0), ("b", -math.inf))]
    assert values(make("multiple_choice").score(rows)[0]) == [0, None, None, 1]


def test_a_right_choice_that_there_is_not():
    with pytest.raises(Failure, match="choice 2 is right"):
        make("multiple_choice").score([asked(2, ("a", -1.0), ("b", -1.0))])
    with pytest.raises(Failure, match="no number"):
        make("multiple_choice").score([asked(0, ("a", math.nan))])

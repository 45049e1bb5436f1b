import math

import numpy as np
import pytest

from tests.trainer.scoring.making import only, said, values
from trainer.failures import Failure
from trainer.scoring import make
from trainer.scoring.embedding import AT_ONCE


def counted(texts):
    """Return how often a, b and c stand in each text."""
    return np.array([[text.count(letter) for letter in "abc"] for text in texts])


def test_the_cosine_of_the_nearest_reference_counts():
    rows = said(("aab", "aab"), ("ab", "a"), ("a", ["c", "ba"]), ("a", "b"), ("a", ""), ("", "a"),
                (" \n", "a"), ("d", "a"))
    found = only("embedding", rows, embed=counted)
    half = pytest.approx(math.sqrt(0.5))
    assert values(found) == [pytest.approx(1), half, half, 0, None, 0, 0, 0]
    assert not found.share and found.value == pytest.approx((1 + 2 * math.sqrt(0.5)) / 7)


def test_an_answer_may_point_the_other_way():
    assert values(only("embedding", said(("x", "y")), embed=lambda texts: np.array(
        [[1.0, 0.0], [-2.0, 0.0]]))) == [-1]


def test_texts_are_asked_for_once_and_not_all_together():
    asked = []

    def embed(texts):
        asked.append(list(texts))
        return counted(texts)

    only("embedding", said(*[("a", "a b")] * (AT_ONCE + 1), ("", "b"), ("c", "")), embed=embed)
    assert asked == [["a", "a b"], ["a", "a b", "b"]]


def test_what_cannot_be_embedded_is_left_out():
    found = only("embedding", said(("a", "a"), ("long", "a")), embed=lambda texts: np.array(
        [[np.nan] * 3 if text == "long" else [1, 0, 0] for text in texts]))
    assert values(found) == [1, None]


def test_huge_and_tiny_vectors_have_a_cosine():
    for scale in (1e-300, 1e300):
        found = only("embedding", said(("ab", "a")), embed=lambda texts, scale=scale: counted(
            texts) * scale)
        assert values(found) == [pytest.approx(math.sqrt(0.5))]


@pytest.mark.parametrize("given", [
    [1.0, 2.0], [[1.0]], [[1.0], [2.0], [3.0]], [[], []], [["a"], ["b"]], [[1.0], [1.0, 2.0]], None,
    [[math.inf], [1.0]]])
def test_what_is_no_vectors_is_refused(given):
    with pytest.raises(Failure, match="no vectors"):
        only("embedding", said(("a", "b")), embed=lambda texts: given)


def test_it_needs_something_that_makes_vectors():
    with pytest.raises(Failure, match="needs a model"):
        make("embedding")


def test_an_error_of_the_engine_passes():
    def gone(texts):
        raise Failure("engine_died", "The engine is gone.")

    with pytest.raises(Failure, match="is gone"):
        only("embedding", said(("a", "b")), embed=gone)

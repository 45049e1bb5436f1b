import os

import pytest

from tests.trainer.scoring.making import only, said, values
from trainer.failures import Failure
from trainer.sandbox.inside.locks import missing
from trainer.scoring import Prediction, compare, kind_of, make, summarise

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
# In the form of HumanEval and of MBPP, written for this test.
ADD = 'from typing import List\n\ndef total(values: List[int]) -> int:\n    """Add up."""\n'
CHECK = "def check(candidate):\n    assert candidate([1, 2]) == 3\n    assert candidate([]) == 0\n"
ASSERTS = ("assert last('abc') == 'c'", "assert last('z') == 'z'")


def rows():
    outputs = [(ADD, "    return sum(values)", (CHECK,)), (ADD, "    return 0", (CHECK,)),
               ("Write last.", "```python\ndef last(s): return s[-1]\n```", ASSERTS),
               ("Write last.", "```python\ndef last(s): return 'c'\n```", ASSERTS),
               ("Write last.", "I would take s[-1].", ASSERTS), ("Write last.", "", ASSERTS),
               ("Write last.", "def last(s): return s[-1]", ("",))]
    return [Prediction(row, *one) for row, one in enumerate(outputs, 1)]


def test_a_program_passes_all_tests_of_its_row_or_not():
    found = only("code", rows(), consent=True)
    assert values(found) == [1, 0, 1, 0, 0, 0, None]
    [one] = summarise([found])
    assert (one.name, one.value, one.n, one.method) == ("pass", 2 / 6, 6, "wilson")
    assert compare(found, found).p == 1.0


def test_what_is_no_python_has_not_the_form():
    metric, given = make("code", consent=True), rows()
    metric.score(given)
    metric.score(said(("x = 1", "assert x")))
    assert [kind_of(row, metric).value for row in given[3:6]] == ["content", "format", "empty"]


def test_nothing_runs_without_consent(tmp_path):
    for options in ({}, {"consent": False}):
        with pytest.raises(Failure) as raised:
            make("code", **options)
        assert raised.value.code == "code_consent"


def test_a_reference_that_is_no_test_is_named():
    with pytest.raises(Failure, match="Row 2 has a reference that is no test code: nothing is"):
        make("code", consent=True).score(said(("x", "assert 1"), ("x", "42")))


def test_each_has_its_seconds():
    found = only("code", said(("while True: pass", "assert 1"), ("x = 1", "assert x")),
                 consent=True, timeout_s=0.5)
    assert values(found) == [0, 1] and found.detail.startswith("0.5 s")


def test_input_that_is_not_nice():
    texts = ["\0", "\ud800", "x" * 100_000, "x = 1\n" * 30_000, "(" * 90_000, "```" * 30_000,
             "```python\n" * 9_000, "\n" * 90_000, " " * 90_000 + "x", "def " * 20_000]
    found = only("code", said(*[(text, "assert x == 2") for text in texts]), consent=True)
    assert values(found) == [0] * len(texts)
    for broken in ("\0", "\ud800", "(" * 100_000):
        with pytest.raises(Failure, match="no test code"):
            make("code", consent=True).score(said(("x", broken)))


def test_many_run_at_once():
    count = 8 * (os.cpu_count() or 1)
    found = only("code", said(*[("def f(): return 1", f"assert f() == {n % 2}")
                                for n in range(count)]), consent=True)
    assert values(found) == [n % 2 for n in range(count)]

"""OpenAI's string_check as a reward: it scores as it says."""

import re

import pytest

from app.tuning.graders import reward_of


def grade(operation, reference, answer):
    """Score an answer as trainer/rewards does: 'format' the whole of it, 'regex' what is found."""
    use, field = reward_of({"type": "string_check", "operation": operation,
                            "input": "{{ sample.output_text }}", "reference": reference})
    assert not field
    if use["name"] == "format":
        return re.fullmatch(use["pattern"], answer.strip(), re.DOTALL) is not None
    return re.search(use["pattern"], answer, re.DOTALL) is not None


@pytest.mark.parametrize(("operation", "reference", "right", "wrong"), [
    ("eq", "1+1 = 2 ", "1+1 = 2", "1+1 = 23"),
    ("ne", "no", "not at all", " no\n"),
    ("like", "a.b", "it is a.b", "it is A.B"),
    ("ilike", "a.b", "it is A.B", "it is acb"),
])
def test_a_text_is_compared_as_the_operation_says(operation, reference, right, wrong):
    assert grade(operation, reference, right)
    assert not grade(operation, reference, wrong)


def test_a_column_is_the_reference_of_an_exact_answer():
    assert reward_of({"type": "string_check", "operation": "eq", "reference": "{{item.a.b}}",
                      "input": "{{sample.output_text}}"}) == ({"name": "exact_answer"}, "a.b")

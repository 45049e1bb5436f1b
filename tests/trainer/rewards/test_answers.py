"""Rewards that only look at the answer: numbers, text, patterns, length, language, JSON."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import pytest

from trainer.contract.config import RewardUse
from trainer.failures import Failure
from trainer.rewards import make, make_all
from trainer.rewards.numbers import as_number, find_numbers, last_number


def scores(answers: list[str], references: list[str] | str = "", **use: Any) -> list[Any]:
    given = [references] * len(answers) if isinstance(references, str) else references
    reward = make(RewardUse.model_validate(use))
    return reward(["?"] * len(answers), answers, given)


@pytest.mark.parametrize(("text", "value"), [
    ("72", 72), ("1,234", 1234), ("1,234,567.50", Fraction("1234567.5")), ("$5.00", 5),
    ("-3", -3), ("−3", -3), ("$-5", -5), ("-$5", -5), ("+7", 7), ("50%", Fraction(1, 2)),
    ("50 %", Fraction(1, 2)), ("3/4", Fraction(3, 4)), ("1 1/2", Fraction(3, 2)),
    ("½", Fraction(1, 2)), (r"\frac{3}{4}", Fraction(3, 4)), (r"\dfrac{-1}{2}", Fraction(-1, 2)),
    (".5", Fraction(1, 2)), ("5.", 5), ("1.5e3", 1500), ("2E-2", Fraction(1, 50)),
    ("１２３", 123), ("٤٢", 42), ("४२", 42), ("1 000", 1000), ("1\u202f000", 1000),
    ("1_000", 1000), ("1'000", 1000), ("12,34,567", 1234567), ("€ 3", 3), ("5 m²", None),
    ("NaN", None), ("inf", None), ("", None), ("1/0", None), ("1e999999999", None),
    ("9" * 5000, None), ("1, 2", None), ("twelve", None), ("0x10", None), ("3/4/2020", None),
    ("007", 7), ("0.1", Fraction(1, 10)), ("--5", None)])
def test_a_number_is_read_as_people_write_it(text: str, value: Any) -> None:
    found = as_number(text)
    assert (found and found.value) == value if value is not None else found is None


def test_the_numbers_of_a_text_are_found_in_their_order() -> None:
    text = "He has 3 apples (5-3=2), pays $1,250.75, at 8% of 1/2. In 2,024 it is 12."
    assert [n.value for n in find_numbers(text)] == [
        3, 5, 3, 2, Fraction("1250.75"), Fraction(8, 100), Fraction(1, 2), 2024, 12]


def test_the_last_number_is_that_of_all_of_them() -> None:
    parts = ["12", "1,234", " ", "-", "a", "e", "E5", ".", "3/4", "1/0", "%", "$", "9" * 201, "³",
             "½", "\n", ")", "(", "_", "'", "４", "元", "The", ":", "0"]
    chance = random.Random(1)
    for _ in range(3000):
        text = "".join(chance.choices(parts, k=chance.randint(0, 12)))
        found = find_numbers(text)
        assert last_number(text) == (found[-1] if found else None), text


@pytest.mark.parametrize(("answer", "reference", "right"), [
    ("So she has 72 clips.", "Natalia sold 48+24 = <<48+24=72>>72 clips.\n#### 72", 1.0),
    ("#### 72", "72", 1.0), ("#### 71\nNo: 72", "72", 0.0), ("first #### 1 then #### 72", "72", 1),
    (r"It is \boxed{72}, not 5.", "72", 1.0), (r"\boxed{\frac{1}{2}}", "0.5", 1.0),
    (r"\boxed{x^{2}}", r"\boxed{x^{2}}", 1.0), ("The total is $1,234.", "1234", 1.0),
    ("1234.0", "1,234", 1.0), ("0.333333", "1/3", 1.0), ("0.33", "1/3", 0.0),
    ("50%", "0.5", 1.0), ("50%", "50", 1.0), ("0.5%", "0.5", 0.0), ("50", "50%", 1.0),
    ("1000001", "1000000", 0.0), ("12", "", None), ("", "12", 0.0), ("NaN", "12", 0.0),
    ("10" * 100, "10", 0.0), ("  The Door is RED. ", "the door is red", 1.0),
    ("blue", "red", 0.0), ("ｒｅｄ", "red", 1.0), ("“red”", "red", 1.0),
    (r"\boxed{\text{red}}", "red", 1.0), ("nan", "NaN", 1.0), ("３ 个", "3", 1.0),
    ("-5", "5", 0.0), ("5", "-5", 0.0), ("10 - 5", "5", 1.0), ("1" * 30_000 + " 7", "7", 1.0)])
def test_an_answer_is_compared_with_its_reference(answer: str, reference: str,
                                                  right: Any) -> None:
    assert scores([answer], reference, name="exact_answer") == [right]


def test_a_pattern_says_where_the_answer_stands() -> None:
    pattern = r"<answer>(.*?)</answer>"
    answers = ["9 <answer> 4\n</answer> 7", "4", "<answer>3</answer><answer>4</answer>",
               "<answer></answer>"]
    assert scores(answers, "4", name="exact_answer", pattern=pattern) == [1.0, 0.0, 1.0, 0.0]


def test_patterns_are_found_or_match_the_whole() -> None:
    answers = ["<think>a\nb</think> ok", "ok", " ok\n"]
    assert scores(answers, name="regex", pattern="<think>.*</think>") == [1.0, 0.0, 0.0]
    assert scores(answers, name="format", pattern="ok") == [0.0, 1.0, 1.0]


def test_a_pattern_that_never_ends_is_no_match() -> None:
    pytest.importorskip("regex")
    assert scores(["a" * 40 + "!"], name="regex", pattern=r"(?:a|aa|a?a)+$") == [0.0]


def test_length_is_best_at_the_target() -> None:
    reward = make(RewardUse(name="length", target=4))
    ids = [[1] * n for n in (0, 2, 4, 6, 8, 100)]
    assert reward(["?"] * 6, [""] * 6, completion_ids=ids) == [0, 0.5, 1, 0.5, 0, 0]
    with pytest.raises(Failure, match="tokens"):
        reward(["?"], ["x"])


def test_language_is_a_probability() -> None:
    pytest.importorskip("py3langid")
    english, chinese, nothing = scores(
        ["The weather is nice today, and we are going for a walk.", "今天天气很好，我们去散步。",
         "123 !?"], name="language", language="en")
    assert english > 0.9 > 0.1 > chinese and nothing == 0
    with pytest.raises(Failure, match="no language"):
        make(RewardUse(name="language", language="qq"))


SCHEMA = ('{"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"], '
          '"additionalProperties": false}')


def test_json_must_be_whole_and_allowed(tmp_path: Any) -> None:
    answers = ['{"age": 3}', '```json\n{"age": 3}\n```', 'Sure: {"age": 3}', '{"age": "3"}',
               '{"age": 3, "x": 1}', "[]", "", '{"age": NaN}', "[" * 100_000]
    right = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert scores(answers, name="json_schema", json_schema=SCHEMA) == right
    path = tmp_path / "schema.json"
    path.write_text(SCHEMA)
    assert scores(answers, name="json_schema", json_schema=str(path)) == right


@pytest.mark.parametrize("schema", ['{"type": 3}', "missing.json"])
def test_a_schema_that_is_none_is_refused(schema: str) -> None:
    with pytest.raises(Failure) as raised:
        make(RewardUse(name="json_schema", json_schema=schema))
    assert raised.value.code == "reward_schema"


def test_a_schema_fetches_nothing() -> None:
    remote = '{"$ref": "http://127.0.0.1:9/schema.json"}'
    with pytest.raises(Failure, match="not in it"):
        scores(["3"], name="json_schema", json_schema=remote)


def test_two_of_a_kind_have_names_of_their_own() -> None:
    uses = [RewardUse(name="regex", pattern=p) for p in ("a", "b")] + [
        RewardUse(name="exact_answer")]
    assert [reward.__name__ for reward in make_all(uses)] == ["regex", "regex_2", "exact_answer"]


def test_lists_that_do_not_match_are_refused() -> None:
    with pytest.raises(Failure, match="cannot be matched"):
        make(RewardUse(name="exact_answer"))(["a", "b"], ["c"])
    assert make(RewardUse(name="exact_answer"))([], []) == []

"""A verdict is read from the last line, in whatever dress; nothing is guessed."""

import pytest

from tests.trainer.evaluation.judging.conftest import completion
from trainer.evaluation.judging.reading import (
    content_of,
    read_points,
    read_verdict,
    tokens_of,
    was_cut,
)


@pytest.mark.parametrize(("text", "verdict"), [
    ("Both are fine.\nVERDICT: A", "A"), ("VERDICT: B\n\n", "B"), ("verdict: TIE.", "tie"),
    ("**VERDICT:** B", "B"), ("**Verdict: [[A]].**", "A"), ("### VERDICT: Answer B ###", "B"),
    ("- VERDICT: tie", "tie"), ("VERDICT：Ａ。", "A"), ("`VERDICT: \"A\"`", "A"),
    ("Verdict is: Assistant A", "A"), ("```\nVERDICT: A\n```\n---", "A"),
    ("VERDICT: B\nOn second thoughts:\nVERDICT: A", "A"),
    ("{\"verdict\": \"A\"}", "A"),
    ("<think>VERDICT: B</think>\nVERDICT: A", "A"), ("VERDICT: B, I think</think>VERDICT: A", "A"),
])
def test_a_verdict_in_many_dresses(text: str, verdict: str) -> None:
    assert read_verdict(text) == verdict


@pytest.mark.parametrize("text", [
    "", " \n", "A", "A is better.", "VERDICT: C", "VERDICT: A|B|tie", "VERDICT: A or B",
    "VERDICT: not A", "VERDICT:", "VERDICT: A\nBut B is good too.", "VERDICT A", "I say VERDICT: A",
    "<think>VERDICT: A", "VERDICT: A</think>", "SCORE: 7", "Answer A wins: VERDICT", "\0\0",
    "VERDICT: A" * 3, "VERDICT: AB", "VERDICT: 平局"])
def test_what_is_no_verdict(text: str) -> None:
    assert read_verdict(text) is None


@pytest.mark.parametrize(("text", "points"), [
    ("SCORE: 7", 7), ("Good.\n**Score: 8/10**", 8), ("SCORE: 9 out of 10.", 9), ("score: 10", 10),
    ("SCORE: 7.5", 7.5), ("SCORE: 10/10", 10), ("- SCORE： ８", 8), ("SCORE: [[1]]", 1)])
def test_points(text: str, points: float) -> None:
    assert read_points(text) == points


@pytest.mark.parametrize("text", [
    "SCORE: 0", "SCORE: 11", "SCORE: -3", "SCORE: 70/100", "SCORE: 7-8", "SCORE: 7 to 8",
    "SCORE: ~7", "SCORE: n", "SCORE: seven", "7", "SCORE: 7/5", "SCORE: 7\nSome more", "VERDICT: A",
    "SCORE: 1e1", "SCORE: nan", "SCORE: 100"])
def test_what_is_no_number_of_points(text: str) -> None:
    assert read_points(text) is None


def test_replies_of_every_form() -> None:
    assert content_of(completion("x")) == "x" and tokens_of(completion("x")) == (100, 7)
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "Both.\nVERDICT: A"}]
    assert read_verdict(content_of({"choices": [{"message": {"content": parts}}]})) == "A"
    assert was_cut(completion("x", "length")) and not was_cut(completion("x"))
    for odd in ({}, [], None, "x", {"choices": []}, {"choices": [{"message": None}]},
                {"choices": [{"message": {"content": None}}]}, {"usage": {"prompt_tokens": "1"}},
                {"usage": [1]}, {"usage": {"prompt_tokens": -1, "completion_tokens": 1}}):
        assert content_of(odd) == "" and tokens_of(odd) is None and not was_cut(odd)

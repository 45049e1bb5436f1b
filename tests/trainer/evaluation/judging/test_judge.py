"""A judge that is asked over HTTP: what it prefers is what the summary says, row by row."""

from __future__ import annotations

import json
import math
import random

import pytest

from tests.trainer.evaluation.judging.conftest import Court, Stub, completion, lines, shown

# The second model's answers are longer in rows 1 to 6, shorter in 7 and 8, as long in 9 and 10.
FIRST = ["four"] * 10
SECOND = ["longer"] * 6 + ["no"] * 2 + ["five", "FOUR"]
MODELS = {"base": lines("d", FIRST), "tuned": lines("d", SECOND)}


def test_a_judge_that_prefers_longer_answers(court: Court) -> None:
    """By hand: 6 wins, 2 ties, 2 losses; 8 coins of which at most 2 or at least 6 are heads.

    The interval: d = 4/12, its spread sqrt((9/12 - 1/9) / 12) = 0.230740, (1 + d -+ 1.959964 of
    it) / 2.
    """
    result = court.judge(MODELS, price_in=2.0, price_out=10.0)
    (one,) = result.judged
    assert (one.model, one.against, one.dataset) == ("tuned", "base", "d")
    assert (one.wins, one.ties, one.losses, one.n, one.unreadable) == (6, 2, 2, 10, 0)
    assert one.value == 0.7 and one.low == pytest.approx(0.440547, abs=1e-6)
    assert one.high == pytest.approx(0.892787, abs=1e-6)
    assert one.p_value == pytest.approx(2 * (1 + 8 + 28) / 2 ** 8)
    assert result.values == {"tuned": {("d", row): value for row, value in enumerate(
        [1.0] * 6 + [0.0] * 2 + [0.5] * 2, 1)}}
    (compared,) = result.compared
    assert compared.difference == pytest.approx(0.4) and compared.verdict == "unclear"
    assert compared.test == "sign" and compared.source == "judge" and compared.a == "base"
    assert (one.calls, one.cached, one.tokens_in, one.tokens_out) == (20, 0, 2000, 140)
    assert one.cost == pytest.approx((2000 * 2 + 140 * 10) / 1e6)
    assert "same in both orders in 10 of 10 rows (100%)" in result.notes[0]
    assert "50% were for the answer that was shown first" in result.notes[0]
    assert court.told[-1] == (20, 20) and len(court.told) == 20


def test_both_orders_are_asked(court: Court, stub: Stub) -> None:
    court.judge(MODELS)
    orders = [tuple(shown(text)) for text in stub.questions]
    assert sorted(orders) == sorted([*zip(FIRST, SECOND, strict=True),
                                     *zip(SECOND, FIRST, strict=True)])
    body = stub.bodies[0]
    assert body["path"] == "/v1/chat/completions" and body["temperature"] == 0
    assert body["max_tokens"] == 512 and body["model"] == "judge"
    assert [one["role"] for one in body["messages"]] == ["user"]


def test_a_judge_that_likes_what_is_shown_first_says_nothing(court: Court, stub: Stub) -> None:
    stub.says = lambda question: "It is clear.\nVERDICT: A"
    result = court.judge(MODELS)
    (one,) = result.judged
    assert (one.wins, one.ties, one.losses, one.value, one.p_value) == (0, 10, 0, 0.5, 1.0)
    assert "in 0 of 10 rows (0%)" in result.notes[0] and "100% were for" in result.notes[0]
    assert one.low is not None and one.low < 0.5


def test_a_judge_that_is_half_sure(court: Court, stub: Stub) -> None:
    """The longer one wins when it stands first, else it is called a tie: all ties, by the rule."""
    stub.says = lambda question: "VERDICT: A" if len(shown(question)[0]) > len(
        shown(question)[1]) else "VERDICT: tie"
    (one,) = (result := court.judge(MODELS)).judged
    assert (one.wins, one.ties, one.losses) == (0, 10, 0)
    assert "in 2 of 10 rows (20%)" in result.notes[0]


def test_one_order_is_drawn_for_each_row(court: Court, stub: Stub) -> None:
    stub.says = lambda question: "VERDICT: A"
    answers = {"base": lines("d", [f"a{row}" for row in range(200)]),
               "tuned": lines("d", [f"b{row}" for row in range(200)])}
    result = court.judge(answers, swap=False)
    (one,) = result.judged
    assert one.wins + one.losses == 200 and one.ties == 0 and result.notes == []
    # A judge that only looks at the place must not make either model the winner.
    assert 70 <= one.wins <= 130 and one.calls == 200


def test_the_same_answer_twice_is_not_asked_about(court: Court, stub: Stub) -> None:
    result = court.judge({"base": lines("d", ["x", "", "y"]),
                          "tuned": lines("d", [" x\n", "", "z"])})
    (one,) = result.judged
    assert (one.ties, one.n, one.calls) == (3, 3, 2) and len(stub.bodies) == 2
    assert any("2 of 3 rows have the same answer twice" in note for note in result.notes)


def test_rows_that_one_model_lacks_and_the_limit(court: Court, stub: Stub) -> None:
    answers = {"base": [*lines("d", FIRST), *lines("e", FIRST)],
               "tuned": [*lines("e", SECOND)[::-1], *lines("d", SECOND)[3:]],
               "third": lines("e", SECOND)}
    result = court.judge(answers, limit=4)
    assert [(one.model, one.dataset, one.n) for one in result.judged] == [
        ("tuned", "d", 4), ("tuned", "e", 4), ("third", "e", 4)]
    assert sorted(result.values["tuned"]) == [*(("d", row) for row in (4, 5, 6, 7)),
                                              *(("e", row) for row in (1, 2, 3, 4))]
    # Row 4 is the same in both datasets, and the third model says what the second one says:
    # nothing is asked or paid for twice.
    assert len(stub.bodies) == 14
    assert [(one.calls, one.cached, one.tokens_in) for one in result.judged] == [
        (8, 0, 800), (6, 2, 600), (0, 8, 0)]


def test_references_and_conversations_reach_the_judge(court: Court, stub: Stub) -> None:
    told = {"reference": ["42", "forty-two"], "messages": [
        {"role": "system", "content": "Be exact."}, {"role": "user", "content": "What is it?"}]}
    court.judge({"base": lines("d", ["41"], **told), "tuned": lines("d", ["forty"], **told)},
                rubric="correctness")
    assert all(word in stub.questions[0] for word in ("42", "forty-two", "Be exact.",
                                                      "What is it?", "take it as right"))


def test_tool_calls_are_part_of_an_answer(court: Court, stub: Stub) -> None:
    """Two answers without a word are not the same when they call different tools."""
    def calling(city: str) -> list[dict[str, object]]:
        return lines("d", [""], calls=[{"function": {"name": "weather", "arguments": city}}])

    (one,) = court.judge({"base": calling("Oslo"), "tuned": calling("Reykjavik")}).judged
    assert (one.wins, one.calls) == (1, 2) and '"arguments": "Oslo"' in stub.questions[0]


def test_points(court: Court, stub: Stub) -> None:
    """As many points as the answer has letters; the mean, and the change of each row."""
    stub.says = lambda question: f"SCORE: {len(shown(question)[0])}/10"
    result = court.judge(MODELS, mode="score")
    base, tuned = result.judged
    assert (base.model, base.against, base.value, base.wins) == ("base", "", 4.0, 0)
    assert tuned.value == pytest.approx((6 * 6 + 2 * 2 + 2 * 4) / 10) and tuned.p_value is None
    assert tuned.low is not None and tuned.high is not None
    assert 2 < tuned.low < tuned.value < tuned.high < 6
    (compared,) = result.compared
    assert compared.difference == pytest.approx(0.8) and compared.test == "permutation"
    # Of the 2^8 ways to exchange, those whose sum of +-2 is at least 8 away from 0.
    ways = sum(math.comb(8, up) for up in range(9) if abs(2 * up - 2 * (8 - up)) >= 8)
    assert compared.p_value == pytest.approx(ways / 2 ** 8)
    assert result.values["base"] == {("d", row): 4.0 for row in range(1, 11)}
    assert {path.name for path in court.folder.iterdir()} == {"judge-01.jsonl", "judge-02.jsonl"}


def test_a_noisy_judge_does_not_tell_equal_models_apart_and_a_worse_one_is_found(
        court: Court, stub: Stub) -> None:
    chance = random.Random(7)
    stub.says = lambda question: f"VERDICT: {chance.choice(['A', 'B', 'tie'])}"
    rows = [f"row {row}" for row in range(60)]
    equal = court.judge({"base": lines("d", rows), "same": lines("d", [r + "!" for r in rows])})
    assert equal.compared[0].verdict == "unclear"

    def mostly_right(question: str) -> str:
        bad = shown(question)[0].startswith("bad")
        return f"VERDICT: {'AB'[bad] if chance.random() < 0.9 else 'tie'}"

    stub.says = mostly_right
    worse = court.judge({"base": lines("d", rows), "bad": lines("d", [f"bad {r}" for r in rows])})
    assert worse.compared[0].verdict == "worse" and worse.compared[0].p_value < 1e-6
    assert worse.judged[0].losses > 40 and worse.judged[0].wins == 0


def test_nothing_but_json_in_the_report(court: Court, stub: Stub) -> None:
    stub.says = lambda question: (200, completion(None), {})
    for mode in ("pairwise", "score"):
        result = court.judge(MODELS, mode=mode)
        for one in result.judged:
            assert one.value is None and one.n == 0 and one.p_value is None
            json.dumps(one.model_dump(), allow_nan=False)
        assert result.compared == []

"""Rows of every shape as questions with what would be right."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trainer.context import Work
from trainer.contract.kinds import parse_any
from trainer.contract.rundir import Attempt, RunDir
from trainer.data.reading.rows import DatasetError
from trainer.emit import EventWriter
from trainer.evaluation.rows import Form, Found, read_rows
from trainer.failures import Failure
from trainer.stop import Stop

SUM = {"name": "add", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture
def read(tmp_path: Any) -> Any:
    def read(rows: Any, form: Form | None = None, **values: Any) -> Found:
        path = tmp_path / "d.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows)
                        if isinstance(rows, list) else rows, encoding="utf-8")
        config = parse_any({"kind": "evaluate", "models": ["starter"], "data": [str(path)],
                            **values})
        emit = EventWriter(tmp_path / "events.jsonl", 1)
        work: Any = Work(RunDir(tmp_path), Attempt(tmp_path, 1), config, emit, Stop())
        return read_rows(work, form or Form())

    return read


def test_the_last_answer_is_the_reference(read: Any) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "One?"},
             {"role": "assistant", "content": "1"}, {"role": "user", "content": "Two?"},
             {"role": "assistant", "content": "2"}]
    (ask,) = read([{"messages": turns}]).asks
    assert [one["content"] for one in ask.messages] == ["Be brief.", "One?", "1", "Two?"]
    assert ask.references == ("2",) and ask.shown == "Two?" and ask.expected_calls is None


def test_prompts_keep_their_reference_and_lists_are_several(read: Any) -> None:
    rows = [{"prompt": "a?", "reference": "x"}, {"prompt": "b?", "reference": ["x", "y"]}]
    assert [ask.references for ask in read(rows).asks] == [("x",), ("x", "y")]


def test_what_is_not_desired_is_no_reference(read: Any) -> None:
    pairs = read([{"prompt": "a?", "chosen": "good", "rejected": "bad"}]).asks
    assert pairs[0].references == ("good",)
    judged = read([{"prompt": f"{n}?", "completion": f"c{n}", "label": n == 1}
                   for n in (1, 2)]).asks
    assert [ask.references for ask in judged] == [("c1",), ()]


def test_calls_are_expected_and_messages_have_openais_form(read: Any) -> None:
    def call(**arguments: Any) -> Any:
        return [{"type": "function", "function": {"name": "add", "arguments": arguments}}]

    turns = [{"role": "user", "content": "1+1, then +1"},
             {"role": "assistant", "content": "", "tool_calls": call(a=1, b=1)},
             {"role": "tool", "content": "2"},
             {"role": "assistant", "content": "", "tool_calls": call(a=2, b=1)}]
    (ask,) = read([{"messages": turns, "tools": [SUM]}]).asks
    assert ask.expected_calls is not None
    assert ask.expected_calls[0]["function"] == {"name": "add", "arguments": {"a": 2, "b": 1}}
    assert ask.tools[0]["function"]["name"] == "add"
    sent, answer = ask.messages[1]["tool_calls"][0], ask.messages[2]
    assert json.loads(sent["function"]["arguments"]) == {"a": 1, "b": 1}
    assert answer["tool_call_id"] == sent["id"]


def test_texts_are_gone_on_with_where_a_word_ends_or_looked_at_whole(read: Any) -> None:
    text = "It was a bright cold day in April, and the clocks were striking thirteen."
    (ask,) = read([{"text": text}]).asks
    assert ask.text == "It was a bright cold day" and ask.references == (text[24:],)
    (whole,) = read([{"text": text}], Form(writes=False)).asks
    assert whole.text == text and not whole.references
    chinese = "那是四月里一个晴朗而寒冷的日子钟敲了十三下温斯顿把下巴缩在胸口里想躲开那可恶的风"
    (ask,) = read([{"text": chinese}]).asks
    assert len(ask.text) == len(chinese) // 3


CHOICES = {
    "mmlu": {"question": "q?", "choices": ["w", "x", "y", "z"], "answer": 1},
    "arc": {"question": "q?", "choices": {"text": ["w", "x"], "label": ["1", "2"]},
            "answerKey": "2"},
    "ceval": {"question": "q?", "A": "w", "B": "x", "C": "y", "D": "z", "answer": "B"},
    "hellaswag": {"ctx": "q?", "endings": ["w", "x", "y", "z"], "label": "1"},
    "by text": {"question": "q?", "options": ["w", "x"], "answer": "x"},
    "by letter": {"question": "q?", "options": {"A": "w", "B": "x"}, "answer": "B"}}


@pytest.mark.parametrize("name", CHOICES)
def test_questions_with_choices_are_known_in_every_form(read: Any, name: str) -> None:
    (alone,) = read([CHOICES[name]], Form(lists=False)).asks
    assert alone.messages == ({"role": "user", "content": "q?"},)
    assert (alone.choices[alone.right_choice], alone.references) == ("x", ("x",))
    (listed,) = read([CHOICES[name]], Form(letters=True)).asks
    assert "A. w\nB. x" in listed.messages[0]["content"]
    assert listed.references == ("B", "B. x") and listed.label == "B"
    assert listed.choices[listed.right_choice] == "B"


def test_choices_may_be_counted_from_one(read: Any) -> None:
    rows = [{"question": "q?", "choices": ["w", "x"], "answer": n} for n in (1, 2, 2)]
    assert [ask.right_choice for ask in read(rows, Form(lists=False)).asks] == [0, 1, 1]


def test_programs_have_tests_as_reference(read: Any) -> None:
    rows = [{"prompt": "def one():", "test": "def check(f):\n    assert f() == 1",
             "entry_point": "one", "canonical_solution": "    return 1"}]
    (ask,) = read(rows, Form(programs=True)).asks
    assert ask.references[0].endswith("check(one)\n") and ask.shown == "def one():"
    rows = [{"text": "Write one.", "test_list": ["assert one() == 1", "assert True"]}]
    (ask,) = read(rows, Form(programs=True)).asks
    assert ask.references == ("assert one() == 1\nassert True",)


def test_bad_rows_are_skipped_and_counted(read: Any) -> None:
    rows = '{"prompt": "a?", "reference": "1"}\n{"prompt": "", "reference": "2"}\nno json\n' \
           '{"prompt": "d?", "reference": "4"}\n'
    found = read(rows)
    assert [ask.row for ask in found.asks] == [1, 4]
    assert found.notes[0].startswith("2 of 4 rows of") and "'prompt'" in found.notes[0]


@pytest.mark.parametrize("values", [
    {"choices": {"text": ["a", "b"], "label": 5}, "answer": "A"},
    {"choices": [{"text": "a"}, "b"], "answer": 0}, {"choices": ["a", "b"], "answer": "9" * 6000},
    {"choices": [["a"], ["b"]], "answer": 0}, {"choices": ["a", "b"], "answer": True}],
    ids=["label", "mixed", "digits", "nested", "bool"])
def test_odd_choices_are_bad_rows(read: Any, values: dict[str, Any]) -> None:
    good = [{"question": "q?", "choices": ["w", "x"], "answer": 1}] * 10
    found = read([*good, {"question": "q?", **values}])
    assert [ask.row for ask in found.asks] == list(range(1, 11))
    assert "1 of 11 rows of" in found.notes[0] and "Row 11" in found.notes[0]


def test_a_reference_that_only_looks_like_a_list_is_one(read: Any) -> None:
    for text in ("[" * 200_000, "[1, 2]", "[half"):
        (ask,) = read([{"prompt": "a?", "reference": text}]).asks
        assert ask.references == (text,)


def test_only_the_first_rows(read: Any) -> None:
    rows = [{"prompt": f"{n}?", "reference": "1"} for n in range(9)]
    assert len(read(rows, max_samples=4).asks) == 4


def test_what_cannot_be_asked_is_refused(read: Any, tmp_path: Any) -> None:
    with pytest.raises(Failure, match="named twice"):
        read([{"text": "a"}], data=[str(tmp_path / "d.jsonl")] * 2)
    with pytest.raises(DatasetError):
        read([{"a": 1}])
    with pytest.raises(DatasetError, match="no file"):
        read([{"text": "a"}], data=[str(tmp_path / "none.jsonl")])

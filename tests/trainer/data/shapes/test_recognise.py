"""Recognising what columns mean, and turning rows into messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from trainer.data.checking.check import check, examples, shape_of
from trainer.data.reading.entry import DatasetEntry
from trainer.data.reading.rows import DatasetError, Row, RowError
from trainer.data.reading.sources import DatasetSpec
from trainer.data.shapes.convert import convert
from trainer.data.shapes.messages import Example, Message
from trainer.data.shapes.recognise import Shape, from_entry, recognise

Make = Callable[..., DatasetSpec]
HI, YO = Message("user", "Hi"), Message("assistant", "Yo")
USER, BOT = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}
HUMAN, GPT = {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yo"}
NO = {"role": "assistant", "content": "No"}
CALL = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}


def shape(*rows: dict[str, Any]) -> Shape:
    return recognise(Row(number, values) for number, values in enumerate(rows, start=1))


def example(row: dict[str, Any], entry: dict[str, Any] | None = None) -> Example:
    found = (from_entry(DatasetEntry.model_validate({"file_name": "x", **entry}))
             if entry else shape(row))
    return convert(Row(1, row), found)


def refusal(row: dict[str, Any], entry: dict[str, Any] | None = None,
            like: dict[str, Any] | None = None) -> str:
    """Return 'code: message' of the error that a row gives."""
    found = (from_entry(DatasetEntry.model_validate({"file_name": "x", **entry}))
             if entry else shape(like or row))
    with pytest.raises(RowError) as caught:
        convert(Row(1, row), found)
    return f"{caught.value.code}: {caught.value.message}"


@pytest.mark.parametrize(("row", "kind"), [
    ({"instruction": "a", "input": "", "output": "b"}, "alpaca"),
    ({"instruction": "a", "response": "b", "context": None}, "alpaca"),
    ({"question": "a", "answer": "b"}, "question_answer"),
    ({" Question ": "a", "ANSWER": "b", "id": 1}, "question_answer"),
    ({"问题": "a", "答案": "b"}, "question_answer"),
    ({"prompt": "a", "completion": "b"}, "prompt_completion"),
    ({"prompt": [USER], "completion": [BOT]}, "prompt_completion"),
    ({"input": "a", "output": "b"}, "prompt_completion"),
    ({"messages": [USER, BOT]}, "openai"),
    ({"conversation": '[{"role": "user", "content": "a"}]'}, "openai"),
    ({"conversations": [HUMAN, GPT]}, "sharegpt"),
    ({"conversations": [{"role": "human", "content": "a"}]}, "sharegpt"),
    ({"prompt": "a", "chosen": "b", "rejected": "c"}, "preference"),
    ({"conversations": [HUMAN], "chosen": GPT, "rejected": GPT}, "preference"),
    ({"prompt": [USER], "chosen": [BOT], "rejected": [NO]}, "preference"),
    ({"chosen": [USER, BOT], "rejected": [USER, NO]}, "preference"),
    ({"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"},
     "hh_rlhf"),
    ({"messages": [USER, BOT], "label": True}, "kto"),
    ({"prompt": "a", "completion": "b", "label": False}, "kto"),
    ({"question": "a", "answer": "b", "label": "maths"}, "question_answer"),
    ({"text": "a", "source": "b"}, "text"), ({"body": "a"}, "text"),
    ({"a": 1, "b": "x"}, "unknown"), ({"chosen": "b", "rejected": "c"}, "unknown"),
    ({"question": "a", "answer": {"text": ["b"]}}, "question_answer"),
    ({"question": "a", "answer": {"start": 3}}, "unknown"), ({"question": "a"}, "unknown"),
    ({"question": "a", "answer": None}, "unknown")])
def test_shapes_are_recognised_with_a_reason(row: dict[str, Any], kind: str) -> None:
    found = shape(row)
    assert found.kind == kind
    assert found.reason
    assert (found.confidence > 0) == (kind != "unknown")


def test_the_reason_names_columns_and_the_confidence_counts_rows() -> None:
    rows = [{"question": "a", "answer": "b"}] * 3 + [{"instruction": "a", "output": "b"}]
    found = shape(*rows)
    assert (found.kind, found.confidence) == ("question_answer", 0.75)
    assert found.reason == "columns 'question' and 'answer' in 75% of 4 rows looked at"
    assert found.mapping.document() == {"prompt": "question", "response": "answer"}


def test_an_unknown_shape_says_what_is_there_and_what_is_needed() -> None:
    found = shape({"id": 1, "instruction": "x", "instances": [{"wrong": "", "right": "y"}]})
    assert found.kind == "unknown"
    for words in ("'id', 'instruction', 'instances'", "'question' and 'answer'",
                  "'instances' holds lists of objects"):
        assert words in found.reason


def test_an_answer_that_is_json_text_stays_text() -> None:
    answer = '[{"from": "Rome", "value": 3}]'
    for row in ({"question": "Hi", "answer": answer}, {"prompt": "Hi", "completion": answer}):
        assert example(row).messages == [HI, Message("assistant", answer)]
    assert example({"prompt": "Hi", "chosen": answer, "rejected": "No"}).chosen == [
        Message("assistant", answer)]


def test_a_column_without_any_value_is_named() -> None:
    assert "'answer' is null in every row" in shape({"question": "a", "answer": None}).reason


@pytest.mark.parametrize(("row", "messages"), [
    ({"instruction": "Hi", "input": "", "output": "Yo"}, [HI, YO]),
    ({"instruction": "A", "input": "B", "output": "Yo"}, [Message("user", "A\nB"), YO]),
    ({"instruction": "", "input": "B", "output": "Yo"}, [Message("user", "B"), YO]),
    ({"instruction": "Hi", "output": "Yo", "history": [["a", "b"]], "system": "S"},
     [Message("system", "S"), Message("user", "a"), Message("assistant", "b"), HI, YO]),
    ({"question": "Hi", "answer": "Yo"}, [HI, YO]),
    ({"prompt": [USER], "completion": [BOT]}, [HI, YO]),
    ({"messages": [{"role": "developer", "content": "S"}, USER, BOT]},
     [Message("system", "S"), HI, YO]),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, BOT]}, [HI, YO]),
    ({"conversations": [HUMAN, GPT], "system": "S"}, [Message("system", "S"), HI, YO])])
def test_rows_become_messages(row: dict[str, Any], messages: list[Message]) -> None:
    assert example(row).messages == messages


@pytest.mark.parametrize("row", [
    {"prompt": "Hi", "chosen": "Yo", "rejected": "No"},
    {"prompt": "Hi", "chosen": [USER, BOT], "rejected": [USER, NO]},
    {"prompt": [USER], "chosen": [BOT], "rejected": [NO]},
    {"chosen": [USER, BOT], "rejected": [USER, NO]},
    {"conversations": [HUMAN], "chosen": GPT, "rejected": {"from": "gpt", "value": "No"}},
    {"messages": [USER], "chosen": "Yo", "rejected": "No"},
    {"chosen": "\n\nHuman: Hi\n\nAssistant: Yo", "rejected": "\n\nHuman: Hi\n\nAssistant: No"}])
def test_preferences_become_a_prompt_and_two_answers(row: dict[str, Any]) -> None:
    found = example(row)
    assert (found.messages, found.chosen, found.rejected) == (
        [HI], [YO], [Message("assistant", "No")])


@pytest.mark.parametrize("tools", [
    [{"name": "add", "parameters": {}}], '[{"name": "add", "parameters": {}}]',
    [{"type": "function", "function": {"name": "add", "parameters": {}}}]])
@pytest.mark.parametrize("turn", [
    {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 1}}'},
    {"from": "function_call", "value": '[{"name": "add", "arguments": "{\\"a\\": 1}"}]'}])
def test_sharegpt_calls_and_tools(tools: Any, turn: dict[str, Any]) -> None:
    found = example({"conversations": [HUMAN, turn, {"from": "observation", "value": "2"}, GPT],
                     "tools": tools})
    assert found.messages == [HI, Message("assistant", "", (CALL,)), Message("tool", "2"), YO]
    assert found.tools == [{"type": "function", "function": {"name": "add", "parameters": {}}}]


def test_openai_calls_keep_their_ids() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    answer = {"role": "tool", "content": "2", "tool_call_id": "c1", "name": "add"}
    found = example({"messages": [USER, {"role": "assistant", "content": None,
                                         "tool_calls": [call, call]}, answer, answer, BOT]})
    assert found.messages[1].tool_calls == ({**CALL, "id": "c1"},) * 2
    assert found.messages[2] == Message("tool", "2", name="add", tool_call_id="c1")
    assert found.messages[1].document()["tool_calls"][0]["function"]["arguments"] == {"a": 1}


QA = {"question": "Hi", "answer": "Yo"}


@pytest.mark.parametrize(("row", "like", "wanted"), [
    ({"question": "Hi"}, QA, "missing_column: has no 'answer'"),
    ({"question": "Hi", "answer": " \n"}, QA, "empty_text: has no text in 'answer'"),
    ({"question": "", "answer": "Yo"}, QA, "empty_text: has no text in 'question'"),
    ({"question": "Hi", "answer": None}, QA, "empty_text: has null in 'answer'"),
    ({"question": "Hi", "answer": 42}, QA, "wrong_type: has 42 in 'answer', not text"),
    ({"question": "Hi", "answer": "\ud83d"}, QA, "broken_text: has half a character (U+D83D)"),
    ({"messages": [USER, USER, BOT]}, None, "role_order: has the user speaking after the user"),
    ({"messages": [BOT]}, None, "role_order: has the assistant speaking first (turn 1)"),
    ({"messages": [USER, BOT, BOT]}, None, "role_order: has the assistant speaking after"),
    ({"messages": [USER, BOT, USER]}, None, "no_answer: ends with the user in 'messages'"),
    ({"messages": [USER, {"role": "system", "content": "S"}]}, None, "role_order: has the system"),
    ({"messages": [USER, BOT, {"role": "tool", "content": "1"}]}, None, "role_order: has a tool"),
    ({"messages": [USER, {"role": "assistant", "content": ""}]}, None,
     "empty_text: has no text in 'messages' (the assistant's turn)"),
    ({"messages": [USER, {"role": "wizard", "content": "x"}]}, None,
     "unknown_role: has the role 'wizard' in 'messages[1]'"),
    ({"messages": [USER, "x"]}, None, "wrong_type: has 'x' in 'messages[1]', not a turn"),
    ({"messages": []}, {"messages": [USER, BOT]}, "empty_text: has no turns"),
    ({"messages": "x"}, {"messages": [USER, BOT]}, "wrong_type: has 'x' in 'messages', not a list"),
    ({"other": 1}, {"messages": [USER, BOT]}, "missing_column: has no 'messages'"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}, BOT]}, None,
     "not_text: has a part of type 'image_url'"),
    ({"messages": [USER, BOT], "tools": "[{"}, None, "bad_tools: has text in 'tools'"),
    ({"messages": [USER, BOT], "tools": [{"x": 1}]}, None, "bad_tools: has a tool without a name"),
    ({"messages": [USER, {"role": "assistant", "tool_calls": [{}]}]}, None,
     "bad_tool_call: has a call without a name"),
    ({"conversations": [HUMAN, {"from": "function_call", "value": "add(1)"}]}, None,
     "bad_tool_call: has text in 'conversations[1]' that is not JSON: 'add(1)'"),
    ({"conversations": [HUMAN, {"from": "function_call",
                                "value": '{"name": "add", "arguments": [1]}'}]}, None,
     "bad_tool_call: has the arguments [1]"),
    ({"prompt": "Hi", "chosen": "Yo", "rejected": "Yo"}, None,
     "identical_pair: has the same answer in 'chosen' and 'rejected': there is nothing to learn"),
    ({"prompt": "Hi", "chosen": "", "rejected": "Yo"}, None, "empty_text: has no text in 'chosen'"),
    ({"prompt": "Hi", "chosen": "Yo"}, {"prompt": "Hi", "chosen": "Yo", "rejected": "No"},
     "missing_column: has no 'rejected'"),
    ({"chosen": [USER, BOT], "rejected": [{"role": "user", "content": "?"}, NO]}, None,
     "no_shared_prompt: has no prompt"),
    ({"chosen": [USER, BOT, USER, BOT], "rejected": [USER, NO, USER, NO]}, None,
     "role_order: has the turns assistant, user, assistant as answer in 'chosen'"),
    ({"prompt": [USER, BOT], "chosen": [BOT], "rejected": [NO]}, None,
     "role_order: has a prompt that ends with the assistant"),
    ({"chosen": "\n\nHuman: Hi", "rejected": "x"},
     {"chosen": "\n\nHuman: Hi", "rejected": "\n\nHuman: Hi"}, "wrong_type: has 'x'"),
    ({"messages": [USER, BOT], "label": 2}, {"messages": [USER, BOT], "label": True},
     "label_not_boolean: has 2 in 'label', not true or false"),
    ({"messages": [USER, BOT], "label": None}, {"messages": [USER, BOT], "label": True},
     "label_not_boolean: has None in 'label', not true or false"),
    ({"question": "\udc00", "answer": "Yo"}, QA,
     "broken_text: has half a character (U+DC00) in 'question'"),
    ({"messages": [{"role": "system", "content": " "}]}, {"messages": [USER, BOT]},
     "no_answer: has no turn of a user or assistant in 'messages'"),
    ({"prompt": "Hi"}, {"prompt": "Hi", "reference": "4"}, "missing_column: has no 'reference'"),
    ({"prompt": [USER, BOT], "reference": "4"}, {"prompt": [USER], "reference": "4"},
     "role_order: has a prompt that ends with the assistant, so that 'prompt'"),
    ({"text": "b", "label": [1]}, {"text": "a", "label": "x"},
     "wrong_type: has [1] in 'label', not the name of a class"),
    ({"id": 1, "qa": []}, {"id": 1, "qa": [{"question": "Hi", "answer": "Yo"}]},
     "missing_column: has no 'qa[0].question'"),
    ({"conversation": [{"human": "Hi"}]}, {"conversation": [{"human": "Hi", "assistant": "Yo"}]},
     "missing_column: has no 'conversation[0].assistant'"),
    ({"question": "Hi", "answer": "Yo", "images": ["a.png"]}, None,
     "not_text: has pictures or sound in 'images'"),
    ({"text": "a\ud83d"}, {"text": "a"}, "broken_text: has half a character"),
    ({"instruction": "a", "output": "b", "history": [["x"]]}, None,
     "wrong_type: has ['x'] in 'history', not a pair")])
def test_bad_rows_say_what_is_wrong(row: dict[str, Any], like: dict[str, Any] | None,
                                    wanted: str) -> None:
    assert refusal(row, like=like).startswith(wanted)


TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user",
        "assistant_tag": "assistant"}


def test_a_registry_overrides_what_would_be_recognised() -> None:
    row = {"question": "ignored", "answer": "ignored", "q2": "Hi", "a2": "Yo"}
    assert example(row, {"columns": {"prompt": "q2", "response": "a2"}}).messages == [HI, YO]
    chat = {"formatting": "sharegpt", "columns": {"messages": "turns"}, "tags": TAGS}
    assert example({"turns": [USER, BOT]}, chat).messages == [HI, YO]
    kto = {**chat, "columns": {"messages": "turns", "kto_tag": "good"}}
    assert example({"turns": [USER, BOT], "good": False}, kto).label is False
    assert from_entry(DatasetEntry.model_validate(
        {"file_name": "x", "columns": {"prompt": "text"}})).kind == "text"
    ranking = {"ranking": True, "columns": {"prompt": "p", "chosen": "c", "rejected": "r"}}
    assert example({"p": "Hi", "c": "Yo", "r": "No"}, ranking).chosen == [YO]


def test_tags_that_a_registry_does_not_name_are_unknown_roles() -> None:
    chat = {"formatting": "sharegpt", "columns": {"messages": "turns"}, "tags": TAGS}
    row = {"turns": [{"role": "system", "content": "S"}, USER, BOT]}
    assert refusal(row, chat).startswith("unknown_role: has the role 'system'")


def test_an_entry_that_only_names_a_file_is_recognised(make: Make) -> None:
    spec = make([QA])
    bare = DatasetSpec(spec.name, spec.path, spec.suffix, entry=DatasetEntry(file_name="x"))
    assert shape_of(bare).kind == "question_answer"
    assert [e.messages for e in examples(bare, check(bare), objective="sft")] == [[HI, YO]]


def test_a_file_without_a_readable_row_names_the_first_problem(make: Make) -> None:
    with pytest.raises(DatasetError, match=r"Row 2 of data\.jsonl is not JSON"):
        check(make("\nhello\nworld\n"))

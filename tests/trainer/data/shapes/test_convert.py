"""Details of rows: where an error is, tools and calls, thoughts, and what is odd but usable."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trainer.data.reading.rows import Row, RowError
from trainer.data.shapes.convert import convert
from trainer.data.shapes.messages import Message
from trainer.data.shapes.recognise import Shape, recognise, shape_from_mapping
from trainer.data.templates.chat import ChatTemplate

U, A = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}
HI, YO = Message("user", "Hi"), Message("assistant", "Yo")
ADD = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
CHAT = shape_from_mapping({"messages": "messages", "tools": "tools", "role_tag": "role",
                           "content_tag": "content"})
PAIR = shape_from_mapping({"prompt": "prompt", "response": "completion", "history": "history",
                           "system": "system", "tools": "tools"})
DPO = shape_from_mapping({"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"})
TURNS_DPO = shape_from_mapping({"messages": "messages", "chosen": "chosen",
                                "rejected": "rejected"})


def place(values: dict[str, Any], shape: Shape) -> tuple[str, str]:
    """Return (code, column) of the error that a row gives."""
    with pytest.raises(RowError) as caught:
        convert(Row(1, values), shape)
    assert caught.value.message
    return caught.value.code, caught.value.column


BLANK = {"role": "user", "content": " "}


@pytest.mark.parametrize(("values", "shape", "wanted"), [
    ({"prompt": " ", "completion": "Yo"}, PAIR, ("empty_text", "prompt")),
    ({"prompt": "Hi\ud800", "completion": "Yo"}, PAIR, ("broken_text", "prompt")),
    ({"prompt": "Hi", "completion": "Yo\ud800"}, PAIR, ("broken_text", "completion")),
    ({"prompt": "Hi", "completion": "Yo", "system": "\udfff"}, PAIR, ("broken_text", "system")),
    ({"prompt": "Hi", "completion": "Yo", "history": [["a", "b"], ["c", ""]]}, PAIR,
     ("empty_text", "history[1][1]")),
    ({"prompt": [U, A, BLANK], "completion": "Yo"}, PAIR, ("empty_text", "prompt[2]")),
    ({"prompt": [A], "completion": "Yo"}, PAIR, ("role_order", "prompt")),
    ({"prompt": [U], "completion": [A, U, {**A, "content": ""}]}, PAIR,
     ("empty_text", "completion[2]")),
    ({"prompt": [U], "completion": [U]}, PAIR, ("role_order", "completion")),
    ({"messages": [U, {"role": "assistant", "content": None}]}, CHAT,
     ("empty_text", "messages[1]")),
    ({"messages": [U, {"role": "assistant"}]}, CHAT, ("missing_column", "messages[1]")),
    ({"messages": [U, A, BLANK, A]}, CHAT, ("empty_text", "messages[2]")),
    ({"messages": [U, A, {"content": "x"}]}, CHAT, ("missing_column", "messages[2]")),
    ({"messages": [U, {**A, "content": [{"type": "image_url", "image_url": {}}]}]}, CHAT,
     ("not_text", "messages[1]")),
    ({"prompt": [U, BLANK], "chosen": "a", "rejected": "b"}, DPO, ("role_order", "prompt")),
    ({"prompt": "Hi", "chosen": "a", "rejected": " "}, DPO, ("empty_text", "rejected")),
    ({"prompt": "Hi", "chosen": ["a", "b"], "rejected": "b"}, DPO, ("wrong_type", "chosen")),
    ({"messages": [U, A], "chosen": "a", "rejected": "b"}, TURNS_DPO, ("role_order", "chosen"))])
def test_an_error_names_the_place(values: dict[str, Any], shape: Shape,
                                  wanted: tuple[str, str]) -> None:
    assert place(values, shape) == wanted


@pytest.mark.parametrize("turns", [
    [{"role": "system", "content": ""}, U, A], [{"role": "System", "content": None}, U, A],
    [{**U, "content": [{"type": "text", "text": "H"}, {"type": "input_text", "text": "i"}]}, A],
    [{**U, "id": 3, "name": None}, {**A, "tool_calls": None, "function_call": None}],
    json.dumps([U, A]), str([U, A]), "[{'role': 'user', 'content': 'Hi'}\n "
    "{'role': 'assistant', 'content': 'Yo'}]",
    {"role": ["user", "assistant"], "content": ["Hi", "Yo"]}])
def test_ways_to_write_the_same_turns(turns: Any) -> None:
    assert convert(Row(1, {"messages": turns}), CHAT).messages == [HI, YO]


@pytest.mark.parametrize("key", ["reasoning_content", "thinking", "reasoning"])
def test_thoughts_stand_before_what_is_said(key: str) -> None:
    answer = convert(Row(1, {"messages": [U, {**A, key: " Hm. "}]}), CHAT).messages[1]
    assert answer.content == "<think>\nHm.\n</think>\n\nYo"
    assert convert(Row(1, {"messages": [U, {**A, key: ""}]}), CHAT).messages == [HI, YO]


@pytest.mark.parametrize("history", [
    [["a", "b"]], '[["a", "b"]]',
    [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]])
def test_history_may_be_pairs_or_turns(history: Any) -> None:
    found = convert(Row(1, {"prompt": "Hi", "completion": "Yo", "history": history}), PAIR)
    assert found.messages == [Message("user", "a"), Message("assistant", "b"), HI, YO]


def test_what_is_optional_may_be_absent_from_most_rows() -> None:
    rows = [Row(number, {"instruction": "Hi", "output": "Yo"}) for number in range(1, 9)]
    rare = {"instruction": "Hi", "input": "there", "output": "Yo", "system": "S",
            "tools": [{"name": "add"}]}
    shape = recognise([*rows, Row(9, rare)])
    found = convert(Row(9, rare), shape)
    assert [turn.content for turn in found.messages] == ["S", "Hi\nthere", "Yo"]
    assert found.tools and convert(rows[0], shape).messages == [HI, YO]


def test_history_may_be_blank_in_most_rows() -> None:
    row = {"instruction": "Hi", "output": "Yo", "history": ""}
    rows = [Row(1, row), Row(2, row), Row(3, {**row, "history": '[["a", "b"]]'})]
    assert len(convert(rows[2], recognise(rows)).messages) == 4
    assert convert(rows[0], recognise(rows)).messages == [HI, YO]
    assert len(convert(rows[2], recognise(rows[:2])).messages) == 4


@pytest.mark.parametrize("call", [
    {"tool_calls": [{"id": "c", "type": "function",
                     "function": {"name": "add", "arguments": '{"a": 1}'}}], "content": None},
    {"tool_calls": [{"name": "add", "arguments": {"a": 1}}]},
    {"tool_calls": '[{"name": "add", "arguments": {"a": 1}}]', "content": ""},
    {"function_call": {"name": "add", "arguments": '{"a": 1}'}, "content": None}])
@pytest.mark.parametrize("result", ["2", {"sum": 2}, [1, 2], 2])
def test_calls_and_results_have_one_form(call: dict[str, Any], result: Any) -> None:
    turns = [U, {"role": "assistant", **call}, {"role": "tool", "content": result}, A]
    found = convert(Row(1, {"messages": turns}), CHAT).messages
    called = [{key: call[key] for key in ("type", "function")} for call in found[1].tool_calls]
    assert (called, found[1].content) == ([ADD], "")
    assert found[2] == Message("tool", result if isinstance(result, str) else json.dumps(result))


@pytest.mark.parametrize("tools", [
    [{"name": "add", "description": "", "parameters": {}}],
    [{"type": "function", "name": "add", "description": "", "parameters": {}}],
    [{"name": "add", "description": "", "input_schema": {}}],
    {"type": "function", "function": {"name": "add", "description": "", "parameters": {}}},
    '[{"name": "add", "description": "", "parameters": {}}]'])
def test_tools_have_one_form(tools: Any) -> None:
    assert convert(Row(1, {"messages": [U, A], "tools": tools}), CHAT).tools == [
        {"type": "function", "function": {"name": "add", "description": "", "parameters": {}}}]


def test_an_answer_that_calls_the_tools_of_its_row_is_a_call() -> None:
    row = {"query": "Hi", "answers": '[{"name": "add", "arguments": {"a": 1}}]',
           "tools": '[{"name": "add", "parameters": {}}]'}
    found = convert(Row(1, row), recognise([Row(1, row)]))
    assert found.messages == [HI, Message("assistant", "", (ADD,))]
    other = {**row, "answers": '[{"name": "sub", "arguments": {"a": 1}}]'}
    assert convert(Row(1, other), recognise([Row(1, row)])).messages[1].content == other["answers"]


def test_odd_but_usable_rows_have_remarks() -> None:
    turns = [U, {"role": "assistant", "content": "", "tool_calls": [{**ADD, "id": "c1"}]},
             {"role": "tool", "content": "2", "tool_call_id": "c2"}, {**A, "weight": 0}]
    found = convert(Row(1, {"messages": turns}), CHAT)
    assert [(remark.code, remark.column) for remark in found.remarks] == [
        ("weight_ignored", "messages[3]"), ("unknown_call", "messages[2]")]
    turns[2]["tool_call_id"], turns[3]["weight"] = "c1", 1
    assert convert(Row(1, {"messages": turns}), CHAT).remarks == ()


def test_sharegpt_tools_may_answer_a_call_that_is_text() -> None:
    turns = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "<tool_call>"},
             {"from": "tool", "value": "2"}, {"from": "gpt", "value": "Yo"}]
    row = Row(1, {"conversations": turns})
    assert [turn.role for turn in convert(row, recognise([row])).messages] == [
        "user", "assistant", "tool", "assistant"]
    same = [U, A, {"role": "tool", "content": "2"}, A]
    assert place({"messages": same}, CHAT) == ("role_order", "messages")


def test_a_prompt_of_hh_is_taken_apart() -> None:
    text = "\n\nHuman: a\n\nAssistant: b\n\nHuman: Hi\n\nAssistant:"
    found = convert(Row(1, {"prompt": text, "chosen": " Yo", "rejected": " No"}), DPO)
    assert found.messages == [Message("user", "a"), Message("assistant", "b"), HI]
    assert convert(Row(1, {"prompt": "\n\nHuman: Hi", "completion": "Yo"}), PAIR).messages[
        0].content == "\n\nHuman: Hi"


def test_the_source_row_is_not_touched() -> None:
    turns = [U, {"role": "assistant", "tool_calls": [{"name": "add", "arguments": "{}"}]},
             {"role": "tool", "content": {"a": 1}}, A]
    values = {"messages": turns, "tools": [{"name": "add"}]}
    before = json.dumps(values)
    convert(Row(1, values), CHAT)
    assert json.dumps(values) == before


@pytest.mark.parametrize("values", [
    {"messages": [{"role": "system", "content": "S"}, U, A, {**U, "content": "And?"}, A]},
    {"conversation": [{"human": "Hi", "assistant": "Yo"}]}, {"question": "Hi", "answer": "Yo"},
    {"text": "Good.", "label": "fine"}, {"text": "### Human: Hi### Assistant: Yo"},
    {"instruction": "a", "input": "b", "output": "c", "history": [["d", "e"]], "system": "S"}])
def test_every_turn_is_rendered_and_the_assistants_are_trained(
        values: dict[str, Any], template: ChatTemplate) -> None:
    row = Row(1, values)
    found = convert(row, recognise([row]))
    rendered = template.render(found.messages, found.tools)
    assert all(turn.content in rendered.text for turn in found.messages)
    trained = [rendered.text[a:b] for a, b in rendered.trained]
    assert trained == [f"{turn.content}<|im_end|>" for turn in found.messages
                       if turn.role == "assistant"]

"""Mappings that people name, and what is said of those that cannot be used."""

from __future__ import annotations

from typing import Any

import pytest

from trainer.data.reading.entry import DatasetEntry, fields_of_mapping
from trainer.data.reading.rows import DatasetError, Row, RowError
from trainer.data.shapes.convert import convert
from trainer.data.shapes.mapping import KINDS, shape_from_mapping
from trainer.data.shapes.messages import Message
from trainer.data.shapes.recognise import Shape, from_entry, recognise

HI, YO = Message("user", "Hi"), Message("assistant", "Yo")
U, A = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}


@pytest.mark.parametrize(("mapping", "kind"), [
    ({"prompt": "question", "response": "answer"}, "question_answer"),
    ({"prompt": "a", "response": "b"}, "prompt_completion"),
    ({"prompt": "a", "query": "c", "response": "b"}, "alpaca"),
    ({"prompt": "a", "response": "b", "history": "c"}, "alpaca"),
    ({"messages": "a"}, "openai"), ({"messages": "a", "role_tag": "from"}, "sharegpt"),
    ({"prompt": "a"}, "text"), ({"prompt": "a", "label": "b"}, "classification"),
    ({"prompt": "a", "reference": "b"}, "prompt_only"),
    ({"messages": "a", "reference": "b"}, "prompt_only"),
    ({"prompt": "a", "response": "b", "label": "c"}, "kto"),
    ({"messages": "a", "kto_tag": "c"}, "kto"),
    ({"chosen": "a", "rejected": "b"}, "preference"),
    ({"prompt": "c", "chosen": "a", "rejected": "b", "system": ""}, "preference")])
def test_the_keys_tell_the_kind(mapping: dict[str, str], kind: str) -> None:
    found = shape_from_mapping(mapping)
    assert (found.kind, found.confidence, found.reason) == (kind, 1.0, "the mapping says so")


@pytest.mark.parametrize(("mapping", "kind", "words"), [
    ({"promt": "a"}, None, "A mapping has no 'promt'. Did you mean 'prompt'?"),
    ({"zzz": "a"}, None, "Its keys are prompt, query, response"),
    ({"prompt": "a"}, "poem", "There is no kind of data 'poem'. Choose one of alpaca,"),
    ({"prompt": "a"}, "alpaca", "does not name 'response', which data of kind 'alpaca' needs"),
    ({"chosen": "a"}, None, "does not name 'rejected'"),
    ({"response": "a"}, None, "does not name 'prompt' or 'query'"),
    ({"kto_tag": "a"}, None, "'prompt' or 'messages' and 'response' or 'messages'"),
    ({"label": "a"}, None, "does not name 'prompt', which data of kind 'classification' needs"),
    ({}, None, "does not name 'prompt', which data of kind 'text' needs"),
    ({"system": "a"}, "openai", "does not name 'messages'"),
    ({"prompt": "a", "label": "b", "classes": "[1"}, None, "'classes' is not a list of names")])
def test_a_mapping_that_cannot_be_used_says_why(mapping: dict[str, str], kind: str | None,
                                                words: str) -> None:
    with pytest.raises(DatasetError) as caught:
        shape_from_mapping(mapping, kind)
    assert caught.value.code == "mapping" and caught.value.advice
    assert words in str(caught.value)


def test_every_kind_can_be_named() -> None:
    whole = {"prompt": "p", "response": "r", "messages": "m", "chosen": "c", "rejected": "j",
             "kto_tag": "k", "label": "l", "reference": "f"}
    assert [shape_from_mapping(whole, kind).kind for kind in KINDS] == list(KINDS)


def test_paths_stand_for_columns_and_a_column_of_that_name_wins() -> None:
    named = shape_from_mapping({"prompt": "a.b[1].c", "response": "r"})
    assert convert(Row(1, {"a": {"b": [0, {"c": "Hi"}]}, "r": "Yo"}), named).messages == [HI, YO]
    assert convert(Row(1, {"a": '{"b": [0, {"c": "Hi"}]}', "r": "Yo"}), named).messages == [HI, YO]
    exact = {"a.b[1].c": "Hi", "a": {"b": [0, {"c": "No"}]}, "r": "Yo"}
    assert convert(Row(1, exact), named).messages == [HI, YO]
    for broken in ({"a": {"b": [0]}}, {"a": None}, {"a": "[1"}, {"a": [1]}, {}):
        with pytest.raises(RowError, match=r"has no 'a\.b\[1\]\.c'"):
            convert(Row(1, {**broken, "r": "Yo"}), named)


@pytest.mark.parametrize("name", ["a..b", "[0]", "a[", "a[-1]", "a.", "a[x]", ".", "a]"])
def test_what_only_looks_like_a_path_is_a_name(name: str) -> None:
    named = shape_from_mapping({"prompt": name, "response": "r"})
    assert convert(Row(1, {name: "Hi", "r": "Yo"}), named).messages == [HI, YO]
    with pytest.raises(RowError, match="has no"):
        convert(Row(1, {"a": ["Hi"], "r": "Yo"}), named)


def test_turns_are_found_without_tags() -> None:
    named = shape_from_mapping({"messages": "m"})
    for turns in ([U, A], [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yo"}],
                  [{"speaker": "USER", "text": "Hi"}, {"speaker": "AI", "text": "Yo"}],
                  ["Hi", "Yo"], [{"human": "Hi", "assistant": "Yo"}],
                  "### Human: Hi### Assistant: Yo"):
        assert convert(Row(1, {"m": turns}), named).messages == [HI, YO]
    with pytest.raises(RowError, match="not a turn with a role and a content"):
        convert(Row(1, {"m": [{"a": 1}]}), named)


ROWS: list[dict[str, Any]] = [
    {"question": "Hi", "answer": "Yo"}, {"instruction": "Hi", "input": "x", "output": "Yo"},
    {"messages": [U, A]}, {"conversations": [{"from": "human", "value": "Hi"},
                                             {"from": "gpt", "value": "Yo"}]},
    {"conversation": [{"human": "Hi", "assistant": "Yo"}]}, {"data": ["Hi", "Yo"]},
    {"text": "### Human: Hi### Assistant: Yo"}, {"text": "Once."},
    {"prompt": "Hi", "completion": "Yo", "label": True}, {"prompt": [U], "answer": "72"},
    {"prompt": "Hi", "chosen": "Yo", "rejected": "No"}, {"text": "Good.", "label": "x"},
    {"chosen": [U, A], "rejected": [U, {"role": "assistant", "content": "No"}]},
    {"chosen": "\n\nHuman: Hi\n\nAssistant: Yo", "rejected": "\n\nHuman: Hi\n\nAssistant: No"},
    {"contents": [{"role": "user", "parts": [{"text": "Hi"}]},
                  {"role": "model", "parts": [{"text": "Yo"}]}]},
    {"id": 1, "qa": [{"question": "Hi", "answer": "Yo"}]}]


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_what_was_recognised_can_be_kept_in_the_registry(number: int) -> None:
    row = Row(1, ROWS[number])
    found = recognise([row])
    fields = fields_of_mapping(found.mapping.document(), kind=found.kind,
                               classes=found.mapping.classes)
    entry = DatasetEntry.model_validate({"file_name": "x", **fields})
    kept = from_entry(DatasetEntry.model_validate(entry.document()))
    assert (kept.kind, kept.mapping) == (found.kind, found.mapping)
    assert convert(row, kept) == convert(row, found)


def entry(**values: Any) -> Shape:
    return from_entry(DatasetEntry.model_validate({"file_name": "x", **values}))


def test_columns_that_an_entry_does_not_name_are_null() -> None:
    row = {"instruction": "Hi", "input": "ignored", "output": "Yo", "system": "ignored"}
    named = entry(columns={"prompt": "instruction", "response": "output"})
    assert convert(Row(1, row), named).messages == [HI, YO]
    assert convert(Row(1, row), entry()).messages == [Message("user", "Hi\nignored"), YO]


def test_an_entry_may_name_exchanges_without_roles() -> None:
    named = entry(formatting="sharegpt", columns={"messages": "m"},
                  tags={"user_tag": "q", "assistant_tag": "a"})
    assert convert(Row(1, {"m": [{"q": "Hi", "a": "Yo"}]}), named).messages == [HI, YO]

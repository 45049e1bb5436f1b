"""The quick look never calls a row fine that is not, and sees the same texts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trainer.data.reading.entry import DatasetEntry
from trainer.data.reading.rows import Row
from trainer.data.shapes.convert import convert
from trainer.data.shapes.fast import fast_row, texts_of
from trainer.data.shapes.order import has_noncharacters
from trainer.data.shapes.recognise import Shape, from_entry, shape_from_mapping

TURN_TAGS = {"role_tag": "role", "content_tag": "content"}
SHAPES: dict[str, Shape] = {
    "qa": shape_from_mapping({"prompt": "p", "response": "r"}),
    "alpaca": shape_from_mapping({"prompt": "p", "query": "q", "response": "r", "system": "s",
                                  "history": "h", "tools": "t", "images": "i"}),
    "text": shape_from_mapping({"prompt": "p"}),
    "messages": shape_from_mapping({"messages": "m", "system": "s", "tools": "t", **TURN_TAGS}),
    "any keys": shape_from_mapping({"messages": "m"}),
    "registry": from_entry(DatasetEntry.model_validate(
        {"file_name": "x", "formatting": "sharegpt", "columns": {"messages": "m"},
         "tags": {**TURN_TAGS, "user_tag": "user", "assistant_tag": "assistant"}})),
    "sharegpt": shape_from_mapping({"messages": "m", "role_tag": "from", "content_tag": "value"}),
    "preference": shape_from_mapping({"prompt": "p", "chosen": "r", "rejected": "q"}),
    "path": shape_from_mapping({"prompt": "p.x", "response": "r[0]"}),
    "kto": shape_from_mapping({"prompt": "p", "response": "r", "kto_tag": "q"})}
TEXTS = st.sampled_from(["", " ", "\n\t", "a", "Hi there", "你好", "é", "😀", "\ud83d", "a\ufdd0b",
                         "\u2028", "\x1c", "\x85", "\u3000", "\ufffe", "[", '[{"role": "user"}]',
                         "\n\nHuman: a\n\nAssistant:", "Human: x\n\nAssistant:", "<think>"])
ROLES = st.sampled_from(["user", "assistant", "system", "tool", "human", "gpt", "User ", "", "x",
                         "function_call"])
ODD = st.none() | st.booleans() | st.integers(0, 1) | st.just([]) | st.just({}) | st.just([["a"]])
TURNS = st.lists(st.fixed_dictionaries(
    {"role": ROLES | ODD, "content": TEXTS | ODD},
    optional={"from": ROLES, "value": TEXTS, "tool_calls": ODD, "weight": st.integers(0, 1),
              "name": TEXTS, "reasoning_content": TEXTS, "id": ODD}) | ODD, max_size=5)
SPOKEN = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3).map(
    lambda pairs: [{"role": role, "content": text} for pair in pairs
                   for role, text in zip(("user", "assistant"), pair, strict=True)])
ROWS = st.fixed_dictionaries({}, optional={
    "p": TEXTS | ODD | TURNS, "r": TEXTS | ODD | TURNS, "q": TEXTS | ODD, "s": TEXTS | ODD,
    "h": ODD | TEXTS, "t": ODD | TEXTS, "i": ODD | TEXTS, "m": SPOKEN | TURNS | TEXTS | ODD})


@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=50, deadline=None)
@given(values=ROWS)
@example(values={"p": "Hi", "r": "Yo", "q": 0})
@example(values={"p": "\n\nHuman: a\n\nAssistant:", "r": "Yo"})
@example(values={"m": [{"role": "system", "content": "S"}]})
@example(values={"m": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
                 "s": []})
def test_what_looks_fine_is_fine(name: str, values: dict[str, Any]) -> None:
    found = fast_row(SHAPES[name])(values)
    if found is not None:
        converted = convert(Row(1, values), SHAPES[name])
        assert texts_of(converted) == found
        assert not converted.remarks and not converted.tools
        assert not has_noncharacters(converted)


@pytest.mark.parametrize(("name", "values", "texts"), [
    ("qa", {"p": "Hi", "r": "你好"}, ("Hi", "你好")),
    ("alpaca", {"p": "Hi", "q": "", "r": "Yo", "s": None, "h": [], "t": ""}, ("Hi", "Yo")),
    ("alpaca", {"p": "Hi", "q": "B", "r": "Yo", "s": "S"}, ("S", "Hi\nB", "Yo")),
    ("text", {"p": "Once."}, ("Once.",)),
    ("messages", {"m": [{"role": "system", "content": "S"}, {"role": "user", "content": "Hi"},
                        {"role": "assistant", "content": "Yo"}]}, ("S", "Hi", "Yo")),
    ("sharegpt", {"m": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yo"}]},
     ("Hi", "Yo")),
    ("registry", {"m": [{"role": "user", "content": "Hi", "id": 1},
                        {"role": "assistant", "content": "Yo"}]}, ("Hi", "Yo"))])
def test_ordinary_rows_are_seen_at_once(name: str, values: dict[str, Any],
                                        texts: tuple[str, ...]) -> None:
    assert fast_row(SHAPES[name])(values) == texts

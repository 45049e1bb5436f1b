"""Whatever rows hold, they are recognised or not, and convert or say why not."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.reading.rows import Row, RowError
from trainer.data.shapes.convert import convert
from trainer.data.shapes.fast import fast_row, texts_of
from trainer.data.shapes.messages import ROLES, Example
from trainer.data.shapes.recognise import recognise, shape_from_mapping

NAMES = st.sampled_from([
    "instruction", "input", "output", "history", "system", "tools", "messages", "conversations",
    "data", "prompt", "completion", "question", "answer", "answers", "chosen", "rejected", "label",
    "kto_tag", "text", "summary", "reference", "ground_truth", "translation", "en", "fr", "images",
    "role", "content", "from", "value", "human", "assistant", "name", "tool_calls", "function",
    "arguments", "parts", "classes", "a.b", "a[0]", "a.b[0]", "id", "中文", "", " ", "."])
TEXTS = st.sampled_from([
    "", " ", "a", "user", "assistant", "human", "gpt", "tool", "function_call", "[", "[{}]",
    '{"name": "f"}', '[{"role": "user", "content": "a"}]', "\n\nHuman: a\n\nAssistant: b",
    "\n\nHuman: a\n\nAssistant:", "### Human: a### Assistant: b", "\ud83d", "\x00", "true", "0",
    "x" * 80])
VALUES = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers(-1, 2) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12)
TURNS = st.lists(st.fixed_dictionaries(
    {"role": TEXTS, "content": VALUES}, optional={"tool_calls": VALUES, "weight": VALUES}),
    max_size=4)
ROWS = st.lists(st.dictionaries(NAMES, VALUES | TURNS, max_size=5), min_size=1, max_size=4)


def require_normal(example: Example) -> None:
    """Require what templates rely on: roles, texts, tools and calls of one form."""
    for turn in (*example.messages, *example.chosen, *example.rejected):
        assert turn.role in ROLES and isinstance(turn.content, str)
        for call in turn.tool_calls:
            assert isinstance(call["function"]["name"], str)
            assert isinstance(call["function"]["arguments"], dict)
    for tool in example.tools or []:
        assert isinstance(tool["function"]["name"], str)
    assert isinstance(example.text, str) and isinstance(example.reference, str)


@settings(max_examples=30, deadline=None)
@given(rows=ROWS)
def test_any_rows(rows: list[dict[str, Any]]) -> None:
    numbered = [Row(number, row) for number, row in enumerate(rows, start=1)]
    shape = recognise(numbered)
    json.dumps(shape.document())
    assert shape.reason and 0 <= shape.confidence <= 1
    if shape.kind == "unknown":
        return
    assert shape_from_mapping(shape.mapping.document(), shape.kind).mapping == shape.mapping
    look = fast_row(shape)
    for row in numbered:
        before = repr(row.values)
        try:
            example = convert(row, shape)
        except RowError as error:
            assert look(row.values) is None and error.code and error.message and error.column
            continue
        finally:
            assert repr(row.values) == before
        require_normal(example)
        assert look(row.values) in (None, texts_of(example))


@settings(max_examples=30, deadline=None)
@given(rows=ROWS, keys=st.dictionaries(
    st.sampled_from(["prompt", "response", "messages", "chosen", "rejected", "label", "query",
                     "reference", "kto_tag", "system", "tools", "history"]), NAMES, min_size=3))
def test_any_mapping(rows: list[dict[str, Any]], keys: dict[str, str]) -> None:
    try:
        shape = shape_from_mapping(keys)
    except ValueError:
        return
    for number, row in enumerate(rows, start=1):
        try:
            require_normal(convert(Row(number, row), shape))
        except RowError as error:
            assert error.code and error.message

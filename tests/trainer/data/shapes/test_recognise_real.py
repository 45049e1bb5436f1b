"""Real files, with nothing said about their columns: recognised, and every row converts."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.data.reading.readers import read
from trainer.data.reading.rows import Row, RowError
from trainer.data.reading.sources import locate
from trainer.data.shapes.convert import convert
from trainer.data.shapes.fast import fast_row, texts_of
from trainer.data.shapes.recognise import Shape, recognise, shape_from_mapping

SHAREGPT = {"role_tag": "from", "content_tag": "value", "user_tag": "human",
            "assistant_tag": "gpt"}
OPENAI = {"role_tag": "role", "content_tag": "content", "user_tag": "user",
          "assistant_tag": "assistant"}
ALPACA = {"prompt": "instruction", "query": "input", "response": "output"}
QA = {"prompt": "question", "response": "answer"}
# file -> (kind, what the mapping holds, rows, rows that cannot be used)
REAL: dict[str, tuple[str, dict[str, str], int, int]] = {
    "gsm8k_train.jsonl": ("question_answer", QA, 7473, 0),
    "gsm8k_test.jsonl": ("question_answer", QA, 1319, 0),
    "hh_rlhf_harmless_test.jsonl.gz": (
        "hh_rlhf", {"chosen": "chosen", "rejected": "rejected"}, 2312, 13),
    "alpaca_seed_tasks.jsonl": (
        "alpaca", {"prompt": "instruction", "query": "instances[0].input",
                   "response": "instances[0].output"}, 175, 0),
    "llamafactory/alpaca_en_demo.json": ("alpaca", ALPACA, 999, 0),
    "llamafactory/identity.json": ("alpaca", ALPACA, 91, 0),
    "llamafactory/c4_demo.jsonl": ("text", {"prompt": "text"}, 300, 0),
    "llamafactory/dpo_en_demo.json": (
        "preference", {"messages": "conversations", "chosen": "chosen", "rejected": "rejected",
                       **SHAREGPT}, 299, 0),
    "llamafactory/glaive_toolcall_en_demo.json": (
        "sharegpt", {"messages": "conversations", "tools": "tools", **SHAREGPT}, 300, 0),
    "llamafactory/kto_en_demo.json": (
        "kto", {"messages": "messages", "kto_tag": "label", **OPENAI}, 300, 0)}


def rows_of(path: Path) -> list[Row]:
    return [row for row in read(locate(path, name=path.stem)) if isinstance(row, Row)]


def usable(rows: list[Row], shape: Shape) -> int:
    """Count the rows that convert; what a quick look calls fine has to."""
    count, look = 0, fast_row(shape)
    for row in rows:
        texts = look(row.values)
        try:
            example = convert(row, shape)
        except RowError:
            assert texts is None
            continue
        assert texts in (None, texts_of(example))
        count += 1
    return count


@pytest.mark.parametrize("name", REAL)
def test_real_files_need_no_mapping(shared: Path, name: str) -> None:
    kind, mapping, count, bad = REAL[name]
    rows = rows_of(shared / "data" / "real" / name)
    shape = recognise(rows)
    assert (shape.kind, shape.confidence >= 0.8) == (kind, True)
    assert shape.mapping.document() | mapping == shape.mapping.document()
    assert (len(rows), usable(rows, shape)) == (count, count - bad)


@pytest.mark.parametrize("name", REAL)
def test_a_mapping_written_by_hand_reads_the_same(shared: Path, name: str) -> None:
    rows = rows_of(shared / "data" / "real" / name)[:50]
    shape = recognise(rows)
    again = shape_from_mapping(shape.mapping.document(), shape.kind)
    assert [convert(row, again) for row in rows] == [convert(row, shape) for row in rows]


def test_plain_text_is_text(shared: Path) -> None:
    rows = rows_of(shared / "data" / "real" / "tinyshakespeare.txt")
    assert recognise(rows).kind == "text"
    assert convert(rows[0], recognise(rows)).text


def test_tool_calls_have_one_form(shared: Path) -> None:
    rows = rows_of(shared / "data" / "real" / "llamafactory" / "glaive_toolcall_en_demo.json")
    shape = recognise(rows)
    called = [turn for row in rows for turn in convert(row, shape).messages if turn.tool_calls]
    assert len(called) > 100
    for turn in called:
        for call in turn.tool_calls:
            assert call["type"] == "function" and isinstance(call["function"]["arguments"], dict)
    tools = [tool for row in rows for tool in convert(row, shape).tools or []]
    assert tools and all(tool["type"] == "function" and tool["function"]["name"] for tool in tools)

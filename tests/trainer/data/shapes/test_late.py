"""Optional columns that come after the first rows are not lost without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.data.checking.check import check, convert_rows, shape_of
from trainer.data.reading.sources import DatasetSpec, locate
from trainer.data.shapes.late import LATE_ROWS
from trainer.data.shapes.messages import Example
from trainer.data.shapes.recognise import SAMPLED_ROWS, shape_from_mapping

TOOL = {"name": "add", "description": "Adds.", "parameters": {"type": "object", "properties": {}}}
TALK = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
PAIR = {"instruction": "a", "output": "b"}


def written(tmp_path: Path, row: dict[str, Any], more: dict[str, Any], after: int) -> DatasetSpec:
    lines = [json.dumps(row)] * after + [json.dumps({**row, **more})] * 2
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    return locate(tmp_path / "a.jsonl", name="a")


@pytest.mark.parametrize(("row", "more"), [
    (TALK, {"tools": [TOOL]}), (TALK, {"system": "Be kind."}), ({**TALK, "tools": None},
                                                                {"tools": json.dumps([TOOL])}),
    (PAIR, {"history": [["c", "d"]]}), (PAIR, {"system": "Be kind.", "tools": [TOOL]})])
def test_what_comes_a_little_late_is_used(tmp_path: Path, row: dict[str, Any],
                                          more: dict[str, Any]) -> None:
    spec = written(tmp_path, row, more, SAMPLED_ROWS + 5)
    shape = shape_of(spec)
    for role in more:
        assert getattr(shape.mapping.columns, role) == role
        assert f"'{role}' comes from row {SAMPLED_ROWS + 6} on" in shape.reason
        assert role not in shape.unused
    first, *_, last = convert_rows(spec, shape)
    assert isinstance(first, Example) and isinstance(last, Example)
    assert (first.messages, first.tools) != (last.messages, last.tools)
    report = check(spec)
    assert report.usable == report.rows
    assert not any("not used" in note for note in report.notes)


def test_what_comes_later_still_is_named_with_the_way_out(tmp_path: Path) -> None:
    spec = written(tmp_path, TALK, {"tools": [TOOL]}, SAMPLED_ROWS + LATE_ROWS)
    note, = (note for note in check(spec).notes if "not used" in note)
    assert f"'tools' first comes in row {SAMPLED_ROWS + LATE_ROWS + 1:,}" in note
    assert "--map messages=messages --map tools=tools" in note
    named = shape_from_mapping({"messages": "messages", "tools": "tools"})
    assert not any("not used" in note for note in check(spec, shape=named).notes)


def test_other_columns_are_left_alone(tmp_path: Path) -> None:
    spec = written(tmp_path, {"text": "a"}, {"system": "b", "history": "c"}, SAMPLED_ROWS)
    report = check(spec)
    assert report.shape.kind == "text"
    assert not any("not used" in note for note in report.notes)

"""Rows that are a list inside one object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.data.reading.readers import read, row_at
from trainer.data.reading.rowindex import Watch
from trainer.data.reading.rows import DatasetError, Row, RowProblem
from trainer.data.reading.sources import locate

ROWS = [{"q": f"问 {n}", "a": [{"x": "}, {"}]} for n in range(1, 4)]


def read_text(tmp_path: Path, text: str, name: str = "a.json") -> tuple[list[Any], Watch]:
    (tmp_path / name).write_text(text, encoding="utf-8")
    watch, spec = Watch(), locate(tmp_path / name, name="a")
    items = list(read(spec, watch=watch))
    for item in items:
        if isinstance(item, Row):
            assert row_at(spec, item.number, watch.index) == item
    return items, watch


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize("document", [
    {"data": ROWS}, {"version": "1.1", "tags": ["x", "y"], "no": [], "rows": ROWS, "n": {"of": 3}},
    {"train": ROWS, "names": ["a", "b"]}])
def test_the_list_is_read_and_this_is_said(tmp_path: Path, document: dict[str, Any], name: str,
                                           indent: int | None) -> None:
    items, watch = read_text(tmp_path, json.dumps(document, indent=indent), name)
    if name == "a.jsonl" and indent is None:
        assert [item.values for item in items] == [document]
        return
    assert [(item.number, item.values) for item in items] == list(enumerate(ROWS, 1))
    assert "inside one object" in watch.notes[0]


def test_broken_elements_keep_their_numbers(tmp_path: Path) -> None:
    text = json.dumps({"data": ROWS, "end": 1}, indent=2).replace('"q": "\\u95ee 2"', '"q" 2')
    items, _ = read_text(tmp_path, text)
    assert [type(item) for item in items] == [Row, RowProblem, Row]
    assert items[1].row == 2


def test_an_object_on_one_line_with_turns_is_a_row(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    assert [item.values for item in read_text(tmp_path, json.dumps(row))[0]] == [row]


@pytest.mark.parametrize(("document", "code"), [
    ({"train": ROWS, "test": ROWS}, "several_lists"), ({"q": ["a"], "a": ["b"]}, "not_a_list"),
    ({"id1": {"q": "a", "a": "b"}}, "not_a_list"),
    ({"messages": [{"role": "user", "content": "a"}]}, "not_a_list")])
def test_what_is_not_clear_is_refused(tmp_path: Path, document: dict[str, Any], code: str) -> None:
    with pytest.raises(DatasetError) as caught:
        read_text(tmp_path, json.dumps(document, indent=1))
    assert caught.value.code == code


@pytest.mark.parametrize("tail", ["]", "", ' ], "x', "], 1}", "]} x"])
def test_a_torn_end(tmp_path: Path, tail: str) -> None:
    text = json.dumps({"data": ROWS}, indent=1).rstrip("]} \n") + "\n  }]}\n" + tail
    items, _ = read_text(tmp_path, text[:-1] if not tail else text)
    assert [item.values for item in items if isinstance(item, Row)][:2] == ROWS[:2]
    assert len(items) <= 4


def test_a_broken_first_line_of_json_lines(tmp_path: Path) -> None:
    lines = [json.dumps(row) for row in ROWS]
    items, _ = read_text(tmp_path, "\n".join([lines[0][:-5], *lines[1:]]))
    assert [type(item) for item in items] == [RowProblem, Row, Row]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_rows_that_are_bare_turns(tmp_path: Path, name: str) -> None:
    talks = [[{"role": "user", "content": str(n)}, {"role": "assistant", "content": "b"}]
             for n in range(3)]
    text = json.dumps(talks) if name == "a.json" else "\n".join(map(json.dumps, talks))
    assert [item.values for item in read_text(tmp_path, text, name)[0]] == [
        {"messages": talk} for talk in talks]

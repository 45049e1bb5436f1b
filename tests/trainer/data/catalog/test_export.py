"""Exports: whole or not at all, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.data.conftest import Make
from trainer.data.catalog.escape import escape_cell
from trainer.data.catalog.export import export
from trainer.data.catalog.jsonlines import json_line
from trainer.data.catalog.registry import Registry
from trainer.data.reading.rows import DatasetError

ROWS = [{"instruction": "=cmd|' /C calc'!A0", "output": "fine", "n": 1, "x": -0.5},
        {"instruction": "+1", "output": "-1", "tags": ["a", {"b": None}], "ok": True},
        {"instruction": "@SUM(A1)", "output": "\ttab", "no": None},
        {"instruction": "two\nlines, \"quoted\"", "output": "你好 😀"}]


def test_tables_escape_formulas(make: Make, tmp_path: Path) -> None:
    spec = make(ROWS)
    assert export(spec, tmp_path / "out.csv") == 4
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert table[0] == {"instruction": "'=cmd|' /C calc'!A0", "output": "fine", "n": "1",
                        "x": "-0.5", "tags": "", "ok": "", "no": ""}
    assert (table[1]["instruction"], table[1]["output"], table[1]["ok"]) == ("'+1", "'-1", "true")
    assert json.loads(table[1]["tags"]) == ["a", {"b": None}]
    assert (table[2]["instruction"], table[2]["output"]) == ("'@SUM(A1)", "'\ttab")
    assert (table[3]["instruction"], table[3]["output"]) == (ROWS[3]["instruction"], "你好 😀")


def test_excel_gets_text_not_formulas(make: Make, tmp_path: Path) -> None:
    from openpyxl import load_workbook

    assert export(make([*ROWS, {"instruction": "bell \x07"}]), tmp_path / "out.xlsx") == 5
    sheet = load_workbook(tmp_path / "out.xlsx").active
    cells = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert cells[0][:3] == ["instruction", "output", "n"]
    assert cells[1][0] == "'=cmd|' /C calc'!A0" and cells[1][2:4] == [1, -0.5]
    assert cells[5][0] == "bell "
    assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv", ".tsv", ".xlsx"])
def test_what_was_exported_is_read_again(make: Make, tmp_path: Path, ending: str) -> None:
    rows = [{"question": f"q{n}", "answer": f"a {n}"} for n in range(20)]
    path = tmp_path / f"out{ending}"
    assert export(make(rows), path) == 20
    from trainer.data.reading.readers import read

    again = Registry(tmp_path / "no", None).resolve(str(path))
    assert [row.values for row in read(again)] == rows


def test_refusals_leave_nothing(make: Make, tmp_path: Path) -> None:
    spec = make([{"instruction": "x" * 40_000, "output": "y"}])
    (tmp_path / "there.csv").write_text("keep me")
    before = sorted(tmp_path.iterdir())
    for name, code in (("out.pdf", "export_format"), ("data.jsonl", "export_itself"),
                       ("there.csv", "file_exists"), ("out.xlsx", "export_too_large")):
        with pytest.raises(DatasetError) as caught:
            export(spec, tmp_path / name)
        assert caught.value.code == code, name
    assert sorted(tmp_path.iterdir()) == before
    assert export(spec, tmp_path / "there.csv", overwrite=True) == 1
    bad = make('{"instruction": "a", "output": "b"}\n{torn\n', "bad.jsonl")
    with pytest.raises(DatasetError, match="--drop-bad"):
        export(bad, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


@given(st.text())
def test_no_escaped_cell_begins_a_formula(text: str) -> None:
    escaped = escape_cell(text)
    assert not escaped.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert escaped in (text, f"'{text}")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_lines_of_json_give_values_back(value: object) -> None:
    line = json_line({"v": value})
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert repr(json.loads(line)["v"]) == repr(value)


def test_odd_values_become_text() -> None:
    assert json.loads(json_line({"b": b"\xff", "s": {"x"}}))["b"] == "/w=="
    assert math.isnan(json.loads(json_line({"n": math.nan}))["n"])
    assert json.loads(json_line({"s": "\ud800"}))["s"] == "\ud800"

"""Excel files."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from trainer.data.reading.readers import read, row_at
from trainer.data.reading.rowindex import Watch
from trainer.data.reading.rows import DatasetError, Row, RowProblem
from trainer.data.reading.sources import DatasetSpec, locate


def write(path: Path, *sheets: list[list[Any]]) -> DatasetSpec:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(f"sheet {number}")
        for row in rows:
            sheet.append(row)
    book.save(path)
    return locate(path, name=path.name)


def test_rows_and_values(tmp_path: Path) -> None:
    spec = write(tmp_path / "a.xlsx", [
        ["question", "answer", "n"], ["你好?", "好 😀", 1], [None, None, None],
        ["2", "line\nbreak", 1.5], ["short"], ["day", datetime(2024, 5, 6), True]])
    assert list(read(spec)) == [
        Row(1, {"question": "你好?", "answer": "好 😀", "n": "1"}),
        Row(2, {"question": "2", "answer": "line\nbreak", "n": "1.5"}),
        Row(3, {"question": "short", "answer": None, "n": None}),
        Row(4, {"question": "day", "answer": "2024-05-06", "n": True})]
    assert row_at(spec, 2) == Row(2, {"question": "2", "answer": "line\nbreak", "n": "1.5"})


def test_formulas_stay_text(tmp_path: Path) -> None:
    spec = write(tmp_path / "a.xlsx", [["q"], ["=cmd|' /C calc'!A0"], ["=1+1"]])
    assert [row.values["q"] for row in read(spec) if isinstance(row, Row)] == [
        "=cmd|' /C calc'!A0", "=1+1"]


def test_the_first_sheet_with_rows_is_read_and_named(tmp_path: Path) -> None:
    spec, watch = write(tmp_path / "a.xlsx", [], [["only", "a header"]], [["q"], ["x"]]), Watch()
    assert list(read(spec, watch=watch)) == [Row(1, {"q": "x"})]
    assert watch.notes == ["The sheet 'sheet 2' of 'a.xlsx' is read."]


def test_cells_beyond_the_header_are_named_with_the_line(tmp_path: Path) -> None:
    spec = write(tmp_path / "a.xlsx", [["q", "a"], ["1", "2"], [], ["3", "4", "5"], ["6", "7"]])
    _, second, third = read(spec)
    assert isinstance(second, RowProblem)
    assert (second.row, second.code) == (2, "columns")
    assert "(line 4 of the sheet)" in second.message
    assert third == Row(3, {"q": "6", "a": "7"})


@pytest.mark.parametrize("sheets", [[[]], [[["q", "a"]]]])
def test_a_book_without_rows_is_empty(tmp_path: Path, sheets: list[list[list[Any]]]) -> None:
    with pytest.raises(DatasetError, match="has no rows"):
        list(read(write(tmp_path / "a.xlsx", *sheets)))


def test_a_broken_book_says_so(tmp_path: Path) -> None:
    spec = write(tmp_path / "a.xlsx", [["q"], *([f"row {n}"] for n in range(500))])
    raw = spec.path.read_bytes()
    spec.path.write_bytes(raw[:len(raw) // 2])
    with pytest.raises(DatasetError) as caught:
        list(read(spec))
    assert caught.value.code == "damaged_file"
    with zipfile.ZipFile(io.BytesIO(raw)) as whole, zipfile.ZipFile(spec.path, "w") as packed:
        for entry in whole.infolist():
            content = whole.read(entry)
            packed.writestr(entry.filename, content[:len(content) // 2]
                            if "sheet1" in entry.filename else content)
    with pytest.raises(DatasetError) as caught:
        list(read(spec))
    assert caught.value.code == "damaged_file"


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    spec = write(tmp_path / "a.xlsx", [["q"], ["x"]])
    raw = spec.path.read_bytes()
    bomb = ('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">]><worksheet xmlns="http://schemas.'
            'openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="A1" '
            't="inlineStr"><is><t>&a;</t></is></c></row></sheetData></worksheet>')
    with zipfile.ZipFile(io.BytesIO(raw)) as whole, zipfile.ZipFile(spec.path, "w") as packed:
        for entry in whole.infolist():
            packed.writestr(entry.filename, bomb if "sheet1.xml" in entry.filename
                            else whole.read(entry))
    with pytest.raises(DatasetError) as caught:
        list(read(spec))
    assert caught.value.code == "damaged_file"


def test_a_zip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.data.reading.bounds.BOMB_BYTES", 2_000_000)
    monkeypatch.setattr("trainer.data.reading.bounds.BOMB_RATIO", 50)
    spec = write(tmp_path / "a.xlsx", [["q"], ["x"]])
    with zipfile.ZipFile(spec.path, "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/media/zeros", bytes(20_000_000))
    with pytest.raises(DatasetError) as caught:
        list(read(spec))
    assert caught.value.code == "too_large_inside"


def test_a_false_size_of_the_sheet_is_not_believed(tmp_path: Path) -> None:
    spec = write(tmp_path / "a.xlsx", [["q"], ["x"]])
    raw = spec.path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(raw)) as whole, zipfile.ZipFile(spec.path, "w") as packed:
        for entry in whole.infolist():
            packed.writestr(entry.filename, whole.read(entry).replace(
                b'<dimension ref="A1:A2"', b'<dimension ref="A1:XFD1048576"'))
    assert list(read(spec)) == [Row(1, {"q": "x"})]

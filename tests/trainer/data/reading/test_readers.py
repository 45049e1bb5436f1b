"""Files of every format, and broken ones."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.data.catalog.registry import Registry
from trainer.data.reading.readers import read, row_at
from trainer.data.reading.rows import DatasetError, Row, RowProblem
from trainer.data.reading.sources import DatasetSpec

Make = Callable[..., DatasetSpec]
ROWS = [{"question": "你好?", "answer": "好 😀"}, {"question": "2", "answer": "line\nbreak"}]


def rows_of(spec: DatasetSpec, **options: Any) -> list[tuple[int, dict[str, Any]]]:
    return [(row.number, row.values) for row in read(spec, **options) if isinstance(row, Row)]


def problems_of(spec: DatasetSpec) -> list[RowProblem]:
    return [row for row in read(spec) if isinstance(row, RowProblem)]


JSONL = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
TABLE = 'question{0}answer\r\n你好?{0}好 😀\r\n2{0}"line\nbreak"\r\n'
CONTENTS = {
    "a.jsonl": JSONL, "a.json": json.dumps(ROWS, ensure_ascii=False, indent=2),
    "lines.json": JSONL, "a.csv": TABLE.format(","), "semicolon.csv": TABLE.format(";"),
    "a.tsv": TABLE.format("\t")}


@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("name", CONTENTS)
def test_every_format_gives_the_same_rows(make: Make, name: str, mark: str, packed: str) -> None:
    assert rows_of(make(mark + CONTENTS[name], name + packed)) == [(1, ROWS[0]), (2, ROWS[1])]


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.TXT.gz"])
def test_text_files_have_a_row_for_each_line_with_text(make: Make, name: str) -> None:
    assert rows_of(make("one\r\n\n  \ntwo\u2028still two", name)) == [
        (1, {"text": "one"}), (2, {"text": "two\u2028still two"})]


def test_json_lines_are_numbered_by_physical_line(make: Make) -> None:
    spec = make('{"a": 1}\n\n   \n{"a": "x\u2028y"}\nnot json\n[1]\n{"a": 3}')
    assert [number for number, _ in rows_of(spec)] == [1, 4, 7]
    assert [problem.row for problem in problems_of(spec)] == [5, 6]


def test_a_row_that_is_not_json_is_named_with_its_place(make: Make) -> None:
    found, = problems_of(make('{"a": 1}\n{"a": 1, "b" 2}\n{"a": 1}\n'))
    assert (found.row, found.code, found.severity) == (2, "not_json", "error")
    assert found.message == ("Row 2 of data.jsonl is not JSON: Expecting ':' delimiter at "
                             "column 14; it begins '{\"a\": 1, \"b\" 2}'.")


@pytest.mark.parametrize(("line", "code"), [
    ("[" * 100_000, "not_json"), ("1" * 5000, "not_json"), ('"text"', "not_object"),
    ("null", "not_object"), ('{"a": 1} {"a": 2}', "not_json"), ("\ufeff{}", "not_json")])
def test_odd_lines_are_row_problems(make: Make, line: str, code: str) -> None:
    assert [p.code for p in problems_of(make('{"a": 1}\n' + line + "\n"))] == [code]


def test_nan_is_a_missing_value(make: Make) -> None:
    assert rows_of(make('{"a": NaN, "b": [Infinity]}')) == [(1, {"a": None, "b": [None]})]


def test_bytes_that_are_not_utf8_name_the_row(make: Make) -> None:
    found, = problems_of(make(b'{"a": "x"}\n{"a": "caf\xe9"}\n'))
    assert (found.row, found.code) == (2, "not_utf8")
    assert "byte 0xE9 at position 11" in found.message


@pytest.mark.parametrize(("content", "name", "where"), [
    (b"q,a\nx,y\nx,caf\xe9\n", "a.csv", "byte 0xE9"),
    (b'[{"a": 1}, {"a": "caf\xe9"}]', "a.json", "line 1, column 22"),
    (b"one\n\nx\xe9y\n", "a.txt", "byte 0xE9 at position 2")])
def test_wrong_bytes_are_a_problem_of_their_row(make: Make, content: bytes, name: str,
                                                where: str) -> None:
    spec = make(content, name)
    assert [number for number, _ in rows_of(spec)] == [1]
    found, = problems_of(spec)
    assert (found.row, found.code) == (2, "not_utf8")
    assert where in found.message


@pytest.mark.parametrize(("content", "name"), [
    ("\n \n", "a.jsonl"), ("[]", "a.json"), ("  \n", "a.json"), ("question,answer\n", "a.csv"),
    ("\ufeff", "a.txt"), ("", "a.jsonl.gz"), ("[ \n ]", "a.json")])
def test_files_without_rows_are_refused(make: Make, content: str, name: str) -> None:
    with pytest.raises(DatasetError, match="has no rows") as caught:
        list(read(make(content, name)))
    assert caught.value.code == "empty"


@pytest.mark.parametrize(("content", "words"), [
    ('[{"a": 1},\n {"a" 2}]', "Expecting ':' delimiter at line 2, column 7"),
    ('[{"a": 1}, {"a": 2', "line 1, column 19"), ('[{"a": 1} {"a": 2}]', "found '{'"),
    ('[{"a": 1}', "the list is open"), ('[{"a": 1}, ] x', "behind the end"),
    ('[{"a": 1}, {"a": "x]', "Unterminated string"), ('[{"a": 1}, tru', "Expecting value"),
    ('[{"a": 1}, ' + "[" * 100_000, "maximum recursion depth"),
    ('[{"a": 1}, ' + "1" * 5000 + "]", "digits")])
def test_a_broken_list_ends_with_a_problem(make: Make, content: str, words: str) -> None:
    first, second = read(make(content, "a.json"))
    assert isinstance(first, Row)
    assert isinstance(second, RowProblem)
    assert (second.row, second.code) == (2, "not_json")
    assert words in second.message


def test_a_list_is_read_across_the_edges_of_pieces(make: Make,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    values = [{"n": n, "text": "é\\\"😀" * (n % 7), "list": [1.5, True, None]} for n in range(40)]
    text = json.dumps([*values, 12, True], ensure_ascii=False)
    for size in (1, 2, 3, 7, 64):
        monkeypatch.setattr("trainer.data.reading.bounds.BLOCK_BYTES", size)
        items = list(read(make(text, "a.json")))
        assert [item.values for item in items if isinstance(item, Row)] == values
        assert [item.code for item in items[-2:] if isinstance(item, RowProblem)] == [
            "not_object"] * 2


def test_a_file_is_never_in_memory_as_a_whole(make: Make) -> None:
    text = "[" + ",".join('{"a": "' + "x" * 1000 + '"}' for _ in range(8_000)) + "]"
    lines = text[1:-1].replace("},", "}\n")
    specs = [make(text, "a.json"), make(lines), make(lines, "a.txt.gz")]
    tracemalloc.start()
    for spec in specs:
        assert sum(1 for _ in read(spec)) == 8_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000


def test_a_row_that_is_too_long_is_skipped(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.data.reading.bounds.MAX_ROW_BYTES", 50)
    spec = make('{"a": 1}\n{"a": "' + "x" * 300 + '"}\n{"a": 2}\n')
    assert rows_of(spec) == [(1, {"a": 1}), (3, {"a": 2})]
    assert [(p.row, p.code) for p in problems_of(spec)] == [(2, "row_too_long")]


def test_a_single_object_is_not_a_list_of_rows(make: Make) -> None:
    with pytest.raises(DatasetError, match="one object") as caught:
        list(read(make('{\n "data": ["a", 1]\n}', "a.json")))
    assert "JSON Lines" in caught.value.advice


def test_a_broken_gzip_file_says_so(make: Make, tmp_path: Path) -> None:
    whole = make(JSONL * 50, "a.jsonl.gz").path.read_bytes()
    for raw in (JSONL.encode(), whole[:-20], whole[:12] + b"\0\0\0" + whole[15:]):
        (tmp_path / "b.jsonl.gz").write_bytes(raw)
        spec = Registry(tmp_path, None).resolve(str(tmp_path / "b.jsonl.gz"))
        with pytest.raises(DatasetError) as caught:
            list(read(spec))
        assert caught.value.code == "bad_gzip"


def test_max_samples_counts_bad_rows(make: Make) -> None:
    spec = make('{"a": 1}\nx\n{"a": 2}\n')
    assert [type(row) for row in read(spec, max_samples=2)] == [Row, RowProblem]


def test_a_file_that_vanishes_is_missing(make: Make) -> None:
    spec = make(JSONL)
    spec.path.unlink()
    with pytest.raises(DatasetError, match="There is no file"):
        list(read(spec))


def test_two_members_of_a_gzip_file_are_read(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "two.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n') + gzip.compress(b'{"a": 2}\n'))
    assert len(rows_of(Registry(tmp_path, None).resolve(str(path)))) == 2


@pytest.mark.parametrize("sign", [";", ",", "\t", "|"])
def test_the_line_in_which_excel_names_the_separator(make: Make, sign: str) -> None:
    spec = make(f"sep={sign}\r\nq{sign}a\r\n1{sign}2\r\n3{sign}4\r\n", "a.csv")
    assert rows_of(spec) == [(1, {"q": "1", "a": "2"}), (2, {"q": "3", "a": "4"})]
    assert row_at(spec, 2) == Row(2, {"q": "3", "a": "4"})


@pytest.mark.parametrize("content", ['[{"a": 1}, ]', '[\n{"a": 1},\n]\n', '{"data": [{"a": 1},]}'])
def test_a_comma_too_many_at_the_end_of_a_list_is_no_row(make: Make, content: str) -> None:
    assert [item.values for item in read(make(content, "a.json"))] == [{"a": 1}]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet", "a.xlsx"])
@pytest.mark.parametrize(("content", "advice"), [
    ("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n", "git lfs pull"),
    ("<!DOCTYPE html>\n<html></html>", "not the page")])
def test_what_stands_in_place_of_the_data(make: Make, name: str, content: str,
                                          advice: str) -> None:
    with pytest.raises(DatasetError) as caught:
        list(read(make(content, name)))
    assert caught.value.code == "not_the_data"
    assert advice in caught.value.advice


def test_a_row_as_python_prints_it_says_so(make: Make) -> None:
    problem, = read(make(str({"a": 1, "b": None})))
    assert "json.dumps" in problem.message

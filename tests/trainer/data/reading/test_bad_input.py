"""Bad input of every kind has a kind answer, and the source is never written."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from trainer.data.reading.readers import read
from trainer.data.reading.rowindex import Watch
from trainer.data.reading.rows import DatasetError, Row, RowProblem
from trainer.data.reading.sources import DatasetSpec, locate

Make = Callable[..., DatasetSpec]


def refusal(spec: DatasetSpec) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        list(read(spec))
    return caught.value


def seen(spec: DatasetSpec) -> list[tuple[int, str]]:
    """Return (number, '' or what is wrong) of each row."""
    return [(item.row, item.code) if isinstance(item, RowProblem) else (item.number, "")
            for item in read(spec)]


def test_a_torn_last_line(make: Make) -> None:
    spec = make('{"a": 1}\n{"a": 2}\n{"a": "tor')
    assert seen(spec) == [(1, ""), (2, ""), (3, "not_json")]


def test_a_line_of_fifty_megabytes(make: Make) -> None:
    long = json.dumps({"text": "字" * (50 * 2**20 // 3)}, ensure_ascii=False)
    rows = list(read(make(f'{{"text": "a"}}\n{long}\n{{"text": "b"}}\n')))
    assert [row.number for row in rows if isinstance(row, Row)] == [1, 2, 3]
    assert len(rows[1].values["text"]) == 50 * 2**20 // 3  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a.csv", "a.jsonl.zst"])
def test_rows_over_the_limit_are_named_and_left_out(make: Make, name: str,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.data.reading.bounds.MAX_ROW_BYTES", 4000)
    monkeypatch.setattr("trainer.data.reading.bounds.BLOCK_BYTES", 1000)
    long = "x" * 9000
    lines = ([f'{{"a": "{text}"}}' for text in ("1", long, "3")] if "json" in name
             else ["1", long, "3"])
    head = "a\n" if name == "a.csv" else ""
    assert seen(make(head + "\n".join(lines) + "\n", name)) == [
        (1, ""), (2, "row_too_long"), (3, "")]


@pytest.mark.parametrize(("content", "name", "code"), [
    (b'{"a": 1}\n{"a": "\0"}\n{"a": 1}\n', "a.jsonl", "not_json"),
    (b"a\n1\n\0\0\n3\n", "a.csv", "nul_bytes"), (b"1\n2\0\n3\n", "a.txt", "nul_bytes"),
    (b'[{"a": 1},\n{"a": "\0"},\n{"a": 1}]', "a.json", "not_json")])
def test_nul_bytes(make: Make, content: bytes, name: str, code: str) -> None:
    spec = make(content, name)
    assert seen(spec) == [(1, ""), (2, code), (3, "")]


def test_mixed_types_nested_nulls_and_doubled_ids_are_values(make: Make) -> None:
    values = [{"id": 1, "a": "text"}, {"id": 1, "a": 2}, {"id": 1, "a": [None, {"b": None}]},
              {"id": 1, "a": None}, {"id": 1}]
    assert [row.values for row in read(make(values)) if isinstance(row, Row)] == values


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_ten_thousand_columns(make: Make, name: str) -> None:
    names = [f"c{n}" for n in range(10_000)]
    content = (",".join(names) + "\n" + ",".join(["1"] * 10_000) + "\n" if name == "a.csv"
               else json.dumps(dict.fromkeys(names, "1")))
    row, = read(make(content, name))
    assert isinstance(row, Row)
    assert row.values == dict.fromkeys(names, "1")


def test_a_table_with_formulas_emoji_and_other_scripts(make: Make) -> None:
    spec = make("名字,値😀\n=cmd|' /C calc'!A0,+1\n@x,-1\n", "表 😀.csv")
    assert [row.values for row in read(spec) if isinstance(row, Row)] == [
        {"名字": "=cmd|' /C calc'!A0", "値😀": "+1"}, {"名字": "@x", "値😀": "-1"}]
    assert spec.file_name == "表 😀.csv"


@pytest.mark.parametrize(("header", "words"), [
    ("a,a", "names 'a' twice"), (",", "looks like a row"), ("x" * 300, "looks like a row"),
    ('"a', "cannot be read as names")])
def test_a_table_needs_names(make: Make, header: str, words: str) -> None:
    error = refusal(make(f"{header}\n1,2\n", "a.csv"))
    assert (error.code, words in error.message) == ("header", True)


def test_a_nameless_column_is_called_after_its_place(make: Make) -> None:
    watch = Watch()
    spec = make(",q\n0,x\n", "a.csv")
    assert list(read(spec, watch=watch)) == [Row(1, {"column 1": "0", "q": "x"})]
    assert watch.notes == ["Column 1 of 'a.csv' has no name; it is called 'column 1'."]


def test_ragged_records(make: Make) -> None:
    """Missing cells are null, cells too many a problem."""
    spec = make('q,a\n1,2\n1,2,3\n\n  \n4\n"x" y,2\n5,6\n', "a.csv")
    assert seen(spec) == [(1, ""), (2, "columns"), (3, ""), (4, "not_csv"), (5, "")]
    assert list(read(spec))[2] == Row(3, {"q": "4", "a": None})


def test_a_quote_that_is_not_closed_costs_one_row(make: Make) -> None:
    spec = make('q,a\n1,"open\n' + "2,two\n" * 2000 + '3,"three\nlines"\n', "a.csv")
    found = seen(spec)
    assert found[0] == (1, "not_csv")
    assert len(found) == 2002
    assert all(not code for _, code in found[1:])


def test_json_lines_that_are_a_list(make: Make) -> None:
    for text in ('[{"a": 1}, {"a": 2}]', '[\n{"a": 1},\n{"a": 2}\n]', '[{"a": 1},\n {"a": 2}]'):
        watch = Watch()
        assert [row.values for row in read(make(text), watch=watch) if isinstance(row, Row)] == [
            {"a": 1}, {"a": 2}]
        assert "holds a JSON list" in watch.notes[0]


@pytest.mark.parametrize("packed", [".gz", ".zst"])
def test_zip_bombs(make: Make, packed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.data.reading.bounds.BOMB_BYTES", 2**20)
    fine = make("\n".join(json.dumps({"n": n, "text": os.urandom(20).hex()})
                          for n in range(20_000)), f"fine.jsonl{packed}")
    assert len(list(read(fine))) == 20_000
    bomb = make(b'{"a": 1}\n' + b"0" * 2**26, f"bomb.jsonl{packed}")
    error = refusal(bomb)
    assert error.code == "too_large_inside"
    assert "Unpack it yourself" in error.advice


def test_a_bomb_needs_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.data.reading.bounds.BOMB_BYTES", 2**24)
    path = tmp_path / "bomb.txt.zst"
    path.write_bytes(zstandard.compress((b"x" * 999 + b"\n") * 2**17))
    tracemalloc.start()
    refusal(locate(path, name="bomb"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000_000


@pytest.mark.parametrize("packed", [".gz", ".zst"])
def test_torn_and_false_compressed_files(tmp_path: Path, packed: str) -> None:
    pack = gzip.compress if packed == ".gz" else zstandard.compress
    whole = pack(os.urandom(20_000).hex().encode() + b"\n")
    path, code = tmp_path / f"a.txt{packed}", "bad_gzip" if packed == ".gz" else "bad_zstd"
    for raw in (whole[:-1000], b"plain text\n" * 10, whole[:2] + b"\0" * 50 + whole[52:],
                whole + b"rest that is nothing"):
        path.write_bytes(raw)
        assert refusal(locate(path, name="a")).code == code
    path.write_bytes(whole + whole)
    assert len(list(read(locate(path, name="a")))) == 2


@pytest.mark.parametrize(("name", "how"), [
    ("a.jsonl", "append"), ("a.jsonl", "shorten"), ("a.jsonl", "replace"), ("a.jsonl", "remove"),
    ("a.csv", "append"), ("a.json", "replace"), ("a.txt", "shorten")])
def test_a_file_that_changes_while_it_is_read(make: Make, name: str, how: str) -> None:
    line = {"a.jsonl": '{"a": 1}\n', "a.csv": "a,b\n", "a.txt": "a\n", "a.json": ' {"a": 1},\n'}
    text = line[name] * 70_000
    spec = make(f"[{text[:-2]}]" if name == "a.json" else text, name)
    items: Iterator[object] = iter(read(spec))
    next(items)
    os.utime(spec.path, ns=(1, 1)) if how in {"append", "shorten"} else None
    if how == "append":
        with open(spec.path, "a") as file:
            file.write(line[name])
    elif how == "shorten":
        os.truncate(spec.path, spec.size() // 2)
    elif how == "replace":
        (spec.path.parent / "new").write_text(line[name])
        os.replace(spec.path.parent / "new", spec.path)
    else:
        spec.path.unlink()
    with pytest.raises(DatasetError) as caught:
        list(items)
    assert caught.value.code == "changed_while_reading"
    assert name in caught.value.message


def test_a_shard_that_changes_while_another_is_read(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text('{"a": 1}\n' * 100_000)
    items = iter(read(locate(tmp_path, name="x")))
    next(items)
    (tmp_path / "b.jsonl").write_text('{"a": 2}\n')
    with pytest.raises(DatasetError, match="was changed while it was read"):
        list(items)


@pytest.mark.parametrize(("name", "content"), [
    ("a.jsonl", b'{"a": 1}\nx\n'), ("a.json", b'[{"a": 1}, x]'), ("a.csv", b'a\n"x\n'),
    ("a.txt", b"\xff\n"), ("a.jsonl.gz", b"x\n"), ("a.parquet", b"PAR1PAR1"),
    ("a.xlsx", b"PK\x03\x04xl/"), ("a.arrow", b"ARROW1\0\0")])
def test_the_source_is_never_written(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    path.chmod(0o444)
    before = hashlib.sha256(content).digest(), path.stat().st_mtime_ns, os.listdir(tmp_path)
    try:
        list(read(locate(path, name=name)))
    except DatasetError as error:
        assert name in error.message
    assert before == (hashlib.sha256(path.read_bytes()).digest(), path.stat().st_mtime_ns,
                      os.listdir(tmp_path))

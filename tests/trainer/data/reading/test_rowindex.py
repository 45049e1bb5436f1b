"""The index of rows: any row opens at its place, in files that have not changed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from trainer.data.reading.readers import read, row_at
from trainer.data.reading.rowindex import RowIndex, Watch
from trainer.data.reading.rows import DatasetError, Row
from trainer.data.reading.sources import DatasetSpec, locate

Make = Callable[..., DatasetSpec]
COUNT = 3000
VALUES = [{"n": str(n), "text": "é\n\"😀" * (n % 5)} for n in range(1, COUNT + 1)]


def content(name: str) -> str:
    if name.startswith("a.csv"):
        quoted = ["\"" + row["text"].replace('"', '""') + "\"" for row in VALUES]
        return "n,text\n" + "".join(f"{row['n']},{text}\n" for row, text in
                                    zip(VALUES, quoted, strict=True))
    if name.startswith("a.txt"):
        return "\n\n".join(row["n"] for row in VALUES)
    if name == "a.json":
        return json.dumps(VALUES, ensure_ascii=False, indent=1)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in VALUES)


def indexed(spec: DatasetSpec) -> RowIndex:
    watch = Watch()
    assert sum(1 for _ in read(spec, watch=watch))
    assert watch.bytes_done == watch.bytes_total == spec.size()
    assert watch.index.complete
    return watch.index


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.data.reading.bounds.BLOCK_BYTES", 2000)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "lines.json", "a.csv", "a.txt",
                                  "a.jsonl.gz", "a.csv.zst"])
def test_any_row_is_found(make: Make, tmp_path: Path, name: str) -> None:
    spec = make("\ufeff" + content(name), name)
    index = indexed(spec)
    assert index.rows == COUNT if name != "a.txt" else index.rows
    assert len(index) > COUNT / 1000 or spec.compressed
    index.save(tmp_path / "rows.idx")
    loaded = RowIndex.load(tmp_path / "rows.idx", spec)
    for number in (1, 2, 500, 501, 1234, COUNT - 1, COUNT):
        for known in (index, loaded, None):
            row = row_at(spec, number, known)
            assert isinstance(row, Row)
            assert row.number == number
            assert row.values.get("n", row.values.get("text")) == str(number)
    for number in (0, COUNT + 1, COUNT + 500):
        assert row_at(spec, number, index) is None


@pytest.mark.usefixtures("small_blocks")
def test_reading_from_a_row_gives_the_rest(make: Make) -> None:
    spec = make(content("a.jsonl"))
    index = indexed(spec)
    every = list(read(spec))
    assert list(read(spec, start=2345, index=index)) == every[2344:]
    assert list(read(spec, start=2345, max_samples=10)) == every[2344:2354]


def test_only_a_part_of_the_file_is_read(make: Make) -> None:
    spec = make('{"a": "' + "x" * 1000 + '"}\n', "one.jsonl")
    spec.path.write_bytes(spec.path.read_bytes() * 4000)
    index, watch = indexed(spec), Watch()
    row = next(iter(read(spec, start=3999, index=index, watch=watch)))
    assert isinstance(row, Row)
    assert row.number == 3999
    place = index.nearest(3999)
    assert place.offset > spec.size() * 0.8


def test_blank_lines_count_in_json_lines(make: Make) -> None:
    spec = make('{"a": 1}\n\n\n{"a": 4}\nx\n')
    index = indexed(spec)
    assert row_at(spec, 4, index) == Row(4, {"a": 4})
    assert row_at(spec, 2, index) is None
    assert index.rows == 5


def test_rows_run_on_through_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    for at, name in enumerate(["a.jsonl", "b.jsonl", "c.jsonl.gz"]):
        import gzip

        raw = f'{{"n": {at}}}\n\nnot json\n'.encode()
        (folder / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    spec, watch = locate(folder, name="shards"), Watch()
    items = list(read(spec, watch=watch))
    assert [item.number if isinstance(item, Row) else item.row for item in items] == [
        1, 3, 4, 6, 7, 9]
    assert items[3].message.startswith(  # type: ignore[union-attr]
        "Row 6 of shards (row 3 of b.jsonl) is not JSON")
    assert watch.where(spec, 7) == "Row 7 of shards (row 1 of c.jsonl.gz)"
    for number in (1, 3, 4, 6, 7, 9):
        assert row_at(spec, number, watch.index) == row_at(spec, number)


def test_a_stale_index_is_refused(make: Make, tmp_path: Path) -> None:
    spec = make(content("a.jsonl"))
    index = indexed(spec)
    index.save(tmp_path / "rows.idx")
    found = spec.path.stat()
    os.utime(spec.path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))
    for use in (lambda: row_at(spec, 5, index), lambda: list(read(spec, start=5, index=index)),
                lambda: RowIndex.load(tmp_path / "rows.idx", spec)):
        with pytest.raises(DatasetError) as caught:
            use()
        assert caught.value.code == "stale_index"


@pytest.mark.parametrize("damage", [b"", b"FINESTRA-ROWS-1\n{}\n", b"else"])
def test_a_broken_index_is_refused(make: Make, tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "rows.idx"
    indexed(make(content("a.jsonl"))).save(path)
    whole = path.read_bytes()
    for raw in (damage, whole[:-1]):
        path.write_bytes(raw)
        with pytest.raises(DatasetError) as caught:
            RowIndex.load(path)
        assert caught.value.code == "bad_index"


def test_an_index_of_a_part_is_not_complete(make: Make) -> None:
    watch = Watch()
    assert len(list(read(make(content("a.jsonl")), max_samples=3, watch=watch))) == 3
    assert not watch.index.complete

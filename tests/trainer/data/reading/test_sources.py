"""Which files are a dataset: endings, folders of shards, links, and files of another kind."""

from __future__ import annotations

import gzip
import os
import zipfile
from pathlib import Path

import pyarrow
import pytest
import zstandard
from pyarrow import parquet

from trainer.data.reading.readers import read
from trainer.data.reading.rowindex import Watch
from trainer.data.reading.rows import DatasetError, Row
from trainer.data.reading.sources import DatasetSpec, Part, format_of, locate, outside

LINE = '{"a": 1}\n'


def fill(folder: Path, *names: str, text: str = LINE) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(text)
    return folder


def refusal(path: Path) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        list(read(locate(path, name=path.name)))
    return caught.value


@pytest.mark.parametrize(("name", "found"), [
    ("a.jsonl", (".jsonl", "")), ("A.JSON.GZ", (".json", "gz")), ("a.b.csv.zst", (".csv", "zst")),
    ("数据.md", (".md", "")), ("a.parquet", (".parquet", "")), ("a.xlsx", (".xlsx", "")),
    ("train-00000-of-00001.arrow", (".arrow", ""))])
def test_formats_are_told_by_the_ending(name: str, found: tuple[str, str]) -> None:
    assert format_of(Path(name)) == found


@pytest.mark.parametrize(("name", "hint"), [
    ("a.xls", "Save it as .xlsx"), ("a.zip", "Unpack it"), ("a.ndjson", "rename it to .jsonl"),
    ("a.parquet.gz", "Convert it"), ("a", "Convert it"), ("a.gz", "Convert it")])
def test_other_formats_say_what_to_do(name: str, hint: str) -> None:
    with pytest.raises(DatasetError, match="is not a format") as caught:
        format_of(Path(name))
    assert hint in caught.value.advice


def test_a_spec_of_one_file_has_it_as_its_part(tmp_path: Path) -> None:
    path = fill(tmp_path, "a.jsonl.gz") / "a.jsonl.gz"
    spec = locate(path, name="a")
    assert spec.parts == (Part(path, ".jsonl", "gz", "a.jsonl.gz"),)
    assert (spec.compressed, spec.ending, spec.is_folder) == (True, ".jsonl.gz", False)
    assert DatasetSpec("a", path, ".jsonl").parts == spec.parts


def test_a_folder_leaves_out_what_is_no_data(tmp_path: Path) -> None:
    fill(tmp_path, "b.jsonl", "a.jsonl", "dataset_info.json", "README.md", "LICENSE.txt",
         ".gitattributes", ".hidden.jsonl", "_SUCCESS", "load.py", "notes.md", "config.yaml")
    fill(tmp_path, "meta.json", text='{\n "license": "mit"\n}')
    fill(tmp_path, "empty.jsonl", text="")
    spec = locate(tmp_path, name="x")
    assert [part.name for part in spec.parts] == ["a.jsonl", "b.jsonl"]
    assert (spec.suffix, spec.file_name, spec.is_folder) == (".jsonl", tmp_path.name, True)
    assert [row.number for row in read(spec) if isinstance(row, Row)] == [1, 2]
    before = spec.stamp()
    os.utime(tmp_path / "b.jsonl", ns=(0, 0))
    assert [old == new for old, new in zip(before, spec.stamp(), strict=True)] == [True, False]


def test_a_folder_of_several_formats_names_them(tmp_path: Path) -> None:
    error = refusal(fill(tmp_path, "a.jsonl", "b.csv"))
    assert error.code == "mixed_folder"
    assert "'b.csv', 'a.jsonl'" in error.message


def test_compressed_shards_go_with_plain_ones(tmp_path: Path) -> None:
    fill(tmp_path, "a.jsonl")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(LINE.encode()))
    (tmp_path / "c.jsonl.zst").write_bytes(zstandard.compress(LINE.encode()))
    assert len(list(read(locate(tmp_path, name="x")))) == 3


def test_a_folder_without_data_says_what_it_holds(tmp_path: Path) -> None:
    error = refusal(fill(tmp_path, "a.py"))
    assert (error.code, "'a.py'" in error.advice) == ("is_folder", True)
    (tmp_path / "train").mkdir()
    assert "Name one of its folders: 'train'" in refusal(tmp_path).advice


def test_a_link_keeps_its_own_name_and_ending(tmp_path: Path) -> None:
    """The hub's cache holds links to files that are named by a hash."""
    blob = fill(tmp_path / "blobs", "0a1b") / "0a1b"
    folder = fill(tmp_path / "snapshot")
    (folder / "train.jsonl").symlink_to(blob)
    one, every = locate(folder / "train.jsonl", name="x"), locate(folder, name="x")
    assert (one.path, one.file_name) == (blob, "train.jsonl")
    assert every.parts == one.parts
    assert len(list(read(one))) == len(list(read(every))) == 1


def test_a_link_that_leads_out_of_the_roots_is_found(tmp_path: Path) -> None:
    secret = fill(tmp_path / "elsewhere", "a.jsonl") / "a.jsonl"
    root = fill(tmp_path / "root", "own.jsonl")
    assert outside(locate(root, name="x"), [root]) is None
    (root / "link.jsonl").symlink_to(secret)
    for path in (root, root / "link.jsonl"):
        assert outside(locate(path, name="x"), [root]) == secret
    assert outside(locate(root, name="x"), [root, secret.parent]) is None


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt"])
def test_text_that_is_no_text_says_what_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    stem = f"'{path.stem}"
    parquet.write_table(pyarrow.table({"a": [1]}), path)
    assert refusal(path).message == f"'{name}' is really a Parquet file."
    assert f"{stem}.parquet'" in refusal(path).advice
    path.write_bytes(gzip.compress(LINE.encode()))
    assert "a gzip file" in refusal(path).message
    assert f"'{name}.gz'" in refusal(path).advice
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("a.jsonl", LINE)
    assert "a zip file" in refusal(path).message
    path.write_bytes(b"%PDF-1.7\n%\xff\xff")
    assert refusal(path).code == "wrong_ending"


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.xlsx"])
def test_binary_files_that_are_text_say_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(LINE)
    assert (refusal(path).code, "is really JSON" in refusal(path).message) == ("wrong_ending", True)
    path.write_bytes(b"\x01\x02\x03\x04" * 10)
    assert "is not a whole" in refusal(path).message


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    assert refusal(tmp_path / "a.jsonl").code == "not_a_file"


@pytest.mark.parametrize(("names", "said"), [
    (("train.jsonl", "test.jsonl"), "'test', 'train'"),
    (("train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl"), ""),
    (("validation_1.jsonl", "train_1.jsonl"), "'train', 'validation'"),
    (("a.jsonl", "trainer.jsonl", "test.jsonl"), "")])
def test_a_folder_of_several_splits_is_read_as_one_and_says_so(
        tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    spec, watch = locate(fill(tmp_path / "d", *names), name="d"), Watch()
    assert len(list(read(spec, watch=watch))) == len(names)
    assert said in "".join(watch.notes) and bool(watch.notes) == bool(said)

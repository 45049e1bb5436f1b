"""Names, paths, and LLaMA-Factory's dataset_info.json."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.config import DatasetUse
from trainer.data.catalog import registry
from trainer.data.catalog.registry import Registry
from trainer.data.checking.check import check
from trainer.data.reading.entry import Columns, DatasetEntry, Tags
from trainer.data.reading.rows import DatasetError

ROW = json.dumps({"instruction": "Hi", "input": "", "output": "Yo"}) + "\n"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A shared and a user's folder, each with a registry."""
    shared, user = tmp_path / "shared", tmp_path / "home" / "data"
    for folder in (shared, user):
        folder.mkdir(parents=True)
        (folder / "a.jsonl").write_text(ROW)
    write(shared, {"sample": {"file_name": "a.jsonl"}, "both": {"file_name": "a.jsonl"}})
    write(user, {"mine": {"file_name": "a.jsonl"}, "both": {"file_name": "a.jsonl"}})
    return shared, user


def write(folder: Path, entries: Any) -> None:
    (folder / "dataset_info.json").write_text(
        entries if isinstance(entries, str) else json.dumps(entries))


def test_names_lead_to_files_and_the_user_wins(folders: tuple[Path, Path]) -> None:
    shared, user = folders
    found = Registry(shared, user)
    assert found.names() == ["sample", "both", "mine"]
    assert found.resolve("sample").path == shared / "a.jsonl"
    assert (found.resolve("both").path, found.resolve("both").origin) == (user / "a.jsonl", "user")


def test_the_samples_that_come_along_are_sound() -> None:
    found = registry.load(None)
    assert "sample_instructions" in found.names()
    for name in found.names():
        report = check(found.resolve(name))
        assert (report.rows, report.problems) == (report.usable, []), name


def test_paths_may_be_relative_to_the_working_folder(folders: tuple[Path, Path],
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folders[0])
    spec = Registry(*folders).resolve("a.jsonl")
    assert (spec.path, spec.origin, spec.name) == (folders[0] / "a.jsonl", "path", "a.jsonl")
    assert Registry(*folders).resolve("../shared/a.jsonl").path == spec.path


@pytest.mark.parametrize(("name", "code", "words"), [
    ("sampel", "unknown_dataset", "Did you mean 'sample'?"),
    ("nothing", "unknown_dataset", "Known names: 'sample', 'both', 'mine'"),
    ("tatsu-lab/stanford", "hub_not_here", "finestra data add tatsu-lab/stanford"),
    ("ms:team/x", "hub_not_here", "finestra data add ms:team/x"),
    ("nothing@2", "unknown_dataset", "Known names"), ("mine@2", "unknown_version", "1 to 1"),
    ("missing.jsonl", "missing_file", "There is no file 'missing.jsonl'"),
    ("./missing", "missing_file", "There is no file './missing'"),
    ("https://example.org/a.jsonl", "unsupported_source", "Download it"),
    ("", "unknown_dataset", "There is no dataset ''"),
    ("a\0b.jsonl", "missing_file", "There is no file"),
    ("x" * 5000, "unknown_dataset", "There is no dataset"),
    ("a.jsonl/b.jsonl", "missing_file", "There is no file")])
def test_unknown_names_and_missing_files(folders: tuple[Path, Path], name: str, code: str,
                                         words: str) -> None:
    with pytest.raises(DatasetError) as caught:
        Registry(*folders).resolve(name)
    assert caught.value.code == code
    assert words in str(caught.value)


def test_what_is_not_a_readable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    (tmp_path / "none").write_text("x")
    os.mkfifo(tmp_path / "pipe.jsonl")
    wanted = {"empty.jsonl": "empty", "none": "unsupported_format", "gone.jsonl": "missing_file",
              "pipe.jsonl": "not_a_file"}
    for name, code in wanted.items():
        with pytest.raises(DatasetError) as caught:
            Registry(tmp_path / "no", None).resolve(str(tmp_path / name))
        assert caught.value.code == code, name
        assert caught.value.advice, name


@pytest.mark.parametrize("key", ["om_hub_url", "script_url", "cloud_file_name"])
def test_other_sources_are_refused_with_the_reason(tmp_path: Path, key: str) -> None:
    write(tmp_path, {"far": {key: "some/where"}})
    with pytest.raises(DatasetError) as caught:
        Registry(tmp_path, None).resolve("far")
    assert caught.value.code == "unsupported_source"
    assert "some/where" in str(caught.value)
    assert "download it and name the file" in str(caught.value).lower()


def test_a_hub_source_comes_before_a_file_as_in_llamafactory(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(ROW)
    write(tmp_path, {"far": {"hf_hub_url": "team/x", "file_name": "a.jsonl", "subset": "en"},
                     "odd": {"hf_hub_url": "../../x"}})
    with pytest.raises(DatasetError, match="--subset en") as caught:
        Registry(tmp_path, tmp_path / "home").resolve("far")
    assert caught.value.code == "hub_not_here"
    with pytest.raises(DatasetError) as caught:
        Registry(tmp_path, tmp_path / "home").resolve("odd")
    assert caught.value.code == "hub_id"


def test_a_file_has_no_subset(folders: tuple[Path, Path]) -> None:
    for name in ("mine", str(folders[0] / "a.jsonl")):
        with pytest.raises(DatasetError, match="has no split"):
            Registry(*folders).resolve_use(DatasetUse(name=name, split="test"))


def test_entries_are_changed_atomically_and_remarks_stay(folders: tuple[Path, Path]) -> None:
    shared, user = folders
    write(user, {"mine": {"file_name": "a.jsonl", "_remark": "kept", "num_samples": 3,
                          "columns": {"prompt": "x"}}})
    found = Registry(shared, user)
    found.update_entry("mine", columns={"prompt": "instruction", "response": "output"},
                       num_samples=None)
    assert found.values("mine") == {
        "file_name": "a.jsonl", "_remark": "kept",
        "columns": {"prompt": "instruction", "response": "output"}}
    with pytest.raises(DatasetError) as caught:
        found.update_entry("mine", columns={"promt": "x"})
    assert caught.value.code == "registry_entry"
    with pytest.raises(DatasetError) as caught:
        found.update_entry("sample", columns={"prompt": "x"})
    assert caught.value.code == "shared_dataset"
    with pytest.raises(DatasetError) as caught:
        found.update_entry("nobody", columns={"prompt": "x"})
    assert caught.value.code == "unknown_dataset"
    assert not list(user.glob(".*.tmp"))


def test_what_llamafactory_reads_is_what_it_knows(tmp_path: Path) -> None:
    """Its reader asks for known keys only; ours besides are out of its way."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "a.jsonl").write_text('{"q": "1+1", "gold": "2"}\n')
    found = Registry(tmp_path / "no", home)
    found.add("gold", DatasetEntry.model_validate({
        "file_name": "a.jsonl", "_kind": "prompt_only",
        "columns": {"prompt": "q", "reference": "gold"}}))
    values = json.loads((home / "dataset_info.json").read_text())["gold"]
    theirs = {"hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name",
              "file_name", "formatting", "ranking", "subset", "split", "folder", "num_samples",
              "columns", "tags"}
    assert {key for key in values if not key.startswith("_")} <= theirs
    report = check(found.resolve("gold"))
    assert (report.shape.kind, report.usable) == ("prompt_only", 1)


@pytest.mark.parametrize(("entry", "words"), [
    ({"file_name": "a.jsonl", "colums": {}}, "colums"),
    ({"file_name": "a.jsonl", "columns": {"promt": "x"}}, "columns.promt"),
    ({"file_name": "a.jsonl", "formatting": "csv"}, "formatting"),
    ({"file_name": "a.jsonl", "num_samples": 0}, "num_samples"),
    ({}, "file_name"), ("a.jsonl", "valid dictionary")])
def test_malformed_entries_name_the_key(tmp_path: Path, entry: Any, words: str) -> None:
    write(tmp_path, {"bad": entry, "_remark": {}})
    with pytest.raises(DatasetError, match=words) as caught:
        Registry(tmp_path, None).resolve("bad")
    assert caught.value.code == "registry_entry"


@pytest.mark.parametrize("content", ["{", "[]", "[" * 100_000])
def test_a_broken_registry_is_named(tmp_path: Path, content: str) -> None:
    write(tmp_path, content)
    with pytest.raises(DatasetError, match=r"dataset_info\.json") as caught:
        Registry(tmp_path, None)
    assert caught.value.code == "registry_broken"


def test_a_columns_object_makes_the_others_null() -> None:
    assert DatasetEntry(file_name="x").resolved_columns().prompt == "instruction"
    entry = DatasetEntry.model_validate(
        {"file_name": "x", "columns": {"prompt": "q", "response": "a"},
         "tags": {"role_tag": "who"}, "_remark": "kept by people"})
    assert entry.resolved_columns() == Columns(prompt="q", response="a")
    assert entry.resolved_tags() == Tags(role_tag="who")


def test_added_entries_are_written_and_found_again(tmp_path: Path) -> None:
    home = tmp_path / "home" / "data"
    found = Registry(tmp_path, home)
    home.mkdir(parents=True)
    (home / "上传.jsonl").write_text(ROW)
    found.add("我的 data-1", DatasetEntry(file_name="上传.jsonl",
                                         columns=Columns(prompt="instruction", response="output")))
    assert found.names() == ["我的 data-1"]
    again = Registry(tmp_path, home)
    assert check(again.resolve("我的 data-1")).usable == 1
    assert json.loads((home / "dataset_info.json").read_text()) == {
        "我的 data-1": {"file_name": "上传.jsonl",
                        "columns": {"prompt": "instruction", "response": "output"}}}


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a,b", "a\nb", "x" * 65, " a"])
def test_names_that_cannot_be_added(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError) as caught:
        Registry(tmp_path, tmp_path).add(name, DatasetEntry(file_name="a.jsonl"))
    assert caught.value.code == "dataset_name"


def test_a_taken_name_changes_nothing(folders: tuple[Path, Path]) -> None:
    found = Registry(*folders)
    before = (folders[1] / "dataset_info.json").read_bytes()
    for name in ("sample", "mine"):
        with pytest.raises(DatasetError, match="already"):
            found.add(name, DatasetEntry(file_name="other.jsonl"))
    assert (folders[1] / "dataset_info.json").read_bytes() == before


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    def add(number: int) -> None:
        Registry(tmp_path / "s", tmp_path / "u").add(f"d{number}", DatasetEntry(file_name="a.csv"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    assert sorted(Registry(tmp_path / "s", tmp_path / "u").names()) == sorted(
        f"d{n}" for n in range(24))


def test_num_samples_takes_the_first_rows(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(ROW * 5)
    write(tmp_path, {"few": {"file_name": "a.jsonl", "num_samples": 3}})
    assert check(Registry(tmp_path, None).resolve("few")).rows == 3
    assert check(Registry(tmp_path, None).resolve("few"), max_samples=2).rows == 2

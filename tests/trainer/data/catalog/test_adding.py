"""Adding files, folders of shards, and all of LLaMA-Factory's data folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.data.catalog.adding import add_file, add_folder, mapped_fields, plain_name
from trainer.data.catalog.registry import Registry
from trainer.data.checking.check import check
from trainer.data.reading.rows import DatasetError

ROW = json.dumps({"question": "Hi", "answer": "Yo"}) + "\n"


@pytest.fixture
def found(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "shared", tmp_path / "home" / "data")


def snapshot(folder: Path) -> dict[str, Any]:
    return {str(path): (path.read_bytes() if path.is_file() else None, path.stat().st_mtime_ns)
            for path in sorted(folder.rglob("*"))}


def test_a_file_is_copied_under_a_name_of_ours(found: Registry, tmp_path: Path) -> None:
    path = tmp_path / "..strange name;.jsonl"
    path.write_text(ROW)
    assert add_file(found, path, path.name, rename=True) == "strange-name"
    spec = found.resolve("strange-name")
    assert spec.path.parent == found.user_dir and spec.path.name != path.name
    assert add_file(found, path, path.name, rename=True) == "strange-name-2"
    with pytest.raises(DatasetError, match="already"):
        add_file(found, path, "strange-name")
    assert len(list(found.user_dir.glob("*.jsonl"))) == 2, "a refused file leaves nothing"


def test_a_file_can_stay_where_it_lies(found: Registry, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("q,a\n1,2\n")
    before = snapshot(tmp_path / "a.csv")
    name = add_file(found, tmp_path / "a.csv", "a", copy=False)
    assert found.resolve(name).path == tmp_path / "a.csv"
    assert snapshot(tmp_path / "a.csv") == before


def test_a_folder_of_shards_is_one_dataset(found: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    for number in range(3):
        (folder / f"part-{number}.jsonl").write_text(ROW * 2)
    (folder / "dataset_info.json").write_text("{}")
    for copy in (True, False):
        name = add_file(found, folder, f"copy-{copy}", copy=copy)
        assert check(found.resolve(name)).rows == 6


def test_a_mapping_goes_into_the_entry(found: Registry, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"tonart": "Hi", "klang": "Yo"}\n')
    with pytest.raises(DatasetError) as caught:
        add_file(found, tmp_path / "a.jsonl", "a")
    assert caught.value.code == "unknown_shape" and "--map" in caught.value.advice
    add_file(found, tmp_path / "a.jsonl", "a", mapping={"prompt": "tonart", "response": "klang"})
    assert found.values("a")["columns"] == {"prompt": "tonart", "response": "klang"}
    assert check(Registry(tmp_path / "no", found.user_dir).resolve("a")).usable == 1
    for mapping in ({"promt": "x"}, {"response": "klang"}, {"prompt": "no", "response": "x"}):
        with pytest.raises(DatasetError) as caught:
            add_file(found, tmp_path / "a.jsonl", "b", mapping=mapping)
        assert caught.value.code == "mapping"


def test_what_a_mapping_says_comes_back(found: Registry, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"satz": "gut gemacht", "art": 1}\n')
    mapping = {"prompt": "satz", "label": "art", "classes": "schlecht, gut"}
    add_file(found, tmp_path / "a.jsonl", "a", mapping=mapping)
    shape = check(found.resolve("a")).shape
    assert (shape.kind, shape.mapping.classes) == ("classification", ("schlecht", "gut"))
    found.update_entry("a", **mapped_fields({"prompt": "satz"}))
    assert check(found.resolve("a")).shape.kind == "text"
    assert "_classes" not in found.values("a")


def lf_folder(folder: Path) -> None:
    (folder / "sub").mkdir(parents=True)
    for name in ("a.jsonl", "sub/b.jsonl"):
        (folder / name).write_text(json.dumps({"instruction": "x", "output": "y"}) + "\n")
    (folder / "dataset_info.json").write_text(json.dumps({
        "a": {"file_name": "a.jsonl"}, "b/c d": {"file_name": "sub/b.jsonl"},
        "gone": {"file_name": "gone.jsonl"}, "typo": {"file_name": "a.jsonl", "colums": {}},
        "hub": {"hf_hub_url": "team/x", "ms_hub_url": "team/y"},
        "program": {"script_url": "x.py"}, "image": {"file_name": "a.png"}}))


def test_a_llamafactory_folder_in_one_step(found: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "LLaMA Factory" / "data"
    lf_folder(folder)
    before = snapshot(folder)
    results = dict(add_folder(found, folder))
    assert [name for name, problem in results.items() if not problem] == ["a", "b-c-d", "hub"]
    assert "There is no file" in results["gone"] and "colums" in results["typo"]
    assert "never run" in results["program"] and "'image'" not in results
    assert len(results) == 7, "nothing is dropped silently"
    assert found.resolve("b-c-d").path == folder / "sub" / "b.jsonl"
    assert [name for name, problem in add_folder(found, folder) if not problem] == [
        "a-2", "b-c-d-2", "hub-2"]
    assert snapshot(folder) == before


def test_a_page_names_only_what_is_allowed(found: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "lf"
    lf_folder(folder)
    (tmp_path / "secret.jsonl").write_text(ROW)
    (folder / "link.jsonl").symlink_to(tmp_path / "secret.jsonl")
    (folder / "dataset_info.json").write_text(json.dumps({
        "a": {"file_name": "a.jsonl"}, "up": {"file_name": "../secret.jsonl"},
        "link": {"file_name": "link.jsonl"}}))
    results = dict(add_folder(found, folder,
                              allowed=lambda path: path.is_relative_to(folder)))
    assert results["a"] == ""
    assert "may not be named" in results["up"] and "may not be named" in results["link"]


def test_a_folder_without_a_registry(found: Registry, tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        add_folder(found, tmp_path)
    assert caught.value.code == "no_dataset_info"


def test_the_real_demo_folder(found: Registry, shared: Path) -> None:
    folder = shared / "data" / "real" / "llamafactory"
    results = add_folder(found, folder)
    assert len(results) == 6 and not [problem for _, problem in results if problem]
    for name, _ in results:
        report = check(found.resolve(name))
        assert report.rows > 0 and report.usable > 0, name


def test_plain_names() -> None:
    assert plain_name("My data (1).jsonl.gz") == "My-data-1"
    assert plain_name("数据.csv") == "数据"
    assert plain_name("../..") == "data" and plain_name("x" * 99) == "x" * 48

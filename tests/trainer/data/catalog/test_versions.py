"""Versions: whatever changes a dataset keeps what was there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainer.data.catalog.registry import Registry
from trainer.data.catalog.versions import new_version, remove, restore, versions
from trainer.data.checking.check import check
from trainer.data.reading.entry import DatasetEntry
from trainer.data.reading.rows import DatasetError

ROW = json.dumps({"question": "Hi", "answer": "Yo"}) + "\n"


@pytest.fixture
def found(tmp_path: Path) -> Registry:
    shared, user = tmp_path / "shared", tmp_path / "data"
    for folder in (shared, user):
        folder.mkdir()
        (folder / "a.jsonl").write_text(ROW * 3)
    (shared / "dataset_info.json").write_text('{"sample": {"file_name": "a.jsonl"}}')
    registry = Registry(shared, user)
    registry.add("mine", DatasetEntry.model_validate(
        {"file_name": "a.jsonl", "num_samples": 2,
         "columns": {"prompt": "question", "response": "answer"}}))
    return registry


def rows(found: Registry, name: str) -> int:
    return check(found.resolve(name)).rows


def test_a_new_version_keeps_the_old_file(found: Registry) -> None:
    (found.user_dir / "b.jsonl").write_text(ROW)
    new_version(found, "mine", found.user_dir / "b.jsonl", "left out: 2 duplicate")
    assert (rows(found, "mine"), rows(found, "mine@1"), rows(found, "mine@2")) == (1, 2, 1)
    assert found.entry("mine").columns is not None
    notes = [(v.number, v.note, v.current) for v in versions(found, "mine")]
    assert notes == [(1, "as it was added", False), (2, "left out: 2 duplicate", True)]
    restore(found, "mine", 1)
    assert rows(found, "mine") == 2 and len(versions(found, "mine")) == 3
    assert found.values("mine")["num_samples"] == 2
    again = Registry(found.user_dir / "no", found.user_dir)
    assert again.resolve("mine").path == found.user_dir / "a.jsonl"


def test_a_file_from_elsewhere_is_copied_in(found: Registry, tmp_path: Path) -> None:
    (tmp_path / "new.jsonl").write_text(ROW)
    new_version(found, "mine", tmp_path / "new.jsonl", "by hand")
    assert found.resolve("mine").path.parent == found.user_dir
    assert (tmp_path / "new.jsonl").exists()


def test_unknown_versions_and_shared_samples(found: Registry) -> None:
    for name in ("mine@0", "mine@2"):
        with pytest.raises(DatasetError) as caught:
            found.resolve(name)
        assert caught.value.code == "unknown_version"
    with pytest.raises(DatasetError) as caught:
        restore(found, "mine", 9)
    assert caught.value.code == "unknown_version"
    for change in (lambda: new_version(found, "sample", found.user_dir / "a.jsonl", ""),
                   lambda: remove(found, "sample")):
        with pytest.raises(DatasetError) as caught:
            change()
        assert caught.value.code == "shared_dataset"


def test_removing_deletes_only_what_is_only_its_own(found: Registry, tmp_path: Path) -> None:
    outside = tmp_path / "outside.jsonl"
    outside.write_text(ROW)
    (found.user_dir / "b.jsonl").write_text(ROW)
    new_version(found, "mine", found.user_dir / "b.jsonl", "x")
    found.add("other", DatasetEntry(file_name="a.jsonl"))
    found.add("far", DatasetEntry(file_name=str(outside)))
    found.add("up", DatasetEntry(file_name="../outside.jsonl"))
    assert remove(found, "mine") == [found.user_dir / "b.jsonl"]
    assert found.names() == ["sample", "other", "far", "up"]
    assert rows(found, "other") == 3
    assert remove(found, "far") == [] and remove(found, "up") == [] and outside.exists()
    assert remove(found, "other") == [found.user_dir / "a.jsonl"]


@pytest.mark.parametrize("kept", ["x", 5, [1], [{"source": 7}], {}])
def test_odd_bookkeeping_counts_as_none(found: Registry, kept: object) -> None:
    path = found.user_dir / "dataset_info.json"
    values = json.loads(path.read_text())
    values["mine"]["_versions"] = kept
    path.write_text(json.dumps(values))
    found.reload()
    assert [v.number for v in versions(found, "mine")] == [1]
    assert rows(found, "mine@1") == 2

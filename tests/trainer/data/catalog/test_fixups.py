"""Fix-ups and splits: counted, in the original columns, the source unchanged."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.config.data import FilterConfig
from trainer.data.catalog.adding import add_file
from trainer.data.catalog.fixups import Fixes, Watching, fix
from trainer.data.catalog.registry import Registry
from trainer.data.catalog.splitting import split
from trainer.data.catalog.versions import versions
from trainer.data.checking.check import check, shape_of
from trainer.data.reading.entry import DatasetEntry
from trainer.data.reading.rows import DatasetError


def lines(rows: Sequence[Any]) -> str:
    return "".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n"
                   for row in rows)


def pair(question: str, answer: str = "because", **more: Any) -> dict[str, Any]:
    return {"frage": question, "antwort": answer, **more}


MAPPING = {"prompt": "frage", "response": "antwort"}
ROWS = [pair("one", id=1), pair("two", id=2, nested={"a": [1, None]}), pair("one", id=3),
        pair("", id=4), "{torn", pair("three", "", id=5), pair("four " * 30, id=6), 7,
        pair("é😀", float_value=0.1)]


@pytest.fixture
def found(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "shared", tmp_path / "data")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "s.jsonl").write_text(lines(ROWS))
    (tmp_path / "shared" / "dataset_info.json").write_text(json.dumps(
        {"sample": {"file_name": "s.jsonl", "columns": MAPPING}}))
    (tmp_path / "m.jsonl").write_text(lines(ROWS))
    add_file(registry, tmp_path / "m.jsonl", "mine", mapping=MAPPING)
    return registry


def values(found: Registry, name: str) -> list[Any]:
    return [json.loads(line) for line in
            found.resolve(name).path.read_text(encoding="utf-8").splitlines()]


def test_bad_rows_and_duplicates_go_and_are_counted(found: Registry) -> None:
    source = found.resolve("mine").path
    before = source.read_bytes()
    report = fix(found, "mine", Fixes(deduplicate="exact"))
    assert (report.rows_in, report.rows_out, report.version) == (9, 4, 2)
    assert sum(report.dropped.values()) == 5 and report.dropped["duplicate"] == 1
    assert report.dropped["not_json"] == 1 and report.dropped["not_object"] == 1
    assert values(found, "mine") == [ROWS[0], ROWS[1], ROWS[6], ROWS[8]]
    assert source.read_bytes() == before and found.resolve("mine@1").path == source
    after = check(found.resolve("mine"))
    assert (after.rows, after.usable) == (4, 4)
    assert "duplicate" in versions(found, "mine")[1].note


def test_rows_that_are_only_unfit_may_stay(found: Registry) -> None:
    report = fix(found, "mine", Fixes(drop_bad=False))
    assert report.rows_out == 7, "two rows cannot be read at all and have no values to keep"
    assert [row.get("id") for row in values(found, "mine")] == [1, 2, 3, 4, 5, 6, None]


def test_filters_say_their_reason(found: Registry) -> None:
    report = fix(found, "mine", Fixes(filters=FilterConfig(max_characters=50, exclude="two")))
    assert report.dropped["too_long"] == 1 and report.dropped["excluded"] == 1


def test_near_duplicates(found: Registry, tmp_path: Path) -> None:
    pytest.importorskip("datasketch")
    text = "the quick brown fox jumps over the lazy dog while the sun is setting in the west " * 3
    (tmp_path / "n.jsonl").write_text(lines([pair(text), pair(text + "today"), pair("other")]))
    add_file(found, tmp_path / "n.jsonl", "near", mapping=MAPPING)
    assert fix(found, "near", Fixes(deduplicate="exact")).dropped == {}
    report = fix(found, "near", Fixes(deduplicate="near", near_threshold=0.8))
    assert report.dropped == {"near_duplicate": 1} and report.rows_out == 2


def test_nothing_to_do_makes_no_version(found: Registry, tmp_path: Path) -> None:
    (tmp_path / "g.jsonl").write_text(lines([pair("one"), pair("two")]))
    add_file(found, tmp_path / "g.jsonl", "good", mapping=MAPPING)
    report = fix(found, "good", Fixes(deduplicate="exact"))
    assert (report.rows_in, report.rows_out, report.version) == (2, 2, 0)
    assert len(versions(found, "good")) == 1


def test_nothing_left_changes_nothing(found: Registry) -> None:
    files = sorted(found.user_dir.iterdir())
    with pytest.raises(DatasetError) as caught:
        fix(found, "mine", Fixes(filters=FilterConfig(min_characters=10_000)))
    assert caught.value.code == "nothing_left"
    assert sorted(found.user_dir.iterdir()) == files and len(versions(found, "mine")) == 1


def test_cancelling_leaves_nothing_behind(found: Registry) -> None:
    cancel = threading.Event()
    cancel.set()
    files = sorted(found.user_dir.iterdir())
    with pytest.raises(DatasetError) as caught:
        fix(found, "mine", Fixes(), watching=Watching(cancel=cancel))
    assert caught.value.code == "cancelled"
    with pytest.raises(DatasetError):
        split(found, "mine", 0.5, 1, watching=Watching(cancel=cancel))
    assert sorted(found.user_dir.iterdir()) == files


def test_a_shared_sample_or_a_path_becomes_a_new_dataset(found: Registry, tmp_path: Path) -> None:
    report = fix(found, "sample", Fixes())
    assert report.name == "sample-2" and found.origin("sample-2") == "user"
    assert check(found.resolve("sample-2")).usable == report.rows_out
    assert found.resolve("sample").origin == "shared"
    (tmp_path / "t.csv").write_text("question,answer\na,b\na,b\n")
    report = fix(found, str(tmp_path / "t.csv"), Fixes(deduplicate="exact"))
    assert report.name == "t" and values(found, "t") == [{"question": "a", "answer": "b"}]


def test_progress_tells_rows_and_bytes(found: Registry, tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(lines([pair(f"q{n}") for n in range(5000)]))
    add_file(found, tmp_path / "p.jsonl", "p", mapping=MAPPING)
    told: list[tuple[int, int, int]] = []
    fix(found, "p", Fixes(), watching=Watching(lambda *n: told.append(n)))
    size = (tmp_path / "p.jsonl").stat().st_size
    assert told[-1] == (5000, size, size) and len(told) >= 5


def test_a_split_is_seeded_whole_and_disjoint(found: Registry, tmp_path: Path) -> None:
    rows = [pair(f"q{n}", id=n) for n in range(200)]
    (tmp_path / "s.jsonl").write_text(lines(rows))
    for name in ("one", "two", "three"):
        add_file(found, tmp_path / "s.jsonl", name, mapping=MAPPING)
    first = split(found, "one", 0.1, 42)
    assert (first.train, first.eval, first.train_rows, first.eval_rows) == (
        "one", "one-eval", 180, 20)
    kept, held = values(found, "one"), values(found, "one-eval")
    assert sorted(kept + held, key=lambda row: row["id"]) == rows
    assert kept == sorted(kept, key=lambda row: row["id"]), "in the dataset's order"
    assert [row["id"] for row in held] != list(range(20))
    split(found, "two", 20, 42)
    assert values(found, "two-eval") == held, "a count and a share, the same seed"
    split(found, "three", 0.1, 43)
    assert values(found, "three-eval") != held
    assert shape_of(found.resolve("one-eval")) == shape_of(found.resolve("one"))
    assert check(found.resolve("one@1")).rows == 200


def test_equal_rows_stay_on_one_side(found: Registry, tmp_path: Path) -> None:
    rows = [pair(f"q{n % 50}", id=n) for n in range(200)]
    (tmp_path / "s.jsonl").write_text(lines(rows))
    add_file(found, tmp_path / "s.jsonl", "d", mapping=MAPPING)
    report = split(found, "d", 0.2, 7)
    assert report.eval_rows == 40
    sides = [{row["frage"] for row in values(found, name)} for name in ("d", "d-eval")]
    assert not sides[0] & sides[1]


def test_unreadable_rows_are_counted_not_lost_silently(found: Registry) -> None:
    report = split(found, "mine", 2, 1)
    assert (report.unreadable, report.train_rows + report.eval_rows) == (2, 7)


@pytest.mark.parametrize("size", [0, -1, 0.0, 9, 1000, float("nan")])
def test_sizes_that_leave_nothing(found: Registry, size: float) -> None:
    files = sorted(found.user_dir.iterdir())
    with pytest.raises(DatasetError) as caught:
        split(found, "mine", size, 1)
    assert caught.value.code == "split_size"
    assert sorted(found.user_dir.iterdir()) == files


def test_a_hub_or_folder_source_becomes_a_file(found: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / "a.jsonl").write_text(lines([pair("a"), pair("a")]))
    (folder / "b.jsonl").write_text(lines([pair("b"), pair("a")]))
    found.add("f", DatasetEntry.model_validate({"file_name": str(folder), "columns": MAPPING}))
    report = fix(found, "f", Fixes(deduplicate="exact"))
    assert report.rows_out == 2 and check(found.resolve("f@1")).rows == 4

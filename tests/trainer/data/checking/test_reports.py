"""The store of reports: read once, kept across processes, remade when broken, bounded."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.data.checking import reports
from trainer.data.checking.check import check
from trainer.data.checking.report import DataReport
from trainer.data.checking.reports import Asked, ReportStore
from trainer.data.reading.readers import row_at
from trainer.data.reading.rows import DatasetError, Row
from trainer.data.reading.sources import DatasetSpec
from trainer.data.shapes.mapping import shape_from_mapping

# The module: the package gives its function under the same name.
CHECKING = sys.modules[check.__module__]
Make = Callable[..., DatasetSpec]
ROWS = [{"question": f"q{i}", "answer": "" if i % 3 == 2 else "</s>", "说": i} for i in range(90)]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count the checks that really read; they still do."""
    calls: list[str] = []

    def counting(spec: DatasetSpec, **options: Any) -> DataReport:
        calls.append(spec.name)
        return check(spec, **options)

    monkeypatch.setattr(reports, "check", counting)
    return calls


def test_a_report_outlives_the_process(make: Make, tmp_path: Path, counted: list[str]) -> None:
    spec, folder = make(ROWS), tmp_path / "reports"
    first = ReportStore(folder).check(spec, objective="sft")
    again = ReportStore(folder).check(spec)
    assert counted == [spec.name]
    assert again == first
    assert again.document() == check(spec).document()
    assert oct(folder.stat().st_mode)[-3:] == "700"


def test_a_store_answers_from_memory(make: Make, tmp_path: Path, counted: list[str]) -> None:
    store, spec = ReportStore(tmp_path / "reports"), make(ROWS)
    assert store.check(spec) is store.check(spec, objective="sft")
    assert counted == [spec.name]


@pytest.mark.parametrize("change", ["file", "mapping", "rows", "tokens"])
def test_what_changes_is_checked_again(make: Make, tmp_path: Path, counted: list[str],
                                       change: str) -> None:
    store, spec = ReportStore(tmp_path / "reports"), make(ROWS)
    store.check(spec)
    options: dict[str, Any] = {
        "file": {}, "rows": {"max_samples": 5}, "tokens": {"special_tokens": ["<x>"]},
        "mapping": {"shape": shape_from_mapping({"prompt": "question"})}}[change]
    if change == "file":
        os.utime(spec.path, ns=(1, 1))
    store.check(spec, **options)
    store.check(spec, **options)
    assert len(counted) == 2


def test_errors_are_told_again_without_reading(make: Make, tmp_path: Path,
                                               counted: list[str]) -> None:
    store, spec = ReportStore(tmp_path / "reports"), make([{"a": 1}])
    for _ in range(2):
        with pytest.raises(DatasetError) as caught:
            store.check(spec)
        assert caught.value.code == "unknown_shape"
    assert counted == [spec.name]
    with pytest.raises(DatasetError, match="objective: sft"):
        store.check(make(ROWS), objective="dpo")
    spec.path.unlink()
    with pytest.raises(DatasetError, match="There is no file"):
        store.check(spec)


def test_the_index_of_a_report_opens_any_row(make: Make, tmp_path: Path) -> None:
    store, spec = ReportStore(tmp_path / "reports"), make(ROWS)
    assert store.index_of(spec) is None
    store.check(spec)
    index = ReportStore(tmp_path / "reports").index_of(spec)
    found = row_at(spec, 90, index)
    assert index is not None and isinstance(found, Row) and found.values["说"] == 89
    os.utime(spec.path, ns=(1, 1))
    assert store.index_of(spec) is None


def test_problems_by_pages(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CHECKING, "MAX_PROBLEMS", 20)
    spec = make(ROWS)
    ReportStore(tmp_path / "reports").check(spec)
    store = ReportStore(tmp_path / "reports")
    report = store.check(spec)
    assert (len(report.problems), Path(report.problems_file).parent.parent) == (
        20, tmp_path / "reports")
    pages = [store.problems(report, code="empty_text", offset=at, limit=7) for at in (0, 7, 28)]
    assert [len(page) for page in pages] == [7, 7, 2]
    assert [p.row for page in pages for p in page] == [
        3 * n for n in (*range(1, 15), 29, 30)]
    everything = store.problems(report, limit=1_000)
    assert len(everything) == sum(report.problem_counts.values()) == 90


BROKEN: dict[str, Callable[[Path], object]] = {
    "torn": lambda folder: (folder / "report.json").write_bytes(b'{"name": "data'),
    "odd": lambda folder: (folder / "report.json").write_text('{"name": 3}'),
    "not text": lambda folder: (folder / "report.json").write_bytes(b"\xff\x00"),
    "gone": lambda folder: (folder / "report.json").unlink(),
    "no problems": lambda folder: (folder / "problems.jsonl").unlink()}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_entry_is_made_again(make: Make, tmp_path: Path, counted: list[str],
                                      monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    monkeypatch.setattr(CHECKING, "MAX_PROBLEMS", 20)
    spec, folder = make(ROWS), tmp_path / "reports"
    ReportStore(folder).check(spec)
    BROKEN[broken](folder / Asked().key(spec))
    report = ReportStore(folder).check(spec)
    assert len(counted) == 2
    assert ReportStore(folder).check(spec) == report
    assert [path.name for path in folder.iterdir()] == [Asked().key(spec)]


def test_nothing_is_left_of_a_check_that_failed(make: Make, tmp_path: Path) -> None:
    store = ReportStore(tmp_path / "reports")

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.check(make(ROWS), progress=stop)
    assert list((tmp_path / "reports").iterdir()) == []


def test_the_oldest_entries_go(make: Make, tmp_path: Path, counted: list[str]) -> None:
    folder = tmp_path / "reports"
    specs = [make(ROWS, f"{name}.jsonl") for name in "abc"]
    for at, spec in enumerate(specs[:2], start=1):
        ReportStore(folder).check(spec)
        os.utime(folder / Asked().key(spec), (at, at))
    ReportStore(folder).check(specs[0])
    ReportStore(folder, entries=2).check(specs[2])
    assert {path.name for path in folder.iterdir()} == {
        Asked().key(specs[0]), Asked().key(specs[2])}
    ReportStore(folder, max_bytes=0).check(specs[1])
    assert [path.name for path in folder.iterdir()] == [Asked().key(specs[1])]


def test_abandoned_work_goes_after_a_day(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    for name, age in ((".new-old", 1), (".new-young", None)):
        (folder / name).mkdir(parents=True)
        os.utime(folder / name, None if age is None else (age, age))
    ReportStore(folder).check(make(ROWS))
    assert sorted(p.name[:6] for p in folder.iterdir() if p.name.startswith(".")) == [".new-y"]


def _check(folder: Path, spec: DatasetSpec) -> str:
    return json.dumps(ReportStore(folder).check(spec).document())


def test_several_processes_at_once(make: Make, tmp_path: Path) -> None:
    spec, folder = make(ROWS * 20), tmp_path / "reports"
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.starmap(_check, [(folder, spec)] * 4)
    assert len(set(found)) == 1
    assert [path.name for path in folder.iterdir()] == [Asked().key(spec)]


def test_forgotten_reports_are_made_again(make: Make, tmp_path: Path,
                                          counted: list[str]) -> None:
    store, spec = ReportStore(tmp_path / "reports"), make(ROWS)
    assert store.find(spec) is None
    store.check(spec)
    assert store.find(spec) is not None
    store.forget(spec)
    assert store.find(spec) is None
    store.check(spec)
    assert len(counted) == 2

"""Datasets from ModelScope: a small server answers as its HTTP API does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trainer.data.hub_stub import Stub, hub_stub
from trainer.contract.config import DatasetUse
from trainer.data.catalog import hub
from trainer.data.catalog.hub_names import HubId
from trainer.data.catalog.hub_store import Wanted
from trainer.data.catalog.modelscope import PAGE
from trainer.data.catalog.registry import Registry
from trainer.data.checking.check import check
from trainer.data.reading.entry import DatasetEntry
from trainer.data.reading.rows import DatasetError

ROWS = b"".join(json.dumps({"instruction": f"问{n}", "output": f"答{n}"}, ensure_ascii=False)
                .encode() + b"\n" for n in range(5000))


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    with hub_stub() as found:
        found.repos["team/questions"] = {
            "README.md": b"# no configs", "train.jsonl": ROWS, "data/test.jsonl": ROWS[:100]}
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", found.url + "/")
        monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms_secret")
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        yield found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "data"
    folder.mkdir(parents=True)
    return folder


def wanted(repo: str = "team/questions", **part: str) -> Wanted:
    return Wanted(HubId("ms", repo, part.pop("revision", None)), **part)


def test_a_dataset_is_fetched_and_read(stub: Stub, data: Path, tmp_path: Path) -> None:
    found = Registry(tmp_path / "no", data)
    found.add("q", DatasetEntry(ms_hub_url="team/questions"))
    with pytest.raises(DatasetError, match="ms:team/questions") as caught:
        found.resolve("q")
    assert caught.value.code == "hub_not_here"
    told: list[tuple[int, int]] = []
    hub.fetch(wanted(), data, progress=lambda *n: told.append(n))
    assert told[-1] == (len(ROWS), len(ROWS)) and len(told) > 2
    assert check(found.resolve("q")).rows == 5000
    assert check(found.resolve_use(DatasetUse(name="ms:team/questions", split="train"))).rows
    assert all(headers.get("Cookie") == "m_session_id=ms_secret"
               for _, path, headers in stub.asked if path.startswith("/api"))


def test_hundreds_of_files_come_in_pages(stub: Stub, data: Path) -> None:
    total = PAGE + 3
    stub.repos["team/many"] = {f"d/train-{n:05d}-of-{total:05d}.jsonl": ROWS[:40]
                               for n in range(total)}
    path = hub.fetch(wanted("team/many"), data)
    assert len(list(path.iterdir())) == total


def test_a_broken_off_download_goes_on_where_it_ended(stub: Stub, data: Path) -> None:
    stub.cut_after["train.jsonl"] = 50_000
    with pytest.raises(DatasetError) as caught:
        hub.fetch(wanted(), data)
    assert caught.value.code == "hub_data_unreachable"
    assert hub.fetch(wanted(), data).read_bytes() == ROWS
    ranges = [headers.get("Range") for _, path, headers in stub.asked if "train.jsonl" in path]
    assert ranges[0] is None and ranges[1] is not None


def test_cancelling_ends_a_download(stub: Stub, data: Path) -> None:
    cancel = threading.Event()
    with pytest.raises(DatasetError) as caught:
        hub.fetch(wanted(), data, cancel=cancel,
                  progress=lambda done, total: cancel.set() if done else None)
    assert caught.value.code == "cancelled" and hub.find(wanted(), data) is None


def test_damaged_files_are_refused(stub: Stub, data: Path) -> None:
    stub.damaged.add("train.jsonl")
    with pytest.raises(DatasetError, match="SHA-256 differs"):
        hub.fetch(wanted(), data)
    stub.damaged.clear()
    assert hub.fetch(wanted(), data).read_bytes() == ROWS


@pytest.mark.parametrize(("status", "code"), [(404, "hub_not_found"), (401, "hub_access"),
                                              (429, "hub_busy"), (500, "hub_busy")])
def test_refusals(stub: Stub, data: Path, status: int, code: str) -> None:
    stub.failing["/api/v1"] = (status, {})
    with pytest.raises(DatasetError) as caught:
        hub.fetch(wanted(), data)
    assert caught.value.code == code and "ms_secret" not in str(caught.value)


def test_unknown_names_and_revisions(stub: Stub, data: Path) -> None:
    for ask in (wanted("team/nothing"), wanted(revision="v7")):
        with pytest.raises(DatasetError, match="ModelScope has no dataset") as caught:
            hub.fetch(ask, data)
        assert caught.value.code == "hub_not_found"


def test_without_a_network(stub: Stub, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = hub.fetch(wanted(), data)
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:9")
    assert hub.fetch(wanted(), data) == here
    with pytest.raises(DatasetError, match="MODELSCOPE_ENDPOINT") as caught:
        hub.fetch(wanted(split="test"), data)
    assert caught.value.code == "hub_data_unreachable"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DatasetError) as caught:
        hub.fetch(wanted(split="test"), data)
    assert caught.value.code == "hub_data_offline"


def test_the_variable_of_llamafactory_chooses_the_hub(stub: Stub, data: Path, tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    found = Registry(tmp_path / "no", data)
    found.add("both", DatasetEntry(hf_hub_url="x/y", ms_hub_url="team/questions"))
    with pytest.raises(DatasetError, match="'x/y'"):
        found.resolve("both")
    monkeypatch.setenv("USE_MODELSCOPE_HUB", "1")
    assert check(found.resolve("both", fetch=True)).rows == 5000

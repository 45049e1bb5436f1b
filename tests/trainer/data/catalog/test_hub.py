"""Datasets from the Hugging Face hub: a small server answers as the hub does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trainer.data.hub_stub import NEWER, Stub, hub_stub
from trainer.contract.config import DatasetUse
from trainer.data.catalog import hub, versions
from trainer.data.catalog.hub_names import HubId, parse_hub_id
from trainer.data.catalog.hub_store import Wanted
from trainer.data.catalog.registry import Fetching, Registry
from trainer.data.checking.check import check
from trainer.data.reading.entry import DatasetEntry
from trainer.data.reading.rows import DatasetError

ROWS = b"".join(json.dumps({"question": f"q{n}", "answer": f"a{n}"}).encode() + b"\n"
                for n in range(20))
CARD = b"""---
license: mit
configs:
- config_name: main
  default: true
  data_files:
  - split: train
    path: main/train-*
  - split: test
    path: main/test-*
- config_name: socratic
  data_files: [{split: train, path: "socratic/*.jsonl"}]
---
# A dataset
"""
FILES = {"README.md": CARD, ".gitattributes": b"x", "main/train-00000-of-00002.jsonl": ROWS,
         "main/train-00001-of-00002.jsonl": ROWS, "main/test-00000-of-00001.jsonl": ROWS[:340],
         "socratic/all.jsonl": ROWS}


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stub]:
    """A hub, which this process's library now takes for the hub; its cache is empty."""
    import huggingface_hub
    from huggingface_hub import constants

    with hub_stub() as found:
        found.repos["team/questions"] = dict(FILES)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE",
                            found.url + "/{repo_id}/resolve/{revision}/{filename}")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        yield found
        huggingface_hub.close_session()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "data"
    folder.mkdir(parents=True)
    return folder


def wanted(text: str = "team/questions", **part: str) -> Wanted:
    found = parse_hub_id(text)
    assert found is not None
    return Wanted(found, **part)


def test_a_split_is_fetched_checked_and_read_offline_afterwards(stub: Stub, data: Path,
                                                                 tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    found = Registry(tmp_path / "no", data)
    with pytest.raises(DatasetError) as caught:
        found.resolve("team/questions")
    assert caught.value.code == "hub_not_here"
    assert "finestra data add team/questions" in caught.value.advice
    assert not stub.asked, "nobody asked for a download"

    spec = found.resolve("team/questions", fetch=Fetching(True, lambda *n: told.append(n)))
    assert [part.path.name for part in spec.parts] == ["train-00000-of-00002.jsonl",
                                                       "train-00001-of-00002.jsonl"]
    assert check(spec).rows == 40
    assert told[-1] == (2 * len(ROWS), 2 * len(ROWS))
    assert [n for n, _ in told] == sorted(n for n, _ in told)
    count = len(stub.asked)
    again = found.resolve("team/questions")
    assert again == spec and len(stub.asked) == count


def test_subset_split_and_revision_of_a_use_and_of_an_entry(stub: Stub, data: Path,
                                                            tmp_path: Path) -> None:
    stub.repos["team/questions@v2"] = {"train.jsonl": ROWS[:34]}
    stub.commits["team/questions@v2"] = NEWER
    found = Registry(tmp_path / "no", data)

    def rows(use: DatasetUse) -> int:
        return check(found.resolve_use(use, fetch=True)).rows

    assert rows(DatasetUse(name="team/questions", split="test")) == 10
    assert rows(DatasetUse(name="team/questions", subset="socratic")) == 20
    assert rows(DatasetUse(name="team/questions", revision="v2")) == 1
    assert rows(DatasetUse(name="team/questions@v2")) == 1
    found.add("q", DatasetEntry(hf_hub_url="team/questions", split="test"))
    found.add("pinned", DatasetEntry(hf_hub_url="team/questions", revision="v2"))
    assert check(found.resolve("q")).rows == 10
    assert check(found.resolve("pinned")).rows == 1
    assert rows(DatasetUse(name="q", split="train")) == 40
    entries = json.loads((data / "dataset_info.json").read_text())
    assert entries["pinned"] == {"hf_hub_url": "team/questions", "_revision": "v2"}
    with pytest.raises(DatasetError, match="has no subset"):
        found.resolve_use(DatasetUse(name=str(tmp_path / "x.jsonl"), subset="s"))


def test_only_data_files_of_the_part_are_fetched(stub: Stub, data: Path) -> None:
    hub.fetch(wanted(split="test"), data)
    assert [path.rpartition("/")[2] for path in stub.downloads()] == [
        "README.md", "test-00000-of-00001.jsonl"]


def test_refresh_takes_what_is_newer_and_keeps_what_is_not(stub: Stub, data: Path) -> None:
    first = hub.fetch(wanted(), data)
    count = len(stub.downloads())
    assert hub.fetch(wanted(), data, refresh=True) == first
    assert len(stub.downloads()) == count
    stub.repos["team/questions"]["main/train-00001-of-00002.jsonl"] = ROWS[:17]
    stub.commits["team/questions"] = NEWER
    newer = hub.fetch(wanted(), data, refresh=True)
    assert newer != first and hub.fetch(wanted(), data) == newer
    pinned = hub.fetch(wanted(f"team/questions@{NEWER}"), data)
    assert pinned == newer, "a commit is the copy that was fetched of it"


@pytest.mark.parametrize(("status", "headers", "code", "words"), [
    (404, {"X-Error-Code": "RepoNotFound"}, "hub_not_found", "HF_TOKEN"),
    (401, {}, "hub_access", "HF_TOKEN"),
    (403, {"X-Error-Code": "GatedRepo"}, "hub_access", "Accept its terms"),
    (429, {"Retry-After": "37"}, "hub_busy", "in 37 s"),
    (503, {}, "hub_busy", "in a few minutes"), (418, {}, "hub_answer", "HTTP 418")])
def test_what_the_hub_refuses_is_said_kindly(stub: Stub, data: Path, status: int,
                                             headers: dict[str, str], code: str,
                                             words: str) -> None:
    stub.failing["/api/datasets/"] = (status, headers)
    with pytest.raises(DatasetError) as caught:
        hub.fetch(wanted(), data)
    assert caught.value.code == code
    assert words in str(caught.value) and "hf_secret" not in str(caught.value)
    assert hub.find(wanted(), data) is None


def test_an_unknown_revision_is_named(stub: Stub, data: Path) -> None:
    with pytest.raises(DatasetError, match="at v9") as caught:
        hub.fetch(wanted("team/questions@v9"), data)
    assert caught.value.code == "hub_not_found"


def test_the_token_goes_to_the_hub_and_nowhere_else(stub: Stub, data: Path) -> None:
    hub.fetch(wanted(split="test"), data)
    assert all(headers.get("authorization") == "Bearer hf_secret"
               for _, _, headers in ((m, p, {k.lower(): v for k, v in h.items()})
                                     for m, p, h in stub.asked))
    assert not [path for path in data.rglob("*")
                if path.is_file() and b"hf_secret" in path.read_bytes()]


@pytest.mark.parametrize("path", ["main/test-00000-of-00001.jsonl", "b.parquet"])
def test_a_file_that_arrives_damaged_is_refused_and_fetched_again(stub: Stub, data: Path,
                                                                  path: str) -> None:
    stub.repos["team/questions"]["b.parquet"] = b"PAR1" + bytes(1000)
    stub.damaged.add(path)
    part = wanted(split="test") if "/" in path else wanted("team/other")
    stub.repos["team/other"] = {"b.parquet": stub.repos["team/questions"]["b.parquet"]}
    with pytest.raises(DatasetError, match="did not arrive") as caught:
        hub.fetch(part, data)
    assert caught.value.code == "hub_damaged"
    stub.damaged.clear()
    assert hub.fetch(part, data).is_file()


def test_a_cancelled_download_is_gone_on_with(stub: Stub, data: Path) -> None:
    cancel = threading.Event()

    def look(done: int, total: int) -> None:
        if done >= len(ROWS):
            cancel.set()

    with pytest.raises(DatasetError) as caught:
        hub.fetch(wanted(), data, progress=look, cancel=cancel)
    assert caught.value.code == "cancelled" and hub.find(wanted(), data) is None
    first = [path for path in stub.downloads() if "train-00000" in path]
    assert hub.fetch(wanted(), data).is_dir()
    assert [path for path in stub.downloads() if "train-00000" in path] == first


def test_no_network_says_what_to_do_and_copies_stay_usable(stub: Stub, data: Path,
                                                           monkeypatch: pytest.MonkeyPatch
                                                           ) -> None:
    from huggingface_hub import constants

    here = hub.fetch(wanted(split="test"), data)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert hub.fetch(wanted(split="test"), data) == here
    with pytest.raises(DatasetError) as caught:
        hub.fetch(wanted(), data)
    assert caught.value.code == "hub_data_unreachable" and "HF_ENDPOINT" in caught.value.advice
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DatasetError) as caught:
        hub.fetch(wanted(), data)
    assert caught.value.code == "hub_data_offline" and "HF_HUB_OFFLINE" in caught.value.advice
    assert hub.fetch(wanted(split="test"), data) == here


def test_offline_what_lies_in_the_librarys_cache_is_used(stub: Stub, data: Path, tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants, snapshot_download

    snapshot_download("team/questions", repo_type="dataset", endpoint=stub.url,
                      cache_dir=tmp_path / "cache", allow_patterns=["README.md", "main/test*",
                                                                    "main/train-00000*"])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub.fetch(wanted(split="test"), data).read_bytes() == ROWS[:340]
    with pytest.raises(DatasetError, match="1 of the 2 files") as caught:
        hub.fetch(wanted(), data)
    assert caught.value.code == "hub_incomplete"
    with pytest.raises(DatasetError) as caught:
        hub.fetch(wanted("team/other"), data)
    assert caught.value.code == "hub_data_offline"


def test_a_copy_goes_with_the_last_dataset_that_is_made_of_it(stub: Stub, data: Path,
                                                              tmp_path: Path) -> None:
    found = Registry(tmp_path / "no", data)
    for name in ("one", "two"):
        found.add(name, DatasetEntry(hf_hub_url="team/questions", split="test"))
    found.add("whole", DatasetEntry(hf_hub_url="team/questions"))
    here = found.resolve("one", fetch=True).path
    whole = found.resolve("whole", fetch=True).path
    versions.remove(found, "one")
    assert here.exists() and found.resolve("two").path == here
    versions.remove(found, "two")
    assert not here.exists() and whole.exists()


def test_downloads_that_were_given_up_are_cleared_away(stub: Stub, data: Path) -> None:
    hub.fetch(wanted(split="test"), data)
    repo = data / ".hub" / "hf" / "team--questions"
    for name, age in (("old.part", 8 * 86400), ("new.part", 60)):
        (repo / name).mkdir()
        os.utime(repo / name, (time.time() - age,) * 2)
    hub.fetch(wanted(), data)
    assert (repo / "new.part").exists() and not (repo / "old.part").exists()


def test_programs_in_a_repository_are_never_run(stub: Stub, data: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    stub.repos["team/script"] = {"script.py": f"open({str(marker)!r}, 'w')".encode()}
    with pytest.raises(DatasetError, match="never run") as caught:
        hub.fetch(wanted("team/script"), data)
    assert caught.value.code == "hub_script" and not marker.exists()
    assert not [path for path in stub.downloads() if path.endswith(".py")]


@pytest.mark.parametrize("name", ["../../x.jsonl", "a/../../../x.jsonl", "/etc/x.jsonl",
                                  ".hidden.jsonl", "a\\..\\x.jsonl", "x" * 300 + ".jsonl",
                                  "a\nb.jsonl"])
def test_names_from_the_hub_lead_nowhere(stub: Stub, data: Path, name: str,
                                         tmp_path: Path) -> None:
    stub.repos["team/odd"] = {name: ROWS}
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(data)}
    try:
        path = hub.fetch(wanted("team/odd"), data)
    except (DatasetError, OSError):
        pass
    else:
        assert path.is_relative_to(data / ".hub") and path.name.isprintable()
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(data)} == before


@pytest.mark.parametrize("repo", ["..", "../x", "a/../..", "/etc", "a\\b", "a/b/c", ""])
def test_a_name_that_no_hub_gives_is_no_folder(data: Path, repo: str) -> None:
    with pytest.raises(DatasetError) as caught:
        hub.fetch(Wanted(HubId("hf", repo)), data)
    assert caught.value.code == "hub_id" and not list(data.iterdir())


@pytest.mark.faults
def test_the_environment_is_honoured(stub: Stub, data: Path) -> None:
    code = ("import sys\nfrom pathlib import Path\nfrom trainer.data.catalog import hub\n"
            "from trainer.data.catalog.hub_names import HubId\n"
            "from trainer.data.catalog.hub_store import Wanted\n"
            "try: print(hub.fetch(Wanted(HubId('hf', 'team/questions'), split='test'),"
            " Path(sys.argv[1])))\n"
            "except ValueError as error: print(error.code)\n")

    def run(**environment: str) -> str:
        done = subprocess.run([sys.executable, "-P", "-c", code, str(data)], text=True, check=True,
                              capture_output=True, env={**os.environ, **environment})
        return done.stdout.strip()

    home = str(data.parent / "hf")
    assert run(HF_ENDPOINT=stub.url, HF_HUB_OFFLINE="1", HF_HOME=home) == "hub_data_offline"
    assert not stub.asked
    path = run(HF_ENDPOINT=stub.url, HF_HUB_OFFLINE="0", HF_HOME=home)
    assert Path(path).read_bytes() == ROWS[:340]
    assert run(HF_ENDPOINT=stub.url, HF_HUB_OFFLINE="1", HF_HOME=home) == path


def test_ids() -> None:
    assert parse_hub_id("a/b") == HubId("hf", "a/b")
    assert parse_hub_id("ms:a/b@v1") == HubId("ms", "a/b", "v1")
    assert parse_hub_id("a/b@refs/convert/parquet") == HubId("hf", "a/b", "refs/convert/parquet")
    assert parse_hub_id("https://huggingface.co/datasets/a/b") == HubId("hf", "a/b")
    assert parse_hub_id("https://huggingface.co/datasets/a/b/tree/v1") == HubId("hf", "a/b", "v1")
    assert parse_hub_id("https://www.modelscope.cn/datasets/a/b/") == HubId("ms", "a/b")
    for text in ("a", "a/b/c", "../b", "a/..", "a/b@", "a/b@../x", "a b/c", "/a", "a/", "a/b@/x",
                 "https://evil.test/datasets/a/b", "a/b?x", "a\0/b", "a--b/c"):
        assert parse_hub_id(text) is None, text

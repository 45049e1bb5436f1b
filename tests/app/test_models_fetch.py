"""Bringing models here: a small server answers as the hubs do."""

from __future__ import annotations

import hashlib
import threading
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from app import models_stream
from app.models_fetch import fetch
from app.models_remote import parse_model
from app.models_stream import Meter
from tests.app.models_hub import a_model, model_hub, write_model
from tests.trainer.data.hub_stub import COMMIT, NEWER
from trainer.contract.hubcache import cached_snapshot, hub_cache
from trainer.contract.models import ModelError, read_folder

BIG = 8_000_000
FETCHED = ["README.md", "config.json", "model.safetensors", "tokenizer.json",
           "tokenizer_config.json"]


@pytest.fixture
def stub(monkeypatch, tmp_path):
    """A hub, which this process takes for both hubs; its cache is empty."""
    import huggingface_hub
    from huggingface_hub import constants

    with model_hub() as found:
        found.repos["team/model"] = a_model(BIG)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", found.url)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        monkeypatch.setattr(models_stream, "RETRY_S", 0.0)
        monkeypatch.setattr(models_stream, "_TOLD_S", 0.0)
        yield found
        huggingface_hub.close_session()


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "home" / "models"
    folder.mkdir(parents=True)
    return folder


def refused(source, models, meter=None):
    with pytest.raises(ModelError) as caught:
        fetch(source, models, meter or Meter())
    return caught.value


def test_a_model_is_fetched_into_the_hubs_own_cache(stub, models):
    told = []
    assert fetch("team/model", models, Meter(lambda *n: told.append(n))) == "team/model"
    folder = cached_snapshot("team/model", None)
    assert folder is not None and folder.name == COMMIT
    assert sorted(path.name for path in folder.iterdir()) == FETCHED
    assert read_folder(folder).parameters == BIG // 2
    total = sum(len(stub.repos["team/model"][name]) for name in FETCHED)
    assert told[-1] == (total, total) and [n for n, _ in told] == sorted(n for n, _ in told)
    assert (folder / "config.json").is_symlink()
    assert all({key.lower(): value for key, value in headers.items()}["authorization"]
               == "Bearer hf_secret" for _, _, headers in stub.asked)
    assert [path.rpartition("/")[2] for path in stub.downloads()] == [
        "README.md", "config.json", "tokenizer.json", "tokenizer_config.json",
        "model.safetensors"], "weights come last"
    assert not list(hub_cache().rglob("*.incomplete"))


def test_the_libraries_find_what_was_fetched(stub, models):
    from huggingface_hub import scan_cache_dir, snapshot_download

    fetch("team/model", models, Meter())
    count = len(stub.downloads())
    found = snapshot_download("team/model", cache_dir=hub_cache(), local_files_only=True)
    assert Path(found) == cached_snapshot("team/model", None)
    scanned = scan_cache_dir(hub_cache())
    assert [repo.repo_id for repo in scanned.repos] == ["team/model"] and not scanned.warnings
    fetch("team/model", models, Meter())
    assert len(stub.downloads()) == count, "nothing is fetched twice"


def test_a_revision_and_a_newer_commit(stub, models):
    stub.repos["team/model@v2"] = a_model(64_000)
    stub.commits["team/model@v2"] = NEWER
    fetch("team/model", models, Meter())
    assert fetch("team/model@v2", models, Meter()) == "team/model"
    assert cached_snapshot("team/model", "v2").name == NEWER
    assert cached_snapshot("team/model", None).name == COMMIT
    fetch(f"team/model@{NEWER}", models, Meter())
    assert not (hub_cache() / "models--team--model" / "refs" / NEWER).exists()


def test_a_connection_that_breaks_is_gone_on_with(stub, models):
    stub.cut_after["model.safetensors"] = 3_000_000
    fetch("team/model", models, Meter())
    ranges = [headers.get("Range") for _, path, headers in stub.asked
              if path.endswith("/model.safetensors")]
    assert len(ranges) == 2 and ranges[0] is None
    assert 0 < int(ranges[1].removeprefix("bytes=").rstrip("-")) <= 3_000_000
    assert read_folder(cached_snapshot("team/model", None)).parameters == BIG // 2


def test_a_cancelled_download_goes_on_from_where_it_ended(stub, models):
    meter = Meter()
    meter.progress = lambda done, total: meter.cancel.set() if done > 2_000_000 else None
    assert refused("team/model", models, meter).code == "cancelled"
    assert cached_snapshot("team/model", None) is None, "half a model is not found by its name"
    (part,) = (hub_cache() / "models--team--model" / "blobs").glob("*.incomplete")
    have = part.stat().st_size
    assert 2_000_000 < have < BIG
    fetch("team/model", models, Meter())
    last = [headers.get("Range") for _, path, headers in stub.asked
            if path.endswith("/model.safetensors")][-1]
    assert last == f"bytes={have}-" and cached_snapshot("team/model", None) is not None


def test_a_hub_that_does_not_go_on_is_asked_from_the_beginning(stub, models):
    stub.repos["team/model-whole"] = a_model(BIG)
    stub.cut_after["model.safetensors"] = 3_000_000
    fetch("team/model-whole", models, Meter())
    assert read_folder(cached_snapshot("team/model-whole", None)).parameters == BIG // 2


def test_what_came_in_the_last_time_is_checked_too(stub, models):
    name = hashlib.sha256(stub.repos["team/model"]["model.safetensors"]).hexdigest()
    blobs = hub_cache() / "models--team--model" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{name}.finestra.incomplete").write_bytes(b"not the same bytes")
    error = refused("team/model", models)
    assert error.code == "model_damaged" and "hash differs" in str(error)
    fetch("team/model", models, Meter())
    assert cached_snapshot("team/model", None) is not None


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_what_arrives_otherwise_is_deleted_and_named(stub, models, name):
    stub.damaged.add(name)
    error = refused("team/model", models)
    assert error.code == "model_damaged" and name in str(error)
    assert cached_snapshot("team/model", None) is None
    assert not list(hub_cache().rglob("*.incomplete"))
    stub.damaged.clear()
    assert fetch("team/model", models, Meter()) == "team/model"


@pytest.mark.parametrize(("status", "headers", "said"), [
    (404, {"X-Error-Code": "RepoNotFound"}, "model_not_found: * has no model 'team/model'*"),
    (401, {}, "model_access: *gated*"),
    (403, {"X-Error-Code": "GatedRepo"}, "model_access: *gated*"),
    (429, {"Retry-After": "37"}, "model_busy: *429*"), (503, {}, "model_busy: *trouble*")])
@pytest.mark.parametrize("where", ["/api/models/", "/resolve/"])
def test_what_the_hub_refuses_is_said_kindly(stub, models, status, headers, said, where):
    stub.failing[where] = (status, headers)
    error = refused("team/model", models)
    assert fnmatchcase(f"{error.code}: {error}", said) and "hf_secret" not in str(error)


def test_a_hub_that_is_away_or_switched_off(stub, models, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    error = refused("team/model", models)
    assert error.code == "model_unreachable" and "HF_ENDPOINT" in error.advice
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    error = refused("team/model", models)
    assert error.code == "model_offline" and "HF_HUB_OFFLINE" in str(error)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert refused("ms:team/model", models).code == "model_offline"


def test_what_is_here_works_offline(stub, models, monkeypatch):
    from huggingface_hub import constants

    fetch("team/model", models, Meter())
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch("team/model", models, Meter()) == "team/model"
    assert refused("team/model@v2", models).code == "model_offline"


@pytest.mark.parametrize(("change", "code"), [
    ({"config.json": b'{"auto_map": {"AutoModel": "x.Y"}}'}, "remote_code"),
    ({"model.safetensors": None}, "model_no_weights"), ({"config.json": None}, "model_no_config")])
def test_a_model_that_cannot_be_used_is_not_fetched(stub, models, change, code):
    files = {**a_model(BIG), **change}
    stub.repos["team/bad"] = {name: text for name, text in files.items() if text is not None}
    assert refused("team/bad", models).code == code
    assert not any("model.safetensors" in path for path in stub.downloads())
    assert cached_snapshot("team/bad", None) is None


def test_too_little_room_is_known_before(stub, models, monkeypatch):
    import shutil

    monkeypatch.setattr(models_stream.shutil, "disk_usage",
                        lambda path: shutil._ntuple_diskusage(1, 1, 1_000_000))
    assert refused("team/model", models).code == "disk_full"
    assert not stub.downloads()


def test_only_one_process_fetches_a_model(stub, models):
    inside, go_on = threading.Event(), threading.Event()

    def hold(done, total):
        inside.set()
        go_on.wait(20)

    thread = threading.Thread(target=fetch, args=("team/model", models, Meter(hold)))
    thread.start()
    try:
        assert inside.wait(20)
        assert refused("team/model", models).code == "model_downloading"
    finally:
        go_on.set()
        thread.join()
    assert cached_snapshot("team/model", None) is not None


def test_modelscope_comes_into_the_home(stub, models):
    stub.cut_after["model.safetensors"] = 3_000_000
    found = Path(fetch("ms:team/model", models, Meter()))
    assert found == models / "team--model"
    assert sorted(path.name for path in found.iterdir()) == FETCHED
    assert read_folder(found).parameters == BIG // 2
    assert any("Revision=master&FilePath=config.json" in path for path in stub.downloads())
    assert refused("ms:team/model", models).code == "model_exists"
    assert refused("ms:team/other", models).code == "model_not_found"


def test_a_folder_is_copied_when_it_is_whole(models, tmp_path):
    source = write_model(tmp_path / "my model")
    (source / "notes.pdf").write_bytes(b"x")
    found = Path(fetch(str(source), models, Meter()))
    assert found == models / "my-model" and read_folder(found).parameters
    assert sorted(path.name for path in found.iterdir()) == FETCHED
    assert fetch(str(found), models, Meter()) == str(found), "it is there already"
    broken = write_model(tmp_path / "broken", **{"model.safetensors": b"\x10" + bytes(7)})
    assert refused(str(broken), models).code == "weights_broken"
    assert refused(str(tmp_path / "none"), models).code == "model_missing"
    assert sorted(path.name for path in models.iterdir() if path.name[0] != ".") == ["my-model"]


def test_a_copy_that_is_cancelled_leaves_nothing(models, tmp_path):
    source = write_model(tmp_path / "m", **{"model.safetensors": a_model(BIG)[
        "model.safetensors"]})
    meter = Meter()
    meter.progress = lambda done, total: meter.cancel.set()
    assert refused(str(source), models, meter).code == "cancelled"
    assert not [path for path in models.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("text", "name"), [
    ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"), (" team/model@v2 ", "team/model@v2"),
    ("ms:team/model", "ms:team/model"),
    ("https://huggingface.co/team/model", "team/model"),
    ("https://www.modelscope.cn/models/team/model/summary", "ms:team/model")])
def test_names_of_models(text, name):
    assert str(parse_model(text)) == name


@pytest.mark.parametrize("text", ["gpt2", "a/b/c", "../x/y", "a/..", "https://evil.test/a/b",
                                  "a/b@../c", "a--b/c", "", "a/b\n"])
def test_what_is_no_name_is_refused(text):
    if text == "a/b\n":
        assert str(parse_model(text)) == "a/b"
        return
    with pytest.raises(ModelError):
        parse_model(text)



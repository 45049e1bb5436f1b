"""The library of models: lists, needs, downloads as jobs, and deleting what nothing needs."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from app.devices import Device
from app.models import Filter
from app.models_delete import held_names, loaded_names
from app.models_needs import room_of
from app.models_uses import Uses
from app.runs import RunError, RunState
from app.serving.engines.leases import Lease
from tests.app.models_hub import a_model, write_model
from tests.app.test_models_fetch import BIG, stub  # noqa: F401  a fixture
from tests.app.test_models_shelf import a_run, cached
from trainer.contract.hubcache import cached_snapshot, hub_cache
from trainer.contract.models import ModelError

GPU = Device("GPU-1", "A GPU", 24_000, 20_000, capability=(8, 6))
CPU = Device("cpu", "CPU", 8_000, 4_000)


@pytest.fixture
def library(fake_studio, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fake_studio.library, "_devices", lambda: [GPU, CPU])
    return fake_studio.library


def with_runs(library, monkeypatch, *runs):
    monkeypatch.setattr(library, "_runs", lambda: list(runs))


def test_the_largest_working_device_counts():
    small, broken = replace(GPU, key="GPU-2", total_mib=8000), replace(
        GPU, key="GPU-3", total_mib=90_000, problem="unavailable")
    assert room_of([small, GPU, broken, CPU]).key == "GPU-1"
    room = room_of([CPU])
    assert (room.kind, room.dtype, room.total_bytes) == ("cpu", "float32", 8_000 * 2**20)
    assert room_of([GPU, CPU]).dtype == "bfloat16"


def test_what_a_model_here_needs_is_counted_from_its_files(library):
    starter = library.one("starter")
    needs = {need.method: need for need in starter.needs}
    assert list(needs) == ["lora", "qlora", "full"] and all(n.counted and n.fits
                                                            for n in needs.values())
    assert needs["lora"].bytes < needs["full"].bytes
    with pytest.raises(ModelError) as caught:
        library.one("nothing/here")
    assert caught.value.code == "unknown_model"


def test_the_catalogue_says_what_fits_and_what_is_here(library, fake_studio):
    cached(fake_studio.home, "Qwen/Qwen3-0.6B")
    offers = {offer.model.id: offer for offer in library.catalogue()}
    assert offers["Qwen/Qwen3-0.6B"].here and not offers["Qwen/Qwen3-1.7B"].here

    def fitting(name):
        return [need.method for need in offers[name].needs if need.fits]

    assert fitting("Qwen/Qwen3-0.6B") == ["lora", "qlora", "full"]
    assert fitting("Qwen/Qwen3-8B") == ["lora", "qlora"]
    assert fitting("Qwen/Qwen3-14B") == ["qlora"]
    assert fitting("meta-llama/Llama-3.3-70B-Instruct") == []
    assert json.dumps(offers["Qwen/Qwen3-0.6B"].document())


@pytest.mark.parametrize(("wanted", "some", "not_one"), [
    (Filter(search="QWEN3 instruct"), "Qwen/Qwen3-4B-Instruct-2507", "Qwen/Qwen3-4B"),
    (Filter(family="gemma2"), "google/gemma-2-2b-it", "google/gemma-3-1b-it"),
    (Filter(fits="full"), "HuggingFaceTB/SmolLM2-135M", "Qwen/Qwen3-8B"),
    (Filter(licence="mit"), "microsoft/phi-4", "Qwen/Qwen3-8B"),
    (Filter(access="gated"), "google/gemma-2-2b", "Qwen/Qwen3-8B"),
    (Filter(access="open"), "Qwen/Qwen3-8B", "mistralai/Mistral-7B-v0.3"),
    (Filter(kind="vision"), "Qwen/Qwen2-VL-2B-Instruct", "Qwen/Qwen3-8B")])
def test_filters_of_the_catalogue(library, wanted, some, not_one):
    found = [offer.model.id for offer in library.catalogue(wanted)]
    assert some in found and not_one not in found


def test_filters_of_what_is_here(library, fake_studio):
    write_model(fake_studio.home.models / "mine")
    assert [one.model.label for one in library.here(Filter(search="mine"))] == ["mine"]
    assert [one.model.label for one in library.here(Filter(licence="mit"))] == ["mine"]
    assert len(library.here(Filter(family="qwen3", fits="qlora"))) == 2
    assert library.here(Filter(family="llama")) == []


# Deleting


def audit(studio):
    lines = studio.home.audit.read_text().splitlines() if studio.home.audit.exists() else []
    return [(line["action"], line["run"], line["ok"]) for line in map(json.loads, lines)]


def test_a_base_is_deleted_with_what_depends_on_it_named(library, fake_studio, monkeypatch):
    added = write_model(fake_studio.home.models / "mine")
    run = a_run(fake_studio.home, "r-1", name_or_path=str(added))
    with_runs(library, monkeypatch, run)
    told = library.losses(str(added))
    assert [user.id for user in told.ended] == ["r-1"] and told.forbidden is None
    assert [one.name for one in told.adapters] == ["r-1"] and told.size_bytes > 4000
    library.delete(str(added), who="ann")
    assert not added.exists() and not list(fake_studio.home.trash.iterdir())
    assert audit(fake_studio) == [("delete_model", str(added), True)]


def test_a_model_of_the_hubs_cache_is_deleted_whole(library, fake_studio):
    cached(fake_studio.home, "team/model")
    cached(fake_studio.home, "team/other")
    mark = library.mark()
    library.delete("team/model")
    assert library.mark() != mark
    assert [path.name for path in hub_cache().glob("models--*")] == ["models--team--other"]
    half = hub_cache() / "models--team--half" / "blobs"
    half.mkdir(parents=True)
    (half / "x.incomplete").write_bytes(b"1")
    library.delete("team/half")
    assert cached_snapshot("team/other", None) and not half.parent.exists()


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.RUNNING, RunState.STOPPING])
def test_what_a_run_uses_stays(library, fake_studio, monkeypatch, state):
    added = write_model(fake_studio.home.models / "mine")
    with_runs(library, monkeypatch, a_run(fake_studio.home, "r-1", left="", state=state,
                                          name_or_path=str(added)))
    with pytest.raises(RunError, match="in use by 'r-1'") as caught:
        library.delete(str(added))
    assert caught.value.code == "model_in_use" and added.exists()
    assert audit(fake_studio) == [("delete_model", str(added), False)]


def test_what_an_engine_has_loaded_stays(library, fake_studio, monkeypatch):
    added = write_model(fake_studio.home.models / "mine")
    run = a_run(fake_studio.home, "r-1", name_or_path=str(added))
    with_runs(library, monkeypatch, run)
    library.engines = lambda: ["r-1/checkpoint-40"]
    assert loaded_names(library.engines(), [run], Uses()) == {
        "r-1/checkpoint-40", "r-1", str(added)}
    with pytest.raises(RunError) as caught:
        library.delete(str(added))
    assert caught.value.code == "model_loaded" and added.exists()
    library.engines = lambda: []
    library.delete(str(added))


def test_engines_hold_their_adapters_too():
    answering = {"state": "ready", "model": "base", "adapters": ["r-1", "r-2:checkpoint-40"]}
    gone = {"state": "ended", "model": "other", "adapters": ["r-3"]}
    assert held_names([answering, gone]) == {"base", "r-1", "r-2/checkpoint-40"}


def test_an_engine_of_another_process_is_seen_by_its_lease(library, fake_studio):
    added = write_model(fake_studio.home.models / "mine")
    lease = Lease(fake_studio.home, "abc", {"kind": "transformers", "device": "cpu",
                                            "label": "mine"})
    try:
        assert library.losses(str(added)).forbidden[0] == "model_loaded"
    finally:
        lease.end()
    assert library.losses(str(added)).forbidden is None


def test_the_starter_and_folders_elsewhere_stay(library, fake_studio, monkeypatch, tmp_path):
    outside = write_model(tmp_path / "outside")
    with_runs(library, monkeypatch, a_run(fake_studio.home, "r-1", left="",
                                          name_or_path=str(outside)))
    for name, code in (("starter", "model_shipped"), (str(outside), "model_outside"),
                       (str(tmp_path), "unknown_model"), ("../..", "unknown_model")):
        with pytest.raises(ModelError) as caught:
            library.delete(name)
        assert caught.value.code == code
    assert outside.is_dir()


def test_a_link_in_the_home_is_not_followed(library, fake_studio, tmp_path):
    outside = write_model(tmp_path / "outside")
    link = fake_studio.home.models / "link"
    link.symlink_to(outside)
    with pytest.raises(ModelError):
        library.delete(str(link))
    assert (outside / "config.json").is_file()


def test_a_result_is_deleted_with_its_run(library, monkeypatch):
    gone = []
    monkeypatch.setattr(library, "_delete_run", lambda name, who: gone.append((name, who)))
    with_runs(library, monkeypatch, a_run(library._home, "r-0"),
              a_run(library._home, "upon", name_or_path="r-0"))
    with pytest.raises(RunError, match="needed by 'upon'"):
        library.delete("r-0")
    assert not gone
    with_runs(library, monkeypatch, a_run(library._home, "r-1"))
    assert library.delete("r-1", who="ann").name == "r-1" and gone == [("r-1", "ann")]


# Downloading


def test_a_download_is_a_job_that_is_found_again(library, stub):  # noqa: F811
    job = library.download("team/model")
    assert library.download(" team/model ").id == job.id
    ended = library.jobs.wait(job.id, 30)
    assert ended.state == "done" and ended.result == {"name": "team/model"}
    assert ended.done == ended.total > BIG
    assert library.one("team/model").model.facts.parameters == BIG // 2


def test_a_download_says_why_it_failed(library, stub):  # noqa: F811
    ended = library.jobs.wait(library.download("team/none").id, 30)
    assert ended.state == "failed" and ended.error[0] == "model_not_found"
    with pytest.raises(ModelError):
        library.download("no name")


def test_a_download_is_cancelled_and_forbids_deleting_meanwhile(library, stub):  # noqa: F811
    stub.repos["team/model"] = a_model(BIG)
    begun, go_on = threading.Event(), threading.Event()
    original = library.jobs._change

    def change(identity, **changes):
        original(identity, **changes)
        if changes.get("done", 0) > 2_000_000:
            begun.set()
            go_on.wait(20)

    library.jobs._change = change
    job = library.download("team/model")
    try:
        assert begun.wait(20)
        with pytest.raises(RunError) as caught:
            library.delete("team/model")
        assert caught.value.code == "model_downloading"
        library.cancel(job.id, who="ann")
    finally:
        go_on.set()
    assert library.jobs.wait(job.id, 30).state == "cancelled"
    library.delete("team/model")


def test_pages_name_only_folders_under_the_roots(library, fake_studio, tmp_path):
    outside = write_model(tmp_path / "outside")
    with pytest.raises(ModelError) as caught:
        library.download(str(outside), web=True)
    assert caught.value.code == "model_outside_roots"
    job = library.download(str(outside))
    assert library.jobs.wait(job.id, 30).result == {
        "name": str(fake_studio.home.models / "outside")}

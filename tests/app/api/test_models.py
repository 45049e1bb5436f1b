"""Models over REST: lists, downloads, deleting."""

import json
import shutil
import time

import pytest

from tests.app.models_hub import write_model
from tests.app.test_models_fetch import BIG, stub  # noqa: F401  a fixture
from trainer.contract.places import starter


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))


def ended(rest, identity):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = rest.get(f"/api/models/downloads/{identity}").json()
        if found["state"] not in ("waiting", "working"):
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def test_what_is_here_and_what_there_is(rest):
    here = rest.get("/api/models/here").json()
    assert [one["name"] for one in here["models"]] == ["starter"]
    assert [need["method"] for need in here["models"][0]["memory"]] == ["lora", "qlora", "full"]
    assert here["device"]["total_bytes"] > 0
    offers = rest.get("/api/models/catalogue",
                      params={"search": "smollm2", "kind": "base"}).json()["models"]
    assert [one["id"] for one in offers] == [f"HuggingFaceTB/SmolLM2-{size}" for size in (
        "135M", "360M", "1.7B")]
    assert offers[0]["parameters"] == 135_000_000 and not offers[0]["here"]
    assert rest.get("/api/models").json() == {"models": ["starter"]}, "the names, as before"
    for path, wrong in (("catalogue", {"fits": "magic"}), ("catalogue", {"fit": "lora"}),
                        ("here", {"access": "gated"})):
        assert rest.get(f"/api/models/{path}", params=wrong).status_code == 422


def test_one_model_and_what_deleting_it_costs(rest, studio):
    added = write_model(studio.home.models / "mine")
    shown = rest.get("/api/models/show", params={"name": str(added)}).json()
    assert shown["label"] == "mine" and shown["losses"]["forbidden"] is None
    answer = rest.delete("/api/models", params={"name": str(added)})
    assert answer.status_code == 200 and answer.json()["deleted"]["name"] == str(added)
    assert not added.exists()
    last = json.loads(studio.home.audit.read_text().splitlines()[-1])
    assert (last["action"], last["ok"]) == ("delete_model", True)


@pytest.mark.parametrize(("name", "status", "code"), [
    ("starter", 409, "model_shipped"), ("nothing", 404, "unknown_model"),
    ("../../etc", 404, "unknown_model"), ("/etc", 404, "unknown_model")])
def test_what_cannot_be_deleted(rest, name, status, code):
    answer = rest.delete("/api/models", params={"name": name})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_what_a_run_needs_is_refused(rest, studio, hold):
    added = studio.home.models / "mine"
    shutil.copytree(starter(), added)
    release = hold(2)
    rest.start(model={"name_or_path": str(added)})
    answer = rest.delete("/api/models", params={"name": str(added)})
    release()
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "model_in_use")
    assert added.is_dir()


def test_a_download(rest, stub):  # noqa: F811
    answer = rest.post("/api/models/downloads", json={"source": "team/model"})
    assert answer.status_code == 202, answer.text
    assert answer.json()["source"] == "team/model"
    done = ended(rest, answer.json()["id"])
    assert done["state"] == "done" and done["name"] == "team/model" and done["total"] > BIG
    listed = rest.get("/api/models/downloads").json()["downloads"]
    assert [one["id"] for one in listed] == [answer.json()["id"]]
    assert rest.get("/api/models/show", params={"name": "team/model"}).json()["parameters"]
    assert rest.get("/api/models/downloads/none").status_code == 404


def test_a_download_that_cannot_be(rest, stub, tmp_path):  # noqa: F811
    for source, status in (("no name", 422), (str(write_model(tmp_path / "x")), 403)):
        answer = rest.post("/api/models/downloads", json={"source": source})
        assert answer.status_code == status, answer.text
    identity = rest.post("/api/models/downloads", json={"source": "team/none"}).json()["id"]
    failed = ended(rest, identity)
    assert failed["state"] == "failed" and failed["error"]["code"] == "model_not_found"
    cancelled = rest.delete(f"/api/models/downloads/{identity}")
    assert cancelled.status_code == 200 and cancelled.json()["state"] == "failed"

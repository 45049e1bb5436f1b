"""What models are on this machine, what their files say, and who uses which."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from app.home import Home
from app.models_files import licence_of, read_facts, size_of
from app.models_shelf import Shelf
from app.models_uses import Uses, named_in
from app.runs import Run, RunState
from tests.app.models_hub import a_model, safetensors, write_model
from trainer.contract.config import parse, to_yaml
from trainer.contract.rundir import RunDir

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return Home.open(tmp_path / "home")


def cached(home, name, **files):
    """Put a model into the hub's cache, as the hub's own library does."""
    folder = home.root.parent / "cache" / f"models--{name.replace('/', '--')}"
    snapshot = folder / "snapshots" / COMMIT
    (folder / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    kept = {**a_model(), **files}
    for path in ("README.md", "config.json", "tokenizer.json", "tokenizer_config.json",
                 "model.safetensors"):
        blob = folder / "blobs" / f"{abs(hash(path)):x}"
        blob.write_bytes(kept[path])
        (snapshot / path).symlink_to(os.path.relpath(blob, snapshot))
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    return snapshot


def a_run(home, run_id, *, left="adapter", state=RunState.COMPLETED, checkpoints=(), **model):
    """Write a run's folder with what it left."""
    place = RunDir(home.runs / run_id)
    config = parse({"name": run_id, "model": {"name_or_path": "starter", **model}})
    place.create(config, {"state": str(state)})
    if left == "adapter":
        place.adapter.mkdir()
        (place.adapter / "adapter_config.json").write_text(json.dumps(
            {"peft_type": "LORA", "base_model_name_or_path": config.model.name_or_path}))
        (place.adapter / "adapter_model.safetensors").write_bytes(safetensors())
    if left == "model":
        write_model(place.model)
    for step in checkpoints:
        folder = place.checkpoints / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "state.bin").write_bytes(bytes(1000))
    return Run(run_id, run_id, state, place.path, model=config.model.name_or_path,
               created_at=time.time())


def by_name(home, *runs):
    return {one.name: one for one in Shelf(home).list(runs)}


def test_the_starter_is_always_there(home):
    (starter,) = Shelf(home).list([])
    assert (starter.name, starter.origin, starter.what) == ("starter", "shipped", "base")
    assert starter.facts.family == "qwen3" and starter.facts.dtype == "bfloat16"
    assert 5_000_000 < starter.facts.parameters < 6_500_000
    assert (starter.template, starter.licence) == ("own", "apache-2.0")
    assert 11e6 < starter.size_bytes < 14e6 and not starter.deletable
    assert starter.facts.context == 2048 and starter.facts.problem is None


def test_bases_of_every_place(home, tmp_path):
    cached(home, "team/model")
    added = write_model(home.models / "mine")
    elsewhere = write_model(tmp_path / "other" / "base")
    run = a_run(home, "r-1", name_or_path=str(elsewhere), left="")
    found = by_name(home, run)
    assert set(found) == {"starter", "team/model", str(added), str(elsewhere)}
    hub = found["team/model"]
    assert (hub.origin, hub.licence, hub.template, hub.facts.family) == (
        "cache", "mit", "own", "qwen3")
    assert hub.size_bytes == len(COMMIT) + sum(len(a_model()[name]) for name in (
        "README.md", "config.json", "tokenizer.json", "tokenizer_config.json",
        "model.safetensors")), "a link to a blob counts once"
    assert found[str(added)].label == "mine" and found[str(added)].deletable
    assert found[str(elsewhere)].origin == "elsewhere" and not found[str(elsewhere)].deletable
    assert [user.id for user in found[str(elsewhere)].used_by] == ["r-1"]
    json.dumps([one.document() for one in found.values()])


def test_what_runs_left(home):
    runs = [a_run(home, "adapted", checkpoints=(10, 20)), a_run(home, "whole", left="model"),
            a_run(home, "broken", left="", state=RunState.FAILED, checkpoints=(5,)),
            a_run(home, "nothing", left="", state=RunState.FAILED),
            a_run(home, "upon", name_or_path="adapted")]
    found = by_name(home, *runs)
    assert {name: one.what for name, one in found.items()} == {
        "starter": "base", "adapted": "adapter", "whole": "model", "broken": "checkpoints",
        "upon": "adapter"}
    adapted = found["adapted"]
    assert (adapted.base, adapted.facts.method) == ("starter", "lora")
    assert adapted.facts.family == "qwen3", "that of its base"
    assert (adapted.checkpoints, adapted.checkpoint_bytes) == (2, 2000)
    assert adapted.size_bytes == 2000 + size_of(RunDir(home.runs / "adapted").adapter)
    assert adapted.licence == "apache-2.0", "a result has the licence of its base"
    assert adapted.facts.parameters == 2048, "the adapter's own weights"
    assert [user.id for user in adapted.used_by] == ["upon"]
    assert found["upon"].facts.family == "qwen3", "through the run that it stands on"
    assert {user.id for user in found["starter"].used_by} == {
        "adapted", "whole", "broken", "nothing"}


def test_the_template_is_that_of_the_run(home):
    run = a_run(home, "r-1")
    (run.dir / "manifest.json").write_text(json.dumps({"chat_template": {"name": "chatml"}}))
    assert by_name(home, run)["r-1"].template == "chatml"


@pytest.mark.parametrize(("change", "code"), [
    ({"model.safetensors": b"\x10" + bytes(7)}, "weights_broken"),
    ({"config.json": b"{"}, "model_config"),
    ({"config.json": b'{"model_type": "x", "auto_map": {"A": "b.C"}}'}, "remote_code")])
def test_a_model_that_cannot_be_used_says_why(home, change, code):
    added = write_model(home.models / "bad", **change)
    one = by_name(home)[str(added)]
    assert one.facts.problem[0] == code and one.deletable and one.size_bytes


def test_half_a_download_is_named(home):
    folder = home.root.parent / "cache" / "models--team--half" / "blobs"
    folder.mkdir(parents=True)
    (folder / "abc.finestra.incomplete").write_bytes(bytes(5000))
    one = by_name(home)["team/half"]
    assert one.facts.problem[0] == "model_incomplete" and one.size_bytes == 5000
    cached(home, "team/whole")
    assert by_name(home)["team/whole"].facts.problem is None


@pytest.mark.parametrize(("card", "licence"), [
    ("---\nlicense: apache-2.0\n---\n", "apache-2.0"), ("---\nlicense: MIT\n---\n", "mit"),
    ("---\nlicense: other\nlicense_name: qwen-research\n---\n", "qwen-research"),
    ("---\nlicense: [cc-by-4.0, mit]\n---\n", "cc-by-4.0"),
    ("---\nlicense: '<script>alert(1)</script>'\n---\n", ""), ("---\n: [\n---\n", ""),
    ("| licence | Apache-2.0 |\n", "apache-2.0"), ("no word of it", "")])
def test_licences_of_cards(tmp_path, card, licence):
    (tmp_path / "README.md").write_text(card)
    assert licence_of(tmp_path) == licence


def test_licences_of_texts(tmp_path):
    (tmp_path / "LICENSE").write_text("\n   Apache License\n  Version 2.0, January 2004\n")
    assert licence_of(tmp_path) == "apache-2.0"
    (tmp_path / "LICENSE").write_text("LLAMA 3.1 COMMUNITY LICENSE AGREEMENT")
    assert licence_of(tmp_path) == "llama3.1"


def test_quantized_weights_are_told(tmp_path):
    config = b'{"model_type": "llama", "quantization_config": {"quant_method": "gptq"}}'
    facts = read_facts(write_model(tmp_path / "q", **{"config.json": config}))
    assert (facts.quantization, facts.family) == ("gptq", "llama")


def test_everything_that_a_config_names_counts_as_use(tmp_path):
    config = parse({
        "name": "x", "objective": "gkd", "model": {"name_or_path": "team/base",
                                                   "adapters": ["r-1", str(tmp_path / "a")]},
        "teacher": {"name_or_path": "team/teacher"}})
    assert named_in(to_yaml(config)) == ("team/base", "r-1", str(tmp_path / "a"), "team/teacher")
    assert named_in("model: [1, 2]") == () and named_in("") == ()


def test_a_broken_config_still_has_its_base(home):
    run = a_run(home, "r-1", left="")
    (run.dir / "config.yaml").write_text("model: [")
    assert Uses().names_of(run) == ("starter",)


def test_hundreds_of_folders_are_read_once(home):
    for number in range(300):
        write_model(home.models / f"m{number:03d}")
    shelf = Shelf(home)
    first = {one.name: one.facts for one in shelf.list([])}
    assert len(first) == 301
    again = {one.name: one.facts for one in shelf.list([])}
    assert all(again[name] is facts for name, facts in first.items())
    changed = home.models / "m007"
    (changed / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    later = {one.name: one for one in shelf.list([])}
    assert later[str(changed)].licence == "apache-2.0"
    assert sum(later[name].facts is not facts for name, facts in first.items()) == 1
    for path in changed.iterdir():
        path.unlink()
    changed.rmdir()
    assert len(shelf.list([])) == 300 and Path(changed) not in shelf._known

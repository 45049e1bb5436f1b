"""What is told of an export or a merge before it is queued."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from app.devices import DeviceProbe
from app.home import Home
from app.kindfit import KindFit, size_of
from app.names import columns_of
from app.preflight import Preflight
from trainer.contract.commits import commit
from trainer.contract.config import parse
from trainer.contract.kinds import parse_any
from trainer.contract.models import read_folder
from trainer.contract.places import starter
from trainer.contract.rundir import RunDir

HAS_LLAMA = "FINESTRA_LLAMA_PYTHON"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.delenv(HAS_LLAMA, raising=False)
    return Home.open(tmp_path / "home")


@pytest.fixture
def check(place):
    """Check an export or a merge, as the command line or as a page."""
    made = Preflight(place, DeviceProbe(list))
    yield lambda origin="cli", **values: made.check(values, origin=origin)
    made.data.close()


def adapter(folder, kind="LORA"):
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": kind, "r": 4}))
    save_file({"a": np.zeros((2, 2), np.float32)}, folder / "adapter_model.safetensors")


def run_of(place, name, *, kind="LORA", left="adapter", **values):
    run = RunDir(place.runs / name)
    tuner = {"tuner": {"type": "full"}} if left == "model" else {}
    run.create(parse({"name": name, **tuner, **values}), {"state": "completed"})
    if left == "adapter":
        adapter(run.adapter, kind)
    elif left == "model":
        shutil.copytree(starter(), run.model)
    return run


def codes(found):
    return {(problem.field, problem.code) for problem in found.problems}


def test_sizes_are_told_before_anything_is_written(check, place):
    run_of(place, "tuned")
    found = check(kind="export", source="tuned", formats=["merged", "adapter", "gguf-q8_0"])
    assert found.problems == []
    told = {choice.field: choice.value for choice in found.choices}
    assert told["format.merged"] == "12 MB" and told["format.gguf-q8_0"] == "6 MB"
    assert "format.adapter" not in told and "device" in told
    json.dumps(found.document(), allow_nan=False)


@pytest.mark.parametrize(("values", "wrong"), [
    ({"source": "starter", "formats": ["merged"]}, {("formats", "nothing_learned")}),
    ({"source": "starter", "formats": ["adapter"]}, {("formats", "nothing_learned")}),
    ({"source": "whole", "formats": ["adapter"]}, {("formats", "no_adapter")}),
    ({"source": "empty", "formats": ["merged"]}, {("source", "run_without_model")}),
    ({"source": "scores", "formats": ["merged"]}, {("source", "head_scores")}),
    ({"source": "virtual", "formats": ["merged"]}, {("source", "adapter_unmergeable")}),
    ({"source": "tuned/checkpoint-3", "formats": ["merged"]}, {("source", "unknown_checkpoint")}),
    ({"source": "tuned/checkpoint-8", "formats": ["merged"]}, {("source", "bad_checkpoint")}),
    ({"source": "team/not-here", "formats": ["fp8"]}, {("source", "base_not_here")}),
    ({"source": "/no/such/folder", "formats": ["gguf-f16"]}, {("source", "model_missing")}),
    ({"source": "tuned", "formats": ["merged"], "device": "GPU-9"}, {("device", "unknown_device")}),
])
def test_what_cannot_be_exported_is_told_at_once(check, place, values, wrong):
    run_of(place, "tuned").checkpoints.joinpath("checkpoint-8").mkdir(parents=True)
    run_of(place, "whole", left="model")
    run_of(place, "empty", left="")
    run_of(place, "scores", objective="reward")
    run_of(place, "virtual", kind="PROMPT_TUNING")
    found = check(kind="export", **values)
    assert codes(found) >= wrong and {p for p in codes(found) if p[1] != "part_missing"} == wrong
    assert all(problem.advice for problem in found.problems)


def test_virtual_tokens_can_be_given_away_as_an_adapter(check, place):
    run_of(place, "virtual", kind="PROMPT_TUNING")
    assert check(kind="export", source="virtual", formats=["adapter"]).problems == []


def test_a_committed_checkpoint_can_be_exported(check, place):
    run = run_of(place, "going", left="")
    folder = run.checkpoints / "checkpoint-8"
    adapter(folder)
    commit(folder, 8)
    assert check(kind="export", source="going/checkpoint-8", formats=["merged"]).problems == []


def test_what_is_not_installed_is_named_with_its_command(check, place, monkeypatch):
    run_of(place, "tuned")
    monkeypatch.setattr("app.kindfit.find_spec", lambda name: None)
    found = check(kind="export", source="tuned", formats=["gguf-q8_0", "gguf-q4_k_m"])
    assert [p.scope for p in found.problems] == ["machine", "machine"]
    assert "finestra[export]" in found.problems[0].advice
    assert "finestra[llama]" in found.problems[1].advice
    monkeypatch.setenv(HAS_LLAMA, "/usr/bin/python3")
    found = check(kind="export", source="tuned", formats=["gguf-q4_k_m"])
    assert found.problems == []


def test_a_family_that_cannot_be_gguf_is_told(check, place):
    base = place.models / "odd"
    shutil.copytree(starter(), base)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "model_type": "phi3"}))
    found = check(kind="export", source=str(base), formats=["gguf-f16"])
    assert codes(found) == {("formats", "family_unknown")} and "phi3" in found.problems[0].message


def test_a_disk_that_is_too_small_is_known_before(check, place, monkeypatch):
    run_of(place, "tuned")
    usage = shutil.disk_usage(place.root)
    monkeypatch.setattr("app.kindfit.shutil.disk_usage", lambda path: usage._replace(free=10**6))
    assert codes(check(kind="export", source="tuned", formats=["merged"])) == {
        ("formats", "disk_full")}


def test_what_keeps_an_export_from_being_sent_is_known_before(check, place, tmp_path,
                                                             monkeypatch):
    run_of(place, "tuned")
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    asked = {"kind": "export", "source": "tuned", "formats": ["merged"]}
    push = {"repo": "me/bot", "folder": str(tmp_path)}
    assert codes(check(**asked, push=push)) == {("push.repo", "push_no_token"),
                                                ("push.folder", "target_exists")}
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text("hf_x")
    assert check(**asked, push={"repo": "me/bot"}).problems == []
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert codes(check(**asked, push={"repo": "me/bot"})) == {("push.repo", "push_offline")}


def test_pages_name_only_what_lies_under_the_roots(check, place, tmp_path):
    run_of(place, "tuned")
    for values in ({"source": "/etc", "formats": ["fp8"]},
                   {"source": "tuned", "formats": ["merged"], "push": {"folder": "/etc/x"}}):
        assert {code for _, code in codes(check("web", kind="export", **values))} == {
            "path_outside_roots"}
    assert codes(check("web", kind="merge", sources=[{"name": "tuned"}, {"name": "/etc"}])) == {
        ("sources.1.name", "path_outside_roots")}
    assert check("web", kind="export", source="tuned", formats=["merged"]).problems == []


def test_paths_become_absolute(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    adapter(tmp_path / "here")
    fit = KindFit(place, None)
    config = fit.absolute(parse_any({"kind": "merge", "sources": [{"name": "here"},
                                                                  {"name": "starter"}]}))
    assert [one.name for one in config.sources] == [str(tmp_path / "here"), "starter"]
    config = fit.absolute(parse_any({"kind": "export", "source": "starter", "formats": ["fp8"],
                                     "push": {"folder": "out"}}))
    assert config.push.folder == str(tmp_path / "out")


@pytest.mark.parametrize(("values", "wrong"), [
    ({"sources": [{"name": "one"}, {"name": "virtual"}]}, {("sources.1.name", "adapter_kind")}),
    ({"sources": [{"name": "one"}, {"name": "/no/where"}]},
     {("sources.1.name", "adapter_missing")}),
    ({"sources": [{"name": "one"}, {"name": "whole"}], "what": "models"},
     {("sources.0.name", "adapter_not_model")}),
    ({"sources": [{"name": "whole"}, {"name": "starter"}], "what": "models",
      "method": "task_arithmetic", "base": "/no/where"}, {("base", "model_missing")})])
def test_what_cannot_be_merged_is_told_at_once(check, place, values, wrong):
    run_of(place, "one")
    run_of(place, "virtual", kind="PROMPT_TUNING")
    run_of(place, "whole", left="model")
    assert codes(check(kind="merge", **values)) == wrong


def test_what_can_be_merged_has_no_problems(check, place):
    run_of(place, "one")
    run_of(place, "two")
    run_of(place, "whole", left="model")
    assert check(kind="merge", sources=[{"name": "one"}, {"name": "two"}]).problems == []
    assert check(kind="merge", what="models", method="slerp",
                 sources=[{"name": "whole"}, {"name": "starter"}]).problems == []


def test_the_size_follows_the_number_format(place):
    facts = read_folder(starter())
    config = parse_any({"kind": "export", "source": "x", "formats": ["merged"],
                        "dtype": "float32"})
    assert size_of("merged", config, facts) == facts.parameters * 4
    assert size_of("gguf-q4_0", config, facts) == int(facts.parameters * 4.5 / 8)


def test_the_index_says_what_a_run_does():
    export = parse_any({"kind": "export", "source": "run-1", "formats": ["merged", "fp8"]})
    assert columns_of(export) == {"name": "export", "objective": "export", "model": "run-1",
                                  "method": "merged, fp8", "wanted_device": "auto"}
    merge = parse_any({"kind": "merge", "sources": [{"name": "a"}, {"name": "b"}],
                       "device": "cpu"})
    assert columns_of(merge)["model"] == "a, b" and columns_of(merge)["wanted_device"] == "cpu"

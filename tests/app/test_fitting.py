"""What a device, its packages and its files lack for a config, each problem at its field."""

import hashlib

import pytest

from app.devices import Device, DeviceProbe, cpu_device
from app.fitting import consents, device_problems
from app.home import Home
from app.paths import absolute, named
from app.preflight import Preflight
from trainer.contract.config import parse

OLD = Device("GPU-1", "Old", 8000, 7000, capability=(7, 5))


def fields(values, device):
    return {(p.field, p.code, p.scope) for p in device_problems(parse(values), device)}


@pytest.mark.parametrize("name", ["use_liger_kernel", "activation_offloading", "fp8"])
def test_switches_of_cuda_are_refused_on_a_cpu(name):
    assert (f"training.{name}", "needs_cuda", "machine") in fields(
        {"training": {name: True}, "tuner": {"type": "full"}}, cpu_device())
    assert fields({}, cpu_device()) == fields({}, OLD) == fields({}, None) == set()


def test_an_old_gpu_has_no_fp8():
    found = fields({"training": {"fp8": True}, "tuner": {"type": "full"}}, OLD)
    assert ("training.fp8", "fp8_capability", "machine") in found


@pytest.mark.parametrize(("values", "field", "package"), [
    ({"training": {"optim": "schedule_free_adamw", "lr_scheduler_type": "constant",
                   "warmup_ratio": 0}}, "training.optim", "schedulefree"),
    ({"model": {"quantization": "nf4"}}, "model.quantization", "bitsandbytes"),
    ({"training": {"use_liger_kernel": True}}, "training.use_liger_kernel", "liger_kernel")])
def test_a_package_that_is_not_there_is_named(monkeypatch, values, field, package):
    asked = []
    monkeypatch.setattr("app.fitting._installed", lambda name: bool(asked.append(name)))
    (problem,) = device_problems(parse(values), OLD)
    assert asked == [package]
    assert (problem.field, problem.code, problem.scope) == (field, "package_missing", "machine")
    assert problem.params["package"] in problem.message


def test_compiling_needs_a_compiler(monkeypatch):
    values = {"training": {"torch_compile": True}}
    monkeypatch.setattr("app.fitting.shutil.which", lambda name: "/usr/bin/g++")
    assert fields(values, cpu_device()) == set()
    monkeypatch.setattr("app.fitting.shutil.which", lambda name: None)
    assert fields(values, cpu_device()) == {("training.torch_compile", "no_compiler", "machine")}


def grpo(**use):
    return {"objective": "grpo", "rollout": {"rewards": [use]}}


def test_a_file_of_code_waits_for_consent_and_shows_its_fingerprint(tmp_path):
    code = tmp_path / "score.py"
    code.write_text("def reward(prompts, completions, references): return [0.0]")
    digest = hashlib.sha256(code.read_bytes()).hexdigest()
    home = Home.open(tmp_path / "home")
    preflight = Preflight(home, DeviceProbe(list), data_roots=[tmp_path])
    values = grpo(name="python", path=str(code))
    assert consents(values, preflight.data.allowed) == {str(code): digest}
    assert consents(values, lambda name: False) == consents({}, lambda name: True) == {}
    problems = preflight.check(values, origin="web").problems
    assert {p.field for p in problems} == {"rollout.rewards.0.sha256"} or {
        p.code for p in problems} & {"reward_needs", "reward_consent"}
    given = preflight.check(grpo(name="python", path=str(code), sha256=digest), origin="web")
    assert not [p for p in given.problems if p.field.startswith("rollout")]
    preflight.data.close()


@pytest.mark.parametrize(("values", "field"), [
    ({"objective": "distillation", "teacher": {"name_or_path": "/etc"}}, "teacher.name_or_path"),
    ({"tuner": {"continue_from": "/etc"}}, "tuner.continue_from"),
    ({"model": {"adapters": ["/etc"]}}, "model.adapters"),
    (grpo(name="reward_model", model="/etc"), "rollout.rewards.0.model"),
    (grpo(name="json_schema", json_schema="/etc/passwd"), "rollout.rewards.0.json_schema")])
def test_pages_name_no_path_outside_the_roots(tmp_path, values, field):
    preflight = Preflight(Home.open(tmp_path / "home"), DeviceProbe(list))
    found = preflight.check(values, origin="web").problems
    assert ("path_outside_roots", field) in {(p.code, p.field) for p in found}
    preflight.data.close()


def test_relative_places_become_absolute(tmp_path, monkeypatch):
    for name in ("teacher", "first", "score.py"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    config = parse({"objective": "gkd", "teacher": {"name_or_path": "teacher"},
                    "model": {"adapters": ["first", "a-run"]}})
    made = absolute(config, (), lambda name: name == "a-run")
    assert made.teacher.name_or_path == str(tmp_path / "teacher")
    assert made.model.adapters == [str(tmp_path / "first"), "a-run"]
    assert ("teacher.name_or_path", str(tmp_path / "teacher")) in named(made)

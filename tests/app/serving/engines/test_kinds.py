"""Command lines: what each kind is started with, seen by an interpreter that writes it down."""

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app.serving.engines.placing import usable
from tests.app.serving.engines.desk import GPU1, HOST, STUB, adapter_folder, ask, model_folder
from trainer.engines.errors import EngineError
from trainer.engines.kinds import Availability, Setup, Transformers, all_kinds
from trainer.engines.refusals import vllm_refusal
from trainer.engines.settings import EngineSettings
from trainer.engines.targets import Adapter, Model, Target

INTERPRETER = """#!{python}
import json, os, runpy, sys
if "-c" in sys.argv:
    sys.exit({status})
with open({record!r}, "w") as file:
    json.dump({{"argv": sys.argv[1:], "environ": dict(os.environ)}}, file)
runpy.run_path({stub!r}, run_name="__main__")
"""


@pytest.fixture
def interpreter(tmp_path):
    """Make an interpreter that has, or lacks, every package; it serves as the stub does."""
    def make(status=0):
        path = tmp_path / "python with a space"
        path.write_text(INTERPRETER.format(python=sys.executable, status=status, stub=STUB,
                                           record=str(tmp_path / "record.json")))
        path.chmod(0o755)
        return path

    return make


def recorded(tmp_path):
    found = json.loads((tmp_path / "record.json").read_text())
    return found["argv"], found["environ"]


def option(argv, name):
    return argv[argv.index(name) + 1]


@pytest.mark.faults
def test_vllm_answers_for_a_base_and_its_runs(desk, serve, interpreter, tmp_path):
    settings = EngineSettings(vllm_python=interpreter(), start_s=20.0)
    served = serve(kinds=all_kinds(settings))
    # On a processor a base alone is answered for without adapters' room: three times faster.
    # With it, likelihoods of a prompt would end vLLM.
    kind = all_kinds(settings)["vllm"]
    assert kind.tells_likelihoods("cpu", 0) and kind.tells_likelihoods("GPU-1", 64)
    assert not kind.tells_likelihoods("cpu", 8)
    assert ask(served, str(desk.base()), engine="vllm")["model"] == "base"
    assert "--enable-lora" not in recorded(tmp_path)[0]
    assert ask(served, "one", engine="vllm")["model"] == "one"
    assert ask(served, "two", engine="vllm")["model"] == "two"
    argv, environ = recorded(tmp_path)
    assert argv[:3] == ["-P", "-m", "vllm.entrypoints.openai.api_server"]
    assert option(argv, "--host") == "127.0.0.1" and option(argv, "--dtype") == "float32"
    assert option(argv, "--model") == str(desk.base())
    assert option(argv, "--max-model-len") == "2048" and option(argv, "--max-lora-rank") == "8"
    adapter = desk.home.runs / "one" / "adapter"
    assert json.loads(option(argv, "--lora-modules")) == {"name": "one", "path": str(adapter)}
    assert option(argv, "--max-loras") == "2" and option(argv, "--max-cpu-loras") == "8"
    assert "--enable-lora" in argv and "--trust-remote-code" not in argv
    assert option(argv, "--allowed-media-domains") == "media.invalid"
    assert option(argv, "--middleware") == "finestra_door.Door"
    assert (Path(environ["PYTHONPATH"]) / "finestra_door.py").is_file()
    assert len(environ["VLLM_API_KEY"]) >= 32 and environ["VLLM_API_KEY"] not in argv
    assert 1 <= int(environ["VLLM_CPU_KVCACHE_SPACE"]) <= 16 and environ["HF_HUB_OFFLINE"] == "1"
    assert environ["VLLM_HOST_IP"] == "127.0.0.1" and environ["CUDA_VISIBLE_DEVICES"] == ""
    # Else what vLLM calls its processes lies over the variables by which they are found.
    assert environ["SPT_NOENV"] == "1"


@pytest.mark.faults
def test_llama_cpp_answers_for_a_gguf_file(desk, serve, interpreter, tmp_path):
    settings = EngineSettings(llama_python=interpreter(), start_s=20.0)
    served = serve(kinds=all_kinds(settings))
    file = desk.home.models / "tiny q8.gguf"
    file.write_bytes(b"GGUF")
    assert str(file) in {one.name for one in served.served()}
    assert ask(served, str(file))["model"] == "base"
    argv, environ = recorded(tmp_path)
    assert argv[:4] == ["-P", "-m", "llama_cpp.server", "--config_file"] and len(argv) == 5
    assert environ["HOST"] == "127.0.0.1" and environ["PORT"].isdecimal()
    assert served.status()[0]["why"] == "GGUF files need it"
    with pytest.raises(EngineError, match=r"only llama\.cpp reads") as error:
        ask(served, str(file), engine="transformers")
    assert error.value.code == "engine_cannot"


@pytest.fixture
def setup(tmp_path):
    folder = model_folder(tmp_path / "a base, 100 % ü=1")
    adapter = Adapter.read("run:checkpoint-4", adapter_folder(tmp_path / "x=y,z"))
    return Setup(Model(str(folder), folder, "nf4", "bfloat16", "chatml"), adapter, "GPU-1",
                 tmp_path / "abc", "very-secret", tmp_path / "runs")


def test_the_command_of_transformers(setup, tmp_path):
    from trainer.serving.__main__ import _parse

    launch = Transformers(EngineSettings(max_model_len=512)).launch(setup, 1)
    assert launch.argv == (
        sys.executable, "-P", "-m", "trainer.serving", "--model", setup.model.source,
        "--port-file", str(tmp_path / "abc.port"), "--key-file", str(tmp_path / "abc.key"),
        "--device", "GPU-1", "--dtype", "bfloat16", "--quantization", "nf4", "--template",
        "chatml", "--served-model-name", "base", "--max-model-len", "512",
        "--lora", f"run:checkpoint-4={tmp_path / 'x=y,z'}")
    assert (tmp_path / "abc.key").read_text() == "very-secret"
    understood = _parse(list(launch.argv[4:]))
    assert understood.model == setup.model.source and understood.template == "chatml"
    assert understood.lora == [f"run:checkpoint-4={tmp_path / 'x=y,z'}"]
    assert launch.environ["CUDA_VISIBLE_DEVICES"] == "GPU-1" and launch.port == 0
    assert launch.environ["FINESTRA_RUNS"] == str(tmp_path / "runs")
    assert understood.double_quantization
    single = replace(setup, model=replace(setup.model, double_quantization=False))
    again = Transformers(EngineSettings()).launch(single, 1)
    assert not _parse(list(again.argv[4:])).double_quantization


@pytest.mark.parametrize("kind", ["transformers", "vllm", "llama.cpp"])
def test_no_kind_puts_its_key_where_others_see_it(setup, kind):
    launch = all_kinds(EngineSettings())[kind].launch(setup, 4711)
    assert "very-secret" not in shlex.join(launch.argv) and "very-secret" not in repr(launch)
    for file in setup.scratch.parent.glob("abc.*"):
        assert file.stat().st_mode & 0o077 == 0
    if kind == "llama.cpp":
        config = json.loads(setup.file("config").read_text())
        assert config["api_key"] == "very-secret" and config["models"][0]["n_gpu_layers"] == -1
        assert (config["host"], config["port"]) == ("127.0.0.1", 4711)


def test_what_is_missing_names_the_command_that_installs_it(desk, serve, interpreter, tmp_path):
    settings = EngineSettings(vllm_python=tmp_path / "none", llama_python=interpreter(1))
    kinds = all_kinds(settings)
    assert kinds["transformers"].available().installed
    vllm, llama = kinds["vllm"].available(), kinds["llama.cpp"].available()
    assert not vllm.installed and "no interpreter" in vllm.reason and vllm.install == "make vllm"
    assert not llama.installed and llama.install == "pip install 'llama-cpp-python[server]'"
    other = EngineSettings(vllm_python=interpreter(1))
    assert "has no vLLM" in all_kinds(other)["vllm"].available().reason
    with pytest.raises(EngineError, match="no interpreter") as error:
        ask(serve(kinds=kinds), "one", engine="vllm")
    assert error.value.code == "engine_not_installed" and error.value.advice == "Run: make vllm"


@pytest.mark.parametrize(("printed", "devices"), [("cpu", "cpu"), ("gpu", "gpu"), ("", "")])
def test_vllm_says_what_it_was_built_for(tmp_path, printed, devices):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho {printed}\n")
    python.chmod(0o755)
    found = all_kinds(EngineSettings(vllm_python=python))["vllm"].available()
    assert (found.installed, found.devices) == (True, devices)


def test_an_engine_goes_only_where_it_was_built_for():
    built = {devices: Availability("vllm", True, devices=devices) for devices in ("", "cpu", "gpu")}
    machine = [GPU1, HOST]
    assert usable(built["cpu"], machine) == [HOST]
    assert usable(built["gpu"], machine) == usable(built[""], machine) == machine
    with pytest.raises(EngineError, match="needs a GPU") as error:
        usable(built["gpu"], [HOST])
    assert error.value.code == "engine_cannot" and "make vllm" in error.value.advice


PLAIN = {"peft_type": "LORA", "r": 8, "lora_alpha": 16}


def adapted(**config):
    values = {**PLAIN, **config}
    return Target("one", "run", "one", Model("/b", Path("/b")),
                  Adapter("one", Path("/a"), values["peft_type"], "", values))


@pytest.mark.parametrize(("config", "word"), [
    ({"peft_type": "OFT"}, "LoRA only"), ({"use_dora": True}, "DoRA"), ({"bias": "all"}, "biases"),
    ({"modules_to_save": ["lm_head"]}, "trained whole"),
    ({"trainable_token_indices": [1]}, "tokens"), ({"target_parameters": ["x"]}, "parameters"),
    ({"rank_pattern": {"q": 4}}, "differently"), ({"alpha_pattern": {"q": 4}}, "differently"),
])
def test_vllm_refuses_what_would_answer_otherwise(config, word):
    assert word in vllm_refusal(adapted(**config))


def test_vllm_takes_plain_lora():
    assert vllm_refusal(adapted()) == ""
    # What PiSSA leaves: another rank in one layer, but the same scale.
    even = adapted(r=16, lora_alpha=16, rank_pattern={"q": 8}, alpha_pattern={"q": 8})
    assert vllm_refusal(even) == "" and even.adapter.rank == 16
    plain = adapted()
    assert "nf4" in vllm_refusal(replace(plain, model=replace(plain.model, quantization="nf4")))
    assert "merged" in vllm_refusal(replace(plain, model=replace(plain.model, merged=True)))
    assert "chatml" in vllm_refusal(replace(plain, template="chatml"))
    # A finished full run brings its template along.
    assert vllm_refusal(replace(plain, adapter=None, template="chatml")) == ""


def test_settings_come_from_the_environment():
    read = EngineSettings.read({
        "FINESTRA_ENGINE": "vllm", "FINESTRA_ENGINE_IDLE_S": "60", "FINESTRA_ENGINE_START_S": "no",
        "FINESTRA_VLLM_PYTHON": "/opt/vllm/bin/python", "FINESTRA_ENGINE_EVICT": "1"})
    assert (read.kind, read.idle_s, read.start_s) == ("vllm", 60.0, 300.0)
    assert read.vllm_python == Path("/opt/vllm/bin/python") and read.on_training == "evict"
    plain = EngineSettings.read({})
    assert plain.kind == "auto" and plain.on_training == "ask"
    assert plain.vllm_python.parts[-3:] == (".venv-vllm", "bin", "python")

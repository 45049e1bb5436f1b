"""ONNX by optimum in its own environment, run by onnxruntime; what goes in is tested without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.export.conftest import change
from trainer.contract.files import read_json
from trainer.contract.places import starter
from trainer.export import onnx
from trainer.export.children import find_tool
from trainer.export.errors import ExportError
from trainer.export.onnx import export_onnx, older_words


@pytest.fixture
def optimum() -> Path:
    try:
        return find_tool(onnx.TOOL).python
    except ExportError as error:
        pytest.skip(f"{error.message} {error.advice}")


GREEDY = """
import json, sys
from optimum.onnxruntime import ORTModelForCausalLM
from transformers import AutoTokenizer
model = ORTModelForCausalLM.from_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
made = tokenizer.apply_chat_template([{"role": "user", "content": "Where is the museum?"}],
                                     add_generation_prompt=True, return_tensors="pt",
                                     return_dict=True)
made.pop("token_type_ids", None)
ids = model.generate(**made, max_new_tokens=24, do_sample=False)[0].tolist()
print(json.dumps(ids))
"""


@pytest.mark.serving
def test_onnxruntime_says_what_transformers_says(optimum, tmp_path):
    import json

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    stages: list[tuple[int, int, str]] = []
    report = export_onnx(starter(), tmp_path / "onnx", progress=lambda *one: stages.append(one))
    assert [path.name for path in tmp_path.iterdir()] == ["onnx"]
    assert [what for _, _, what in stages] == ["exporting", "checking"]
    assert "says the same as Transformers at" in report.notes[0]
    assert (report.path / "tokenizer.json").read_bytes() == (
        starter() / "tokenizer.json").read_bytes()
    assert not [path for path in report.path.iterdir() if path.suffix in {".bin", ".py", ".pt"}]
    done = subprocess.run([str(optimum), "-I", "-c", GREEDY, str(report.path)],
                          capture_output=True, text=True, check=False,
                          env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    tokenizer = AutoTokenizer.from_pretrained(starter())
    model = AutoModelForCausalLM.from_pretrained(starter(), dtype=torch.float32).eval()
    made = tokenizer.apply_chat_template([{"role": "user", "content": "Where is the museum?"}],
                                         add_generation_prompt=True, return_tensors="pt",
                                         return_dict=True)
    wanted = model.generate(**made, max_new_tokens=24, do_sample=False)[0].tolist()
    assert json.loads(done.stdout.splitlines()[-1]) == wanted


@pytest.mark.serving
def test_a_model_that_says_something_else_is_refused(optimum, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx, "older_words", lambda config: {"rope_theta": 500.0})
    with pytest.raises(ExportError) as caught:
        export_onnx(starter(), tmp_path / "onnx")
    assert caught.value.code == "tool_failed"
    assert "says something else" in caught.value.message
    assert not list(tmp_path.iterdir())


def test_positions_in_the_words_of_transformers_4():
    assert older_words({"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}) == {
        "rope_theta": 5e5, "rope_scaling": None}
    scaled = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0}
    assert older_words({"rope_parameters": {"rope_theta": 5e5, **scaled}}) == {
        "rope_theta": 5e5, "rope_scaling": scaled}
    assert older_words({"rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}}) == {
        "rope_theta": 1e6, "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        "rope_local_base_freq": 1e4}
    assert older_words({"rope_theta": 1e4}) == {}
    with pytest.raises(ExportError, match="has no words"):
        older_words({"rope_parameters": {"some_layers": {"rope_theta": 1.0}}})


@pytest.fixture
def bare(monkeypatch) -> None:
    monkeypatch.setenv("FINESTRA_ONNX_PYTHON", sys.executable)


@pytest.mark.usefixtures("bare")
def test_a_missing_package_names_the_command(tmp_path):
    with pytest.raises(ExportError) as caught:
        export_onnx(starter(), tmp_path / "onnx")
    assert caught.value.code == "onnx_missing"
    assert "pip install torch accelerate 'optimum-onnx[onnxruntime]'" in caught.value.advice
    assert not list(tmp_path.iterdir())


def test_a_quantized_or_foreign_folder_is_refused(models, tmp_path):
    folder = models.make("qwen3")
    change(folder / "config.json", quantization_config={"quant_method": "fp8"})
    with pytest.raises(ExportError) as caught:
        export_onnx(folder, tmp_path / "onnx")
    assert caught.value.code == "weights_quantized"
    config = read_json(folder / "config.json")
    del config["quantization_config"]
    change(folder / "config.json", auto_map={"AutoModel": "evil.Model"})
    with pytest.raises(ValueError, match="run its own code"):
        export_onnx(folder, tmp_path / "onnx")


def test_a_folder_that_is_there_stays(tmp_path):
    (tmp_path / "onnx").mkdir()
    with pytest.raises(ExportError) as caught:
        export_onnx(starter(), tmp_path / "onnx")
    assert caught.value.code == "target_exists"

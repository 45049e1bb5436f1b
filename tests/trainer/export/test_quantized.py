"""FP8, INT8, GPTQ and AWQ by llm-compressor in its own environment, loaded by Transformers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.export.conftest import change
from trainer.contract.models import read_folder
from trainer.contract.places import starter
from trainer.export import quantized, report
from trainer.export.children import find_tool
from trainer.export.errors import ExportError
from trainer.export.quantized import KINDS, export_quantized

# Mean distance of the log-probability of the next token of the sample data from the starter's.
FURTHEST = {"fp8": 0.05, "int8": 0.05, "gptq": 0.15, "awq": 0.3}
COMPARE = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
base, made, texts = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(made)
models = [AutoModelForCausalLM.from_pretrained(one, dtype=torch.float32) for one in (base, made)]
far = []
for line in open(texts, encoding="utf-8").read().splitlines()[:16]:
    ids = tokenizer(json.loads(line)["text"], add_special_tokens=False,
                    return_tensors="pt")["input_ids"]
    with torch.no_grad():
        a, b = (torch.log_softmax(model(ids).logits[0, :-1].float(), -1) for model in models)
    far += (a - b).gather(1, ids[0, 1:, None]).abs().flatten().tolist()
print(sum(far) / len(far))
"""


@pytest.fixture
def compressor() -> Path:
    try:
        return find_tool(quantized.TOOL).python
    except ExportError as error:
        pytest.skip(f"{error.message} {error.advice}")


@pytest.fixture
def texts(tmp_path) -> Path:
    source = Path(__file__).parents[3] / "data" / "sample_instructions.jsonl"
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": "<|im_start|>user\n" + row["instruction"]
                                        + "<|im_end|>\n<|im_start|>assistant\n" + row["output"]
                                        + "<|im_end|>\n"}) + "\n" for row in rows[:64]),
                    encoding="utf-8")
    return file


@pytest.mark.serving
@pytest.mark.parametrize("kind", KINDS)
def test_transformers_loads_it_and_says_nearly_the_same(compressor, texts, tmp_path, kind):
    seen: list[tuple[int, int, str]] = []
    done = export_quantized(starter(), tmp_path / "made", kind, texts=texts,
                            progress=lambda *one: seen.append(one))
    assert {path.name for path in tmp_path.iterdir()} == {"made", "texts.jsonl"}
    facts = read_folder(done.path)
    assert facts.quantization == "compressed-tensors"
    assert facts.weight_bytes < 0.62 * read_folder(starter()).weight_bytes
    assert "42 matrices" in done.notes[1]
    assert seen and all(done <= total for done, total, _ in seen)
    for name in ("tokenizer.json", "chat_template.jinja", "generation_config.json"):
        assert (done.path / name).read_bytes() == (starter() / name).read_bytes()
    assert (done.path / "model.safetensors").stat().st_mode & 0o777 == 0o644
    compared = subprocess.run([str(compressor), "-I", "-c", COMPARE, str(starter()),
                               str(done.path), str(texts)], capture_output=True, text=True,
                              check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert compared.returncode == 0, compared.stderr[-2000:]
    far = float(compared.stdout.splitlines()[-1])
    assert 0 < far < FURTHEST[kind]


@pytest.mark.serving
def test_cancelled_leaves_nothing(compressor, tmp_path):
    begun: list[str] = []
    with pytest.raises(ExportError) as caught:
        export_quantized(starter(), tmp_path / "made", progress=lambda *one: begun.append(one[2]),
                         cancelled=lambda: "loaded" in begun)
    assert caught.value.code == "cancelled"
    assert not list(tmp_path.iterdir())


@pytest.fixture
def bare(monkeypatch) -> None:
    monkeypatch.setenv("FINESTRA_QUANTIZE_PYTHON", sys.executable)


@pytest.mark.usefixtures("bare")
def test_a_missing_package_names_the_command(tmp_path):
    with pytest.raises(ExportError) as caught:
        export_quantized(starter(), tmp_path / "made")
    assert caught.value.code == "quantizer_missing"
    assert "FINESTRA_QUANTIZE_PYTHON" in caught.value.message
    assert "pip install torch llmcompressor" in caught.value.advice
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("lines, code", [
    ("", "texts_invalid"), ("\n\n", "texts_invalid"), ('{"text": "a"}\nno', "texts_invalid"),
    ('{"text": 5}', "texts_invalid"), ('["text"]', "texts_invalid")])
def test_texts_that_are_none_are_told_by_line(tmp_path, lines, code):
    file = tmp_path / "texts.jsonl"
    file.write_text(lines, encoding="utf-8")
    with pytest.raises(ExportError) as caught:
        export_quantized(starter(), tmp_path / "made", "gptq", texts=file)
    assert caught.value.code == code
    assert "no" not in lines or "Line 2" in caught.value.message


def test_texts_that_are_missing_are_asked_for(tmp_path):
    with pytest.raises(ExportError) as caught:
        export_quantized(starter(), tmp_path / "made", "awq")
    assert caught.value.code == "texts_missing"


def test_groups_are_as_large_as_the_rows_allow(models):
    assert quantized._group(read_folder(starter())) == 128
    assert quantized._group(read_folder(models.make("qwen3"))) == 32


def test_rows_without_groups_are_refused(models, monkeypatch):
    monkeypatch.setattr("tests.trainer.export.conftest.INNER", 72)
    with pytest.raises(ExportError) as caught:
        quantized._group(read_folder(models.make("qwen3")))
    assert caught.value.code == "quantize_shape"
    assert "72" in caught.value.message


def test_what_cannot_be_quantized_is_refused(models, tmp_path):
    folder = models.make("qwen3")
    with pytest.raises(ExportError) as caught:
        export_quantized(folder, tmp_path / "made", "int3")
    assert caught.value.code == "kind_unknown"
    change(folder / "config.json", quantization_config={"quant_method": "gptq"})
    with pytest.raises(ExportError) as caught:
        export_quantized(folder, tmp_path / "made")
    assert caught.value.code == "weights_quantized"
    change(folder / "config.json", quantization_config=None, auto_map={"AutoModel": "evil.M"})
    with pytest.raises(ValueError, match="run its own code"):
        export_quantized(folder, tmp_path / "made")


def test_a_full_disk_is_known_before(tmp_path, monkeypatch):
    monkeypatch.setattr(quantized, "find_tool", lambda needed: None)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Full", (), {"free": 1000}))
    with pytest.raises(ExportError) as caught:
        export_quantized(starter(), tmp_path / "made")
    assert caught.value.code == "disk_full"
    assert not list(tmp_path.iterdir())


def test_a_failed_block_leaves_no_folder_and_a_whole_one_appears_at_once(tmp_path):
    with pytest.raises(RuntimeError), report.whole_folder(tmp_path / "a") as partial:
        (partial / "file").write_text("x")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with report.whole_folder(tmp_path / "a") as partial:
        (partial / "file").write_text("x")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a" / "file").read_text() == "x"
    with pytest.raises(ExportError, match="There is a folder 'a' already"), \
            report.whole_folder(tmp_path / "a"):
        pass

"""K-quants by llama.cpp itself: each weight within its format's step, and text that it reads."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest

from tests.trainer.export.conftest import change
from trainer.contract.places import starter
from trainer.export import kquants
from trainer.export.children import find_tool, run_child
from trainer.export.errors import ExportError
from trainer.export.gguf_export import export_gguf
from trainer.export.kquants import KQUANTS, LLAMA, convert_gguf, export_kquant

# Root of the mean square of the errors over that of the weights, by bits: a uniform one over the
# range of normal weights (six sigma) would have 6 / 2**bits / sqrt(12).
COARSEST = {f"Q{bits}_K": 6 / 2 ** bits / 12 ** 0.5 for bits in (2, 3, 4, 5, 6)}


@pytest.fixture
def llama() -> None:
    try:
        find_tool(LLAMA)
    except ExportError as error:
        pytest.skip(f"{error.message} {error.advice}")


def tensors(path: Path) -> dict[str, gguf.ReaderTensor]:
    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


@pytest.mark.serving
@pytest.mark.usefixtures("llama")
@pytest.mark.parametrize("kind", KQUANTS)
def test_each_weight_is_near_the_source(tmp_path, kind):
    seen: list[tuple[int, int, str]] = []
    report = export_kquant(starter(), tmp_path / "m.gguf", kind,
                           progress=lambda *step: seen.append(step))
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]
    assert report.bytes == (tmp_path / "m.gguf").stat().st_size
    export_gguf(starter(), tmp_path / "whole.gguf", "f32")
    whole, made = tensors(tmp_path / "whole.gguf"), tensors(report.path)
    wanted = f"Q{kind[1]}_K"
    assert sum(tensor.tensor_type.name == wanted for tensor in made.values()) >= 20
    for name, tensor in made.items():
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        source = whole[name].data.astype(np.float32)
        if tensor.tensor_type.name in COARSEST:
            error = np.sqrt(((values - source) ** 2).mean() / (source ** 2).mean())
            assert 0 < error < COARSEST[tensor.tensor_type.name], name
        else:
            assert np.array_equal(values.reshape(source.shape), source), name
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    assert "llama-cpp-python" in report.notes[-1]


@pytest.mark.usefixtures("llama")
def test_rows_that_no_k_quant_fits_are_told(models, tmp_path):
    report = export_kquant(models.make("qwen2"), tmp_path / "m.gguf")
    assert any("no multiple of 256" in note for note in report.notes)


@pytest.mark.usefixtures("llama")
@pytest.mark.parametrize("share", [0.1, 0.6])
def test_cancelled_leaves_nothing_but_the_older_file(tmp_path, share):
    """Once while it is converted, once while llama.cpp quantizes."""
    target = tmp_path / "m.gguf"
    target.write_bytes(b"older")
    seen = [0.0]
    with pytest.raises(ExportError) as caught:
        export_kquant(starter(), target, cancelled=lambda: seen[-1] > share,
                      progress=lambda done, total, name: seen.append(done / total))
    assert caught.value.code == "cancelled"
    assert (seen[-1] > 0.5) == (share > 0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]
    assert target.read_bytes() == b"older"


@pytest.mark.usefixtures("llama")
def test_what_llama_cpp_cannot_read_is_its_error(tmp_path):
    source = tmp_path / "source.gguf"
    source.write_bytes(b"GGUF, but not really" * 100)
    with pytest.raises(ExportError) as caught:
        kquants.quantize_gguf(source, tmp_path / "m.gguf", "q6_k")
    assert caught.value.code == "tool_failed"
    assert "status 1" in caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["source.gguf"]


def test_too_little_room_is_known_before(tmp_path, monkeypatch):
    monkeypatch.setattr(kquants, "find_tool", lambda needed: None)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Full", (), {"free": 1000}))
    with pytest.raises(ExportError) as caught:
        export_kquant(starter(), tmp_path / "m.gguf")
    assert caught.value.code == "disk_full"
    assert not list(tmp_path.iterdir())


def test_a_missing_package_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("FINESTRA_LLAMA_PYTHON", sys.executable)
    with pytest.raises(ExportError) as caught:
        find_tool(kquants.Needed("no-such-package", "FINESTRA_LLAMA_PYTHON",
                                 "llama_missing", LLAMA.advice))
    assert caught.value.code == "llama_missing"
    assert "FINESTRA_LLAMA_PYTHON" in caught.value.message
    assert "pip install 'finestra[llama]'" in caught.value.advice


def test_an_interpreter_that_is_none_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("FINESTRA_LLAMA_PYTHON", str(tmp_path / "python"))
    with pytest.raises(ExportError) as caught:
        export_kquant(starter(), tmp_path / "m.gguf")
    assert caught.value.code == "llama_missing"
    assert "which is no program" in caught.value.message


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(ExportError) as caught:
        export_kquant(starter(), tmp_path / "m.gguf", "q7_k")
    assert caught.value.code == "kind_unknown"


# A checkout's converter, as far as its command line goes: it writes down what it was asked.
CONVERTER = """
import json, os, sys
from pathlib import Path
asked = sys.argv[1:]
assert "HF_TOKEN" not in os.environ
if "fail" in asked[0]:
    print("ERROR:hf-to-gguf:Model FooForCausalLM is not supported")
    sys.exit(1)
Path(asked[2]).write_text(json.dumps(asked))
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "llama.cpp"
    folder.mkdir()
    (folder / "convert_hf_to_gguf.py").write_text(CONVERTER)
    monkeypatch.setenv("FINESTRA_LLAMA_CPP", str(folder))
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecretsecret")
    return folder


@pytest.mark.usefixtures("checkout")
def test_a_family_unknown_here_goes_to_the_checkout(models, tmp_path):
    folder = models.make("qwen3")
    change(folder / "config.json", model_type="foo", architectures=["FooForCausalLM"])
    report = convert_gguf(folder, tmp_path / "m.gguf", "f16")
    asked = json.loads(report.path.read_text())
    assert asked[0] == str(folder)
    assert asked[1::2] == ["--outfile", "--outtype"]
    assert asked[2].endswith("m.gguf.partial")
    assert asked[4] == "f16"
    assert "llama.cpp checkout" in report.notes[0]


@pytest.mark.usefixtures("checkout")
def test_the_converters_own_reason_is_told(models, tmp_path):
    folder = models.make("qwen3", name="fail")
    change(folder / "config.json", model_type="foo", architectures=["FooForCausalLM"])
    with pytest.raises(ExportError) as caught:
        convert_gguf(folder, tmp_path / "m.gguf", "f16")
    assert caught.value.code == "tool_failed"
    assert "FooForCausalLM is not supported" in caught.value.message
    assert not (tmp_path / "m.gguf.partial").exists()


def test_what_we_know_is_not_handed_over(checkout, models, tmp_path):
    report = convert_gguf(models.make("qwen3"), tmp_path / "m.gguf", "f16")
    assert report.path.read_bytes()[:4] == b"GGUF"


def test_code_in_the_folder_stops_it_before_the_converter(checkout, models, tmp_path):
    folder = models.make("qwen3")
    change(folder / "config.json", model_type="foo", auto_map={"AutoConfig": "evil.Config"})
    with pytest.raises(ValueError, match="run its own code"):
        convert_gguf(folder, tmp_path / "m.gguf", "f16")


def test_without_a_checkout_the_advice_names_it(models, tmp_path, monkeypatch):
    monkeypatch.delenv("FINESTRA_LLAMA_CPP", raising=False)
    folder = models.make("qwen3")
    change(folder / "config.json", model_type="foo", architectures=["FooForCausalLM"])
    with pytest.raises(ExportError) as caught:
        convert_gguf(folder, tmp_path / "m.gguf", "f16")
    assert caught.value.code == "family_unknown"
    assert "FINESTRA_LLAMA_CPP" in caught.value.advice
    monkeypatch.setenv("FINESTRA_LLAMA_CPP", str(tmp_path))
    with pytest.raises(ExportError) as caught:
        convert_gguf(folder, tmp_path / "m.gguf", "f16")
    assert caught.value.code == "checkout_missing"


def test_a_child_is_ended_when_nobody_wants_it(tmp_path):
    marker = tmp_path / "pid"
    code = ("import os, sys, time\n"
            f"open({str(marker)!r}, 'w').write(str(os.getpid()))\n"
            "print('ready', flush=True)\ntime.sleep(600)")
    ready: list[str] = []
    with pytest.raises(ExportError) as caught:
        run_child([sys.executable, "-c", code], what="It", on_line=ready.append,
                  cancelled=lambda: bool(ready))
    assert caught.value.code == "cancelled"
    with pytest.raises(ProcessLookupError):
        os.kill(int(marker.read_text()), 0)


def test_secrets_stay_out_of_the_child_of_its_error_and_of_the_log(monkeypatch, capfd):
    monkeypatch.setenv("HF_TOKEN", "plainsecretvalue")
    code = "import os, sys; print(os.environ.get('HF_TOKEN')); sys.exit('plainsecretvalue')"
    heard: list[str] = []
    with pytest.raises(ExportError) as caught:
        run_child([sys.executable, "-c", code], what="It", on_line=heard.append)
    assert heard[0] == "None"
    assert "plainsecretvalue" not in caught.value.message
    log = capfd.readouterr().err
    assert "None" in log and "plainsecretvalue" not in log



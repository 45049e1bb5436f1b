import json
import struct

import pytest

from trainer.contract import RunConfig
from trainer.contract.models import (
    ModelError,
    read_folder,
    read_safetensors_header,
    resolve_model,
)
from trainer.contract.rundir import RunDir


def write_safetensors(path, tensors):
    header, offset = {}, 0
    for name, shape in tensors.items():
        size = 2
        for n in shape:
            size *= n
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    raw = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + b"\0" * offset)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "m"
    path.mkdir()
    (path / "config.json").write_text('{"model_type": "qwen3"}')
    (path / "tokenizer.json").write_text("{}")
    write_safetensors(path / "model.safetensors", {"a": [4, 8], "b": [3]})
    return path


def test_facts_come_from_the_header_alone(folder):
    facts = read_folder(folder)
    assert (facts.parameters, facts.weight_bytes) == (35, 70)


def without(name):
    return lambda folder: (folder / name).unlink()


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])


def only_pickle(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def with_code(name, value):
    return lambda folder: (folder / name).write_text(json.dumps(value))


@pytest.mark.parametrize(("change", "code"), [
    (without("config.json"), "model_config"), (without("model.safetensors"), "weights_none"),
    (without("tokenizer.json"), "tokenizer_missing"), (cut, "weights_broken"),
    (only_pickle, "weights_pickled"),
    (with_code("config.json", {"auto_map": {"AutoModel": "evil--repo.Model"}}), "remote_code"),
    (with_code("tokenizer_config.json", {"a": [{"trust_remote_code": True}]}), "remote_code"),
    (with_code("model.safetensors.index.json", {"weight_map": {"a": "x.safetensors"}}),
     "weights_missing"),
    (with_code("model.safetensors.index.json", {"weight_map": {"a": "../m.safetensors"}}),
     "weights_missing"),
])
def test_bad_folders_are_refused(folder, change, code):
    change(folder)
    with pytest.raises(ModelError) as caught:
        read_folder(folder)
    assert caught.value.code == code and caught.value.advice


def test_names(tmp_path, folder):
    runs = tmp_path / "runs"
    assert resolve_model(str(folder), runs).is_folder
    source = resolve_model("Qwen/Qwen3-0.6B", runs, "main")
    assert (source.is_folder, source.revision) == (False, "main")
    for name, code in {"/no/such": "model_missing", "../x": "model_missing",
                       "a b": "model_name"}.items():
        with pytest.raises(ModelError) as caught:
            resolve_model(name, runs)
        assert caught.value.code == code


def test_a_runs_adapter_lies_over_its_base(tmp_path, folder):
    runs = tmp_path / "runs"
    for name, base in (("r1", str(folder)), ("r2", "r1")):
        run = RunDir(runs / name)
        run.create(RunConfig.model_validate({"model": {"name_or_path": base}}), {})
        with pytest.raises(ModelError, match="no finished model"):
            resolve_model(name, runs)
        run.adapter.mkdir()
        (run.adapter / "adapter_config.json").write_text("{}")
    source = resolve_model("r2", runs)
    assert source.base == str(folder)
    assert source.adapters == (runs / "r1" / "adapter", runs / "r2" / "adapter")


@pytest.mark.parametrize("raw", [b"", b"\xff" * 8, struct.pack("<Q", 5) + b"{}", b"\x02" + b"\0" * 7
                                 + b"[]"])
def test_broken_headers(tmp_path, raw):
    path = tmp_path / "x.safetensors"
    path.write_bytes(raw)
    with pytest.raises(ModelError):
        read_safetensors_header(path)

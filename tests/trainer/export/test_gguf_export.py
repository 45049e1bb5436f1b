"""What is in a GGUF file is what the model folder had: read back with gguf's own reader."""

from __future__ import annotations

import json
import shutil
import sys
from types import SimpleNamespace

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.trainer.export.conftest import HEADS, HIDDEN, INNER, KV_HEADS, LAYERS, change, head_of
from trainer.contract.models import ModelError
from trainer.contract.places import starter
from trainer.export.errors import ExportError
from trainer.export.gguf_export import export_gguf, plan_gguf

KINDS = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text")
ROLES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down", "self_attn.q_norm": "attn_q_norm",
         "self_attn.k_norm": "attn_k_norm", "input_layernorm": "attn_norm"}


def expected_name(name: str, kind: str) -> str:
    """Return what llama.cpp calls a tensor of Transformers, written out by hand."""
    outside = {"model.embed_tokens.weight": "token_embd.weight", "lm_head.weight": "output.weight",
               "model.norm.weight": "output_norm.weight"}
    if name in outside:
        return outside[name]
    _, _, layer, rest = name.split(".", 3)
    role, part = rest.rsplit(".", 1)
    after = {"post_attention_layernorm": "post_attention_norm",
             "pre_feedforward_layernorm": "ffn_norm",
             "post_feedforward_layernorm": "post_ffw_norm"}
    if kind not in {"gemma2", "gemma3_text"}:
        after = {"post_attention_layernorm": "ffn_norm"}
    return f"blk.{layer}.{(ROLES | after)[role]}.{part}"


def paired(values: np.ndarray, heads: int) -> np.ndarray:
    """Put rows in llama.cpp's order, head by head and pair by pair."""
    size = values.shape[0] // heads
    rows = [values[head * size + half * size // 2 + place]
            for head in range(heads) for place in range(size // 2) for half in (0, 1)]
    return np.array(rows)


def expected_values(name: str, values: np.ndarray, kind: str) -> np.ndarray:
    values = values.astype(np.float32)
    if kind in {"llama", "mistral"} and ("q_proj" in name or "k_proj" in name):
        return paired(values, HEADS if "q_proj" in name else KV_HEADS)
    return values + 1 if kind.startswith("gemma") and "norm" in name else values


def read(path) -> tuple[dict[str, object], dict[str, object]]:
    reader = gguf.GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    return fields, {tensor.name: tensor for tensor in reader.tensors}


def step(tensor, values: np.ndarray) -> np.ndarray:
    """Return how far a value may be from the source, from the definition of each format."""
    kind = tensor.tensor_type.name
    if kind == "F32":
        return np.zeros_like(values)
    if kind in {"F16", "BF16"}:
        return np.abs(values) * 2.0 ** (-11 if kind == "F16" else -8) + 2.0 ** -24
    largest = np.abs(values.reshape(-1, 32)).max(axis=1, keepdims=True)
    # Q8_0: half a step of largest / 127, whose scale is rounded to f16. Q4_0: 16 steps over twice
    # the largest; the far end, which has no step of its own, may be a whole one away.
    width = largest * (0.5 / 127 + 2.0 ** -11) if kind == "Q8_0" else largest * (1 / 8 + 2.0 ** -10)
    return np.broadcast_to(width, (len(width), 32)).reshape(values.shape)


@pytest.mark.parametrize("form", ["f32", "f16", "bf16", "q8_0", "q4_0"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_tensor_is_the_source_within_its_format(models, tmp_path, kind, form):
    folder = models.make(kind)
    report = export_gguf(folder, tmp_path / "m.gguf", form)
    source = load_file(folder / "model.safetensors")
    fields, tensors = read(report.path)
    assert set(tensors) == {expected_name(name, kind) for name in source}
    for name, values in source.items():
        tensor, wanted = tensors[expected_name(name, kind)], expected_values(name, values, kind)
        assert tuple(reversed(tensor.shape.tolist())) == wanted.shape
        assert tensor.tensor_type.name == "F32" or wanted.ndim == 2
        got = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(wanted.shape)
        assert (np.abs(got - wanted) <= step(tensor, wanted)).all(), name
        assert tensor.data_offset % 32 == 0
    assert fields["general.architecture"] == {"mistral": "llama", "gemma3_text": "gemma3"}.get(
        kind, kind)
    assert report.bytes == report.path.stat().st_size <= plan_gguf(folder, form).bytes
    assert sum(report.formats.values()) == len(tensors)
    assert report.adds_bos == fields["tokenizer.ggml.add_bos_token"] == (
        kind not in {"qwen2", "qwen3"})
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["m.gguf"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_settings_are_those_of_the_config(models, tmp_path, kind):
    folder = models.make(kind)
    fields, tensors = read(export_gguf(folder, tmp_path / "m.gguf", "f16", name="A model").path)
    name = str(fields["general.architecture"])
    got = {key[len(name) + 1:]: value for key, value in fields.items()
           if key.startswith(f"{name}.")}
    wanted = {"context_length": 512, "embedding_length": HIDDEN, "block_count": LAYERS,
              "feed_forward_length": INNER, "attention.head_count": HEADS,
              "attention.head_count_kv": KV_HEADS, "attention.key_length": head_of(kind),
              "attention.value_length": head_of(kind), "rope.dimension_count": head_of(kind),
              "rope.freq_base": 50000.0, "vocab_size": tensors["token_embd.weight"].shape[1],
              "attention.layer_norm_rms_epsilon": pytest.approx(1e-5)}
    if kind in {"gemma2", "gemma3_text"}:
        wanted["attention.sliding_window"] = 128
    if kind == "gemma2":
        wanted |= {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}
    if kind == "gemma3_text":
        wanted |= {"rope.freq_base": 1e6, "rope.scaling.type": "linear",
                   "rope.scaling.factor": 8.0}
    assert got == wanted
    assert fields["general.name"] == "A model" and fields["general.file_type"] == 1


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bits_are_taken_over_bit_by_bit(models, tmp_path, dtype):
    if dtype == "float16":
        folder, form = models.make("qwen2", dtype="float16"), "f16"
        bits = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
    else:
        folder, form = starter(), "bf16"
        source = (folder / "model.safetensors").read_bytes()
        head = int.from_bytes(source[:8], "little")
        begin, end = json.loads(source[8:8 + head])["model.embed_tokens.weight"]["data_offsets"]
        bits = np.frombuffer(source[8 + head + begin:8 + head + end], np.uint8)
    _, tensors = read(export_gguf(folder, tmp_path / "m.gguf", form).path)
    assert tensors["token_embd.weight"].data.tobytes() == bits.tobytes()


def test_long_rows_are_written_in_slices(models, tmp_path, monkeypatch):
    folder = models.make("llama")
    whole = export_gguf(folder, tmp_path / "a.gguf", "q8_0", name="n").path.read_bytes()
    monkeypatch.setattr("trainer.export.gguf_export._SLICE", 200)
    seen = []
    cut = export_gguf(folder, tmp_path / "b.gguf", "q8_0", name="n",
                      progress=lambda done, total, name: seen.append((done, total)))
    assert cut.path.read_bytes() == whole
    assert len(seen) > 200 and seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] == sum(t.bytes for t in plan_gguf(folder, "q8_0").tensors)


def test_rows_that_are_no_multiple_of_a_block_stay_in_f16(models, tmp_path):
    folder = models.make("qwen3", config={"intermediate_size": 80})
    weights = dict(load_file(folder / "model.safetensors"))
    for name, values in weights.items():
        if "mlp" in name:
            weights[name] = np.ascontiguousarray(
                values[:, :80] if "down" in name else values[:80])
    save_file(weights, folder / "model.safetensors")
    report = export_gguf(folder, tmp_path / "m.gguf", "q4_0")
    _, tensors = read(report.path)
    kinds = {name: tensor.tensor_type.name for name, tensor in tensors.items()}
    assert kinds["blk.0.ffn_down.weight"] == "F16" and kinds["blk.0.ffn_up.weight"] == "Q4_0"
    assert kinds["token_embd.weight"] == kinds["output.weight"] == "Q8_0"
    assert any("2 tensors stay in f16" in note for note in report.notes)


def test_a_cancelled_export_leaves_nothing(models, tmp_path):
    folder, calls = models.make("llama"), []
    old = tmp_path / "m.gguf"
    old.write_text("the one before")

    def cancel() -> bool:
        calls.append((tmp_path / "m.gguf.partial").exists())
        return len(calls) > 5

    with pytest.raises(ExportError) as caught:
        export_gguf(folder, old, cancel=cancel)
    assert caught.value.code == "cancelled" and all(calls) and len(calls) == 6
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["m.gguf"]
    assert old.read_text() == "the one before"


def test_a_full_disk_is_known_before_anything_is_written(models, tmp_path, monkeypatch):
    folder = models.make("llama")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(ExportError, match="needs") as caught:
        export_gguf(folder, tmp_path / "m.gguf")
    assert caught.value.code == "disk_full"
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


def test_several_weight_files_are_one_model(models, tmp_path):
    folder = models.make("qwen3")
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    files = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, mine in files.items():
        save_file({name: weights[name] for name in mine}, folder / file)
    (folder / "model.safetensors").unlink()
    index = {name: file for file, mine in files.items() for name in mine}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    _, tensors = read(export_gguf(folder, tmp_path / "m.gguf", "f32").path)
    assert len(tensors) == len(names)


def test_weights_that_no_format_holds_are_refused(models, tmp_path):
    folder = models.make("llama")
    weights = dict(load_file(folder / "model.safetensors"))
    weights["lm_head.weight"] = weights["lm_head.weight"].copy()
    for value, form, word in ((1e6, "f16", "65,504"), (np.nan, "q8_0", "no numbers")):
        weights["lm_head.weight"][0, 0] = value
        save_file(weights, folder / "model.safetensors")
        with pytest.raises(ExportError, match=word):
            export_gguf(folder, tmp_path / "m.gguf", form)
        assert not [path for path in tmp_path.iterdir() if path.is_file()]
    weights["lm_head.weight"][0, 0] = 1e6
    save_file(weights, folder / "model.safetensors")
    assert export_gguf(folder, tmp_path / "m.gguf", "bf16").formats == {"bf16": 16, "f32": 5}


def test_a_folder_that_brings_code_is_refused(models, tmp_path):
    folder = models.make("llama")
    change(folder / "config.json", auto_map={"AutoModel": "x.Y"})
    with pytest.raises(ModelError, match="own code"):
        export_gguf(folder, tmp_path / "m.gguf")


def test_without_the_package_its_name_is_told(models, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ExportError) as caught:
        plan_gguf(models.make("llama"))
    assert caught.value.code == "gguf_missing"
    assert "pip install 'finestra[export]'" in caught.value.advice


def test_an_unknown_format_is_refused(models):
    with pytest.raises(ExportError, match="q3_k"):
        plan_gguf(models.make("llama"), "q3_k")

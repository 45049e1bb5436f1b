"""config.json as keys; what llama.cpp has fixed and a model has otherwise is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.trainer.export.conftest import HEAD, base_config, change
from trainer.export.errors import ExportError
from trainer.export.gguf_export import plan_gguf
from trainer.export.gguf_families import FAMILIES, find_family
from trainer.export.gguf_settings import llama3_factors, read_settings, text_config
from trainer.export.gguf_tensors import rotary_order

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 8192}


def settings(kind: str, **more):
    config = text_config(base_config(kind, 300) | more)
    return read_settings(config, find_family(config))


def test_positions_of_older_configs_are_read_as_well():
    old = settings("llama", rope_parameters=None, rope_theta=12345.0,
                   rope_scaling={"type": "linear", "factor": 2.0})
    assert old.keys["rope.freq_base"] == 12345.0
    assert old.keys["rope.scaling.type"] == "linear" and old.keys["rope.scaling.factor"] == 2.0


def test_yarn_needs_its_first_length():
    rope = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e6}
    keys = settings("qwen2", rope_parameters=rope).keys
    assert keys["rope.scaling.original_context_length"] == 512
    more = rope | {"original_max_position_embeddings": 256}
    assert settings("qwen2", rope_parameters=more).keys[
        "rope.scaling.original_context_length"] == 256


def test_the_frequencies_of_llama_3_are_those_of_its_rule():
    factors = llama3_factors(LLAMA3, 500000.0, 128)
    assert factors.shape == (64,) and factors.dtype == np.float32
    for place, factor in enumerate(factors):
        wave = 2 * math.pi * 500000.0 ** (2 * place / 128)
        if wave < 8192 / 4:
            assert factor == 1
        elif wave > 8192 / 1:
            assert factor == 8
        else:
            smooth = (8192 / wave - 1) / (4 - 1)
            assert factor == pytest.approx(1 / ((1 - smooth) / 8 + smooth), rel=1e-6)
    assert len(set(factors.tolist())) > 5


def test_the_frequencies_are_a_tensor_of_the_file(models):
    folder = models.make("llama", config={"rope_parameters": LLAMA3 | {"rope_theta": 5e5}})
    last = plan_gguf(folder).tensors[-1]
    assert (last.name, last.kind, last.shape) == ("rope_freqs.weight", "f32", (HEAD // 2,))


def test_rows_of_a_head_stand_in_pairs():
    assert rotary_order(8, 1).tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert rotary_order(8, 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_a_mistral_with_a_window_has_a_context_of_that_size():
    found = settings("mistral", sliding_window=128)
    assert found.keys["context_length"] == 128 and "window" in found.notes[0]
    assert settings("mistral", sliding_window=None).keys["context_length"] == 512


def test_the_text_part_of_a_model_that_sees_is_taken():
    inner = base_config("gemma3_text", 300)
    for name in ("num_attention_heads", "num_key_value_heads", "head_dim", "rope_parameters",
                 "query_pre_attn_scalar", "tie_word_embeddings"):
        del inner[name]
    config = text_config({"model_type": "gemma3", "text_config": inner,
                          "architectures": ["Gemma3ForConditionalGeneration"]})
    found = read_settings(config, find_family(config))
    assert (found.heads, found.kv_heads, found.head_dim, found.is_tied) == (8, 4, 256, True)
    assert found.keys["rope.freq_base"] == 1e6


@pytest.mark.parametrize(("kind", "more", "word"), [
    ("llama", {"hidden_act": "gelu"}, "activation"),
    ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, "dynamic"),
    ("llama", {"partial_rotary_factor": 0.5}, "part of each head"),
    ("qwen2", {"use_sliding_window": True}, "window"),
    ("qwen2", {"head_dim": 32}, "4 heads of 32"),
    ("qwen3", {"layer_types": ["full_attention", "sliding_attention"]}, "window"),
    ("qwen2", {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e6,
                                   "attention_factor": 0.7}}, "YaRN"),
    ("gemma2", {"query_pre_attn_scalar": 144}, "scales scores by 144"),
    ("gemma2", {"layer_types": ["full_attention", "sliding_attention"]}, "2th of its layers"),
    ("gemma3_text", {"sliding_window_pattern": 4}, "6th of its layers"),
    ("gemma3_text", {"rope_parameters": None, "rope_local_base_freq": 5000.0}, "inside its"),
    ("gemma3_text", {"attn_logit_softcapping": 50.0}, "bounds"),
])
def test_what_llama_cpp_would_compute_otherwise_is_refused(kind, more, word):
    with pytest.raises(ExportError, match=word) as caught:
        settings(kind, **more)
    assert caught.value.code == "config_unsupported"


def test_a_missing_size_is_named():
    with pytest.raises(ExportError, match="intermediate_size"):
        settings("llama", intermediate_size=None)


@pytest.mark.parametrize(("config", "code"), [
    ({"model_type": "qwen3_moe"}, "family_unknown"), ({}, "family_unknown"),
    ({"model_type": "llama", "architectures": ["LlamaForSequenceClassification"]}, "family_head"),
    ({"model_type": "llama", "quantization_config": {"quant_method": "gptq"}},
     "weights_quantized")])
def test_other_models_are_refused(config, code):
    with pytest.raises(ExportError) as caught:
        find_family(config)
    assert caught.value.code == code


def rewrite(folder, change_weights) -> None:
    weights = dict(load_file(folder / "model.safetensors"))
    change_weights(weights)
    save_file({name: np.ascontiguousarray(values) for name, values in weights.items()},
              folder / "model.safetensors")


def refused(folder) -> str:
    with pytest.raises(ExportError) as caught:
        plan_gguf(folder)
    return caught.value.code


def test_a_lack_a_surplus_and_a_wrong_shape_are_refused(models):
    folder = models.make("qwen3", name="lack")
    rewrite(folder, lambda weights: weights.pop("model.layers.1.mlp.up_proj.weight"))
    assert refused(folder) == "tensor_missing"
    for name in ("score.weight", "model.layers.0.self_attn.q_proj.lora_A.weight",
                 "model.layers.0.self_attn.q_proj.bias", "model.layers.2.mlp.up_proj.weight"):
        folder = models.make("qwen3", name=name)
        rewrite(folder, lambda weights, name=name: weights.update({name: np.zeros(4, "f4")}))
        assert refused(folder) == "tensor_unknown", name
    folder = models.make("qwen3", name="shape")
    rewrite(folder, lambda weights: weights.update(
        {"model.norm.weight": np.zeros(63, "f4")}))
    assert refused(folder) == "tensor_shape"


def test_weights_that_are_no_plain_numbers_are_refused(models):
    folder = models.make("llama")
    rewrite(folder, lambda weights: weights.update(
        {"model.norm.weight": np.zeros(64, "i1")}))
    assert refused(folder) == "weights_dtype"


def test_tied_models_have_no_output_and_untied_ones_need_it(models):
    folder = models.make("qwen3")
    change(folder / "config.json", tie_word_embeddings=True)
    assert "output.weight" not in [tensor.name for tensor in plan_gguf(folder).tensors]
    change(folder / "config.json", tie_word_embeddings=False)
    rewrite(folder, lambda weights: weights.pop("lm_head.weight"))
    assert refused(folder) == "tensor_missing"


def test_buffers_and_the_part_that_sees_are_left_out(models):
    folder = models.make("gemma3_text")

    def nest(weights: dict[str, np.ndarray]) -> None:
        for name in list(weights):
            weights[name.replace("model.", "model.language_model.", 1)] = weights.pop(name)
        weights["model.vision_tower.patch.weight"] = np.zeros((2, 2), "f4")
        weights["model.language_model.layers.0.self_attn.rotary_emb.inv_freq"] = np.zeros(4, "f4")

    plain = [tensor.name for tensor in plan_gguf(folder).tensors]
    rewrite(folder, nest)
    planned = plan_gguf(folder)
    assert [tensor.name for tensor in planned.tensors] == plain
    assert any("sees images" in note for note in planned.notes)


def test_the_tables_of_the_package_know_every_tensor_of_a_family():
    import gguf

    for family in set(FAMILIES.values()):
        known = gguf.MODEL_TENSORS[gguf.MODEL_ARCH[family.architecture.upper()]]
        names = {gguf.TENSOR_NAMES[tensor] for tensor in known}
        assert {f"blk.{{bid}}.{name}" for name in family.block} <= names, family.architecture

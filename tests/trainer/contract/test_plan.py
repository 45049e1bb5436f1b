import math

import pytest

from trainer.contract import RunConfig
from trainer.contract.choose import choose_dtype, dtype_problem
from trainer.contract.models import ModelFacts, read_folder
from trainer.contract.places import starter
from trainer.contract.plan import (
    Setting,
    adapter_parameters,
    count_steps,
    estimate,
    weight_bytes,
)
from trainer.contract.targets import linear_shapes

FACTS = ModelFacts(
    {"hidden_size": 8, "num_hidden_layers": 1},
    {"model.embed_tokens.weight": ((100, 8), "BF16"), "lm_head.weight": ((100, 8), "BF16"),
     "model.layers.0.self_attn.q_proj.weight": ((16, 8), "BF16"),
     "model.layers.0.self_attn.q_proj.bias": ((16,), "BF16"),
     "model.layers.0.mlp.down_proj.weight": ((8, 24), "BF16"),
     "model.norm.weight": ((8,), "BF16")})
CPU = Setting("cpu", "float32", 2**40, rows=100)


def config(**values):
    return RunConfig.model_validate(values)


def test_linear_layers_are_those_that_lora_stands_beside():
    assert linear_shapes(FACTS) == {"model.layers.0.self_attn.q_proj": (16, 8),
                                    "model.layers.0.mlp.down_proj": (8, 24)}


@pytest.mark.parametrize(("tuner", "count"), [
    ({"r": 2}, 2 * (16 + 8) + 2 * (8 + 24)),
    ({"r": 2, "use_dora": True}, 2 * (16 + 8) + 2 * (8 + 24) + 16 + 8),
    ({"r": 4, "target_modules": ["q_proj"]}, 4 * 24),
    ({"r": 4, "target_modules": "q_proj, down_proj"}, 4 * 24 + 4 * 32),
    ({"r": 4, "target_modules": ["proj"]}, 0),
])
def test_adapter_parameters_are_exact(tuner, count):
    assert adapter_parameters(config(tuner=tuner), FACTS) == count


def test_the_starters_adapter_is_what_peft_makes():
    # 6 layers: q 256x256, k and v 128x256, o 256x256, gate and up 768x256, down 256x768, rank 8.
    layer = (512 + 384 + 384 + 512) + 3 * 1024
    assert adapter_parameters(config(), read_folder(starter())) == 6 * 8 * layer


def test_weights_by_method():
    assert weight_bytes(config(tuner={"type": "full"}), FACTS, "bfloat16")[0] == 4 * 1944
    assert weight_bytes(config(), FACTS, "bfloat16")[0] == 2 * 1944
    nf4, reason = weight_bytes(config(model={"quantization": "nf4"}), FACTS, "bfloat16")
    linear = 16 * 8 + 8 * 24
    assert nf4 == round(linear * (0.5 + 1 / 64 + 4 / 16384)) + 2 * (1944 - linear)
    assert "4 bits" in reason


@pytest.mark.parametrize(("quantization", "double", "each"), [
    ("nf4", False, 0.5 + 4 / 64), ("fp4", True, 0.5 + 1 / 64 + 4 / 16384)])
def test_four_bits_with_and_without_double_quantization(quantization, double, each):
    found, reason = weight_bytes(config(model={
        "quantization": quantization, "double_quantization": double}), FACTS, "float32")
    linear = 16 * 8 + 8 * 24
    assert found == round(linear * each) + 4 * (1944 - linear)
    assert ("double" in reason) == double


def test_eight_bits_keep_a_scale_a_row():
    found, reason = weight_bytes(config(model={"quantization": "int8"}), FACTS, "bfloat16")
    linear = 16 * 8 + 8 * 24
    assert found == linear + 4 * (16 + 8) + 2 * (1944 - linear) and "8 bits" in reason


@pytest.mark.parametrize(("training", "data", "rows", "steps"), [
    ({"max_steps": 7}, {}, None, 7),
    ({}, {}, None, None),
    ({"num_train_epochs": 3}, {}, 500, 189),
    ({"num_train_epochs": 1, "gradient_accumulation_steps": 4}, {}, 100, math.ceil(13 / 4)),
    ({"num_train_epochs": 0.5}, {}, 80, 5),
    ({"num_train_epochs": 1}, {"val_size": 0.1}, 100, 12),
    ({"num_train_epochs": 1}, {"val_size": 20}, 100, 10),
])
def test_steps(training, data, rows, steps):
    found, reason = count_steps(config(training=training, data=data), rows)
    assert found == steps and reason


def test_steps_of_a_mixture_count_what_an_epoch_reads():
    found, reason = count_steps(config(training={"num_train_epochs": 1}, data={"val_size": 0.5}),
                                100, 240)
    assert found == 30 and "240 rows" in reason


def test_an_estimate_is_the_sum_of_its_parts_each_with_a_reason():
    for values in ({}, {"tuner": {"type": "full"}}, {"model": {"quantization": "nf4"}},
                   {"objective": "dpo", "tuner": {"type": "full"}},
                   {"objective": "kto", "tuner": {"type": "full"}},
                   {"training": {"gradient_checkpointing": True}}):
        found = estimate(config(**values), FACTS, CPU)
        assert found.total_bytes == sum(part.bytes for part in found.parts)
        assert all(part.reason and part.label for part in found.parts) and found.fits
        assert found.document()["parts"][0]["key"] == "weights"
    full = estimate(config(tuner={"type": "full"}), FACTS, CPU)
    assert (full.trainable_parameters, full.adapter_parameters) == (FACTS.parameters, 0)
    assert full.checkpoint_bytes == 3 * 12 * FACTS.parameters
    assert not estimate(config(), FACTS, Setting("cpu", "float32", 1000)).fits


def test_what_compares_with_a_reference_holds_one_unless_the_adapter_can_be_taken_off():
    def keys(**values):
        return [part.key for part in estimate(config(**values), FACTS, CPU).parts]

    for objective in ("sft", "pretrain", "dpo", "kto"):
        full = keys(objective=objective, tuner={"type": "full"})
        assert ("reference" in full) == (objective in ("dpo", "kto"))
        assert "reference" not in keys(objective=objective)


def test_gradient_checkpointing_and_batch_move_the_activations():
    def activations(**training):
        found = estimate(config(training=training), read_folder(starter()), CPU)
        return next(part.bytes for part in found.parts if part.key == "activations")

    assert activations(gradient_checkpointing=True) < activations()
    assert activations(per_device_train_batch_size=16) == 2 * activations()


@pytest.mark.parametrize(("requested", "kind", "capability", "value"), [
    ("auto", "cpu", None, "float32"), ("auto", "cuda", (9, 0), "bfloat16"),
    ("auto", "cuda", (7, 5), "float16"), ("float32", "cuda", (9, 0), "float32")])
def test_the_number_format_has_a_reason(requested, kind, capability, value):
    found, reason = choose_dtype(requested, kind, capability)
    assert found == value and reason


def test_number_formats_that_cannot_be():
    assert dtype_problem("float16", "cpu", None) and dtype_problem("bfloat16", "cuda", (7, 0))
    assert not dtype_problem("bfloat16", "cpu", None) and not dtype_problem("auto", "cpu", None)

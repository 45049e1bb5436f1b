"""What of a tuner section a model cannot have, told from the headers of its files."""

from pathlib import Path

import pytest

from trainer.contract import RunConfig
from trainer.contract.config.checks import check
from trainer.contract.families import notes, quantized_problems
from trainer.contract.files import write_json
from trainer.contract.fits import adapter_problems, unfit
from trainer.contract.models import ModelFacts, read_folder
from trainer.contract.places import starter

MIXTURE = ModelFacts({"hidden_size": 8, "num_hidden_layers": 1, "vocab_size": 10}, {
    "model.layers.0.self_attn.q_proj.weight": ((8, 8), "BF16"),
    "model.layers.0.mlp.gate.weight": ((4, 8), "BF16"),
    "model.layers.0.mlp.experts.0.gate_proj.weight": ((16, 8), "BF16")})


def config(**values):
    return RunConfig.model_validate(values)


@pytest.mark.parametrize(("tuner", "code"), [
    ({"target_modules": ["q_proj", "qproj"]}, "no_target"),
    ({"rank_pattern": {"nothing": 4}}, "pattern_matches_nothing"),
    ({"layers_to_transform": [6]}, "layer_beyond"),
    ({"target_parameters": ["mlp.experts.down_proj"]}, "no_parameter"),
    ({"trainable_token_indices": [4096]}, "token_beyond"),
    ({"trainable_token_indices": [5], "target_modules": ["lm_head"], "use_dora": True},
     "tokens_under_dora"),
    ({"trainable_token_indices": [5], "target_modules": ["lm_head"], "init_lora_weights": "eva"},
     "tokens_under_dora"),
    ({"modules_to_save": ["nowhere"]}, "module_missing"),
    ({"modules_to_save": ["layers"]}, "module_holds_targets"),
    ({"type": "vera", "modules_to_save": ["embed_tokens"]}, "module_tied"),
    ({"type": "oft", "oft": {"oft_block_size": 48}}, "block_divides"),
    ({"type": "c3a", "c3a": {"block_size": 100}}, "block_divides"),
    ({"type": "fourierft", "fourierft": {"n_frequency": 100_000}}, "more_than_weights"),
    ({"type": "shira", "r": 200}, "more_than_weights"),
    ({"init_lora_weights": "pissa", "r": 200}, "rank_beyond"),
    ({"type": "freeze", "freeze": {"layers": 7}}, "layer_beyond"),
    ({"type": "freeze", "freeze": {"modules": ["norm"]}}, "freeze_no_module"),
    ({"type": "freeze", "freeze": {"extra_modules": ["lm_head"]}}, "freeze_no_module")])
def test_what_the_starter_cannot_have_is_refused(tuner, code):
    facts = read_folder(starter())
    assert {p.code for p in unfit(config(tuner=tuner), facts)} == {code}
    assert not unfit(config(), facts)


@pytest.mark.parametrize("objective", ["dpo", "grpo", "distillation"])
def test_tokens_of_a_tied_head_are_not_trained_past_it(objective):
    facts, tokens = read_folder(starter()), {"trainable_token_indices": [5]}
    assert not unfit(config(tuner=tokens), facts)
    assert [p.code for p in unfit(config(objective=objective, tuner=tokens), facts)] \
        == ["tokens_fused_head"]


@pytest.mark.parametrize("objective", ["classification", "reward"])
def test_a_model_of_scores_has_no_head_of_words(objective):
    facts, head = read_folder(starter()), {"target_modules": ["lm_head"]}
    assert not unfit(config(tuner=head), facts)
    assert [p.code for p in unfit(config(objective=objective, tuner=head), facts)] == ["no_target"]


def test_projections_are_of_layers_that_exist():
    facts = read_folder(starter())
    for names, codes in ((["w_q"], ["projection_target"]), (["mlp"], []), ([r".*\.q_proj"], [])):
        training = {"optim": "galore_adamw", "projection": {"target_modules": names}}
        found = unfit(config(training=training, tuner={"type": "full"}), facts)
        assert [p.code for p in found] == codes


def test_what_a_freeze_names_exists():
    freeze = {"layers": 2, "modules": ["mlp", "input_layernorm"], "extra_modules": ["norm"]}
    facts = read_folder(starter())
    assert not unfit(config(tuner={"type": "freeze", "freeze": freeze}), facts)
    head = {"type": "freeze", "freeze": {"extra_modules": ["score"]}}
    assert not unfit(config(tuner=head, objective="reward"), facts)
    assert unfit(config(tuner=head), facts)


def test_quantized_linear_layers_are_not_kept_whole():
    values = config(tuner={"modules_to_save": ["q_proj"], "target_modules": "v_proj"},
                    model={"quantization": "nf4"})
    assert [p.code for p in unfit(values, read_folder(starter()))] == ["module_quantized"]


def test_a_mixture_says_what_of_it_is_adapted():
    assert [n.field for n in notes(config(), MIXTURE)] == ["tuner.target_parameters"]
    named = config(tuner={"target_parameters": ["mlp.experts.gate_up_proj"]})
    assert not notes(named, MIXTURE) and not unfit(named, MIXTURE)


def test_bounded_attention_scores_want_eager_attention():
    facts = ModelFacts({"attn_logit_softcapping": 50.0}, {})
    assert [n.value for n in notes(config(), facts)] == ["eager"]


@pytest.mark.parametrize("method", ["gptq", "awq", "aqlm", "hqq", "compressed-tensors"])
def test_stored_quantization_is_seen_and_its_package_asked_for(method):
    facts = ModelFacts({"quantization_config": {"quant_method": method}}, {})
    missing = quantized_problems(config(), facts, lambda package: False)
    assert [(p.code, p.scope) for p in missing] == [("quantized_package", "machine")]
    assert "pip install" in missing[0].advice
    assert not quantized_problems(config(), facts, lambda package: True)
    wrong = quantized_problems(config(model={"quantization": "nf4"}, tuner={"type": "full"}),
                               facts, lambda package: True)
    assert [p.code for p in wrong] == ["quantized_twice", "full_on_stored_quantized"]


def test_an_unknown_stored_quantization_is_refused():
    facts = ModelFacts({"quantization_config": {"quant_method": "magic"}}, {})
    assert [p.code for p in quantized_problems(config(), facts)] == ["quantized_unknown"]


def test_adapters_that_cannot_be_merged_or_continued(tmp_path: Path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    write_json(folder / "adapter_config.json", {"peft_type": "PROMPT_TUNING"})
    (folder / "adapter_model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    merged = adapter_problems(config(model={"adapters": [str(folder)]}), tmp_path)
    assert [(p.field, p.code) for p in merged] == [("model.adapters", "adapter_unmergeable")]
    other = adapter_problems(config(tuner={"continue_from": str(folder)}), tmp_path)
    assert [(p.field, p.code) for p in other] == [("tuner.continue_from", "continue_kind")]
    same = config(tuner={"type": "prompt_tuning", "continue_from": str(folder)})
    assert not adapter_problems(same, tmp_path)
    gone = adapter_problems(config(tuner={"continue_from": str(tmp_path / "x")}), tmp_path)
    assert [p.code for p in gone] == ["adapter_missing"]


@pytest.mark.parametrize(("values", "code"), [
    ({"tuner": {"type": "freeze"}, "model": {"quantization": "nf4"}}, "full_on_quantized"),
    ({"tuner": {"type": "loha"}, "model": {"quantization": "nf4"}}, "tuner_on_quantized"),
    ({"tuner": {"use_dora": True}, "model": {"quantization": "int8"}}, "dora_int8"),
    ({"tuner": {"init_lora_weights": "pissa"}, "model": {"quantization": "nf4"}},
     "init_on_quantized"),
    ({"tuner": {"init_lora_weights": "loftq"}}, "loftq_needs_4bit"),
    ({"tuner": {"init_lora_weights": "orthogonal", "r": 3}}, "orthogonal_odd_rank"),
    ({"tuner": {"type": "hra", "r": 3}}, "hra_odd_rank"),
    ({"tuner": {"type": "adalora", "adalora": {"init_r": 2}}}, "adalora_ranks"),
    ({"tuner": {"type": "adalora", "adalora": {"tinit": 3}}, "training": {"max_steps": 3}},
     "adalora_steps"),
    ({"tuner": {"rank_pattern": {"(": 3}}}, "pattern_invalid"),
    ({"tuner": {"lora_fa": True, "loraplus_lr_ratio": 4}}, "lora_plus_fa"),
    ({"tuner": {"target_modules": ["q_proj"], "modules_to_save": ["q_proj"]}}, "module_twice"),
    ({"tuner": {"type": "delora", "modules_to_save": ["norm"]}}, "module_like_adapter"),
    ({"tuner": {"type": "p_tuning"}, "objective": "dpo"}, "prompt_objective"),
    ({"tuner": {"type": "prefix_tuning"}, "training": {"gradient_checkpointing": True}},
     "prefix_checkpointing"),
    ({"tuner": {"bias": "all"}, "objective": "dpo"}, "bias_reference"),
    ({"tuner": {"continue_from": "x", "init_lora_weights": "eva"}}, "continue_begins")])
def test_what_tuners_cannot_be_combined_with(values, code):
    assert code in {p.code for p in check(config(**values))}
    assert code not in {p.code for p in check(config())}

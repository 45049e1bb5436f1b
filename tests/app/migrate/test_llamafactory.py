"""Files of LLaMA-Factory: every key spoken of once, every result a config, the meaning kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from app.migrate import Imported, import_llamafactory
from app.migrate.absent import ABSENT, ALWAYS, OLD, UNKNOWN
from app.migrate.known import DEFAULTS
from trainer.contract import ConfigError
from trainer.contract.config import RunConfig, parse

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
NOT_TRAINING = {"predict", "export", "chat", "benchmark", "board-form"}
BASE = {"model_name_or_path": "Qwen/Qwen3-0.6B", "dataset": "sample_instructions",
        "do_train": True}


def run_of(**keys: Any) -> tuple[RunConfig, dict[str, Any], Imported]:
    """Import keys; return the config, the rows by key, and all of it."""
    found = import_llamafactory(yaml.safe_dump({**BASE, **keys}, sort_keys=False))
    assert [row.key for row in found.report] == [*BASE, *(k for k in keys if k not in BASE)]
    return parse(found.values), {row.key: row for row in found.report}, found


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 40


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_case_parses_and_speaks_of_every_key(case: Path) -> None:
    text = case.read_text(encoding="utf-8")
    found = import_llamafactory(text)
    parse(found.values)
    assert [row.key for row in found.report] == list(yaml.safe_load(text))
    assert all(row.reason for row in found.report)
    assert bool(found.problems) == (case.stem in NOT_TRAINING)
    assert "not-to-be-seen" not in json.dumps(found.document())
    assert set(found.document()["report"][0]) >= {"key", "action", "reason"}


@pytest.mark.parametrize(("keys", "path", "value"), [
    ({"stage": "pt"}, "objective", "pretrain"),
    ({"stage": "rm"}, "objective", "reward"),
    ({"stage": "kto", "kto_chosen_weight": 2}, "kto.desirable_weight", 2.0),
    ({"stage": "dpo"}, "objective", "dpo"),
    ({"stage": "dpo", "pref_loss": "hinge"}, "dpo.loss_type", "hinge"),
    ({"stage": "dpo", "pref_loss": "ipo", "pref_beta": 0.3}, "dpo.beta", 0.3),
    ({"stage": "dpo", "pref_loss": "kto_pair"}, "dpo.loss_type", "apo_zero"),
    ({"stage": "dpo", "pref_ftx": 0.5}, "dpo.mixture", {"sigmoid": 1.0, "sft": 0.5}),
    ({"stage": "dpo", "pref_loss": "orpo"}, "objective", "orpo"),
    ({"stage": "dpo", "pref_loss": "simpo"}, "simpo.beta", 0.1),
    ({"stage": "ppo", "reward_model": "r"}, "objective", "grpo"),
    ({"stage": "ppo", "reward_model": "r", "per_device_train_batch_size": 2,
      "gradient_accumulation_steps": 3}, "rollout.num_generations", 6),
    ({"stage": "ppo", "reward_model": "r", "per_device_train_batch_size": 1},
     "training.gradient_accumulation_steps", 8),
    ({"stage": "kto", "per_device_train_batch_size": 1, "gradient_accumulation_steps": 5},
     "training.gradient_accumulation_steps", 3),
    ({"finetuning_type": "full", "use_galore": True, "galore_layerwise": True,
      "gradient_accumulation_steps": 4}, "training.per_device_train_batch_size", 32),
    ({"lora_rank": 32}, "tuner.lora_alpha", 64),
    ({"lora_rank": 32, "lora_alpha": 8}, "tuner.lora_alpha", 8),
    ({"lora_target": "q_proj, v_proj"}, "tuner.target_modules", ["q_proj", "v_proj"]),
    ({"lora_target": "all"}, "tuner.target_modules", "all-linear"),
    ({"additional_target": "embed_tokens"}, "tuner.modules_to_save", ["embed_tokens"]),
    ({"pissa_init": True, "pissa_iter": -1}, "tuner.init_lora_weights", "pissa"),
    ({"finetuning_type": "freeze", "freeze_trainable_layers": -3}, "tuner.freeze.layers", -3),
    ({"finetuning_type": "oft", "oft_block_size": 16}, "tuner.oft.oft_block_size", 16),
    ({"adapter_name_or_path": "a,b"}, "tuner.continue_from", "b"),
    ({"adapter_name_or_path": "a,b"}, "model.adapters", ["a"]),
    ({"adapter_name_or_path": "a", "create_new_adapter": True}, "model.adapters", ["a"]),
    ({"quantization_bit": 4}, "model.quantization", "nf4"),
    ({"quantization_bit": 8}, "model.quantization", "int8"),
    ({"bf16": True}, "model.dtype", "bfloat16"),
    ({"fp16": "true"}, "model.dtype", "float16"),
    ({}, "model.dtype", "auto"),
    ({"flash_attn": "fa2"}, "model.attn_implementation", "flash_attention_2"),
    ({}, "data.max_length", 2048),
    ({}, "training.learning_rate", 5e-5),
    ({"learning_rate": "1e-4"}, "training.learning_rate", 1e-4),
    ({}, "training.lr_scheduler_type", "linear"),
    ({}, "training.warmup_ratio", 0.0),
    ({"warmup_steps": 0.1}, "training.warmup_ratio", 0.1),
    ({"warmup_steps": 20}, "training.warmup_steps", 20),
    ({}, "training.gradient_checkpointing", True),
    ({"disable_gradient_checkpointing": "True"}, "training.gradient_checkpointing", False),
    ({}, "training.group_by_length", False),
    ({"train_sampling_strategy": "group_by_length"}, "training.group_by_length", True),
    ({}, "training.eval_steps", None),
    ({"eval_strategy": "steps", "logging_steps": 7, "val_size": 0.1}, "training.eval_steps", 7),
    ({"max_steps": 50, "save_steps": 0.2}, "training.save_steps", 10),
    ({"save_strategy": "epoch", "save_steps": 3}, "training.save_steps", None),
    ({"save_total_limit": 1}, "training.save_total_limit", 2),
    ({"neat_packing": True}, "training.packing", "bfd"),
    ({"use_dft_loss": True}, "sft.loss_type", "dft"),
    ({"template": "qwen3", "enable_thinking": False}, "data.template", "qwen3_nothink"),
    ({"template": "qwen2_vl"}, "data.template", "auto"),
    ({"use_cpu": True}, "training.device", "cpu"),
    ({"run_name": "a", "output_dir": "b/c"}, "name", "a"),
    ({"output_dir": "saves/b/c/"}, "name", "c"),
    ({"lr_scheduler_type": "warmup_stable_decay"}, "training.schedule.decay_ratio", 0.666667),
    ({"lr_scheduler_type": "cosine_with_min_lr", "learning_rate": 1e-4,
      "lr_scheduler_kwargs": {"min_lr": 1e-5}}, "training.schedule.min_lr_rate", 0.1),
    ({"disable_shuffling": True}, "data.shuffle", False),
    ({"early_stopping_steps": 3, "val_size": 0.1, "eval_strategy": "steps"},
     "training.early_stopping_patience", 3),
    ({"predict_with_generate": True, "metric_for_best_model": "eval_rouge-l", "val_size": 0.1},
     "training.metric_for_best_model", "eval_rougeL"),
    ({"predict_with_generate": True, "metric_for_best_model": "rouge-1", "val_size": 0.1},
     "evaluation.metrics", ["rouge"]),
    ({"metric_for_best_model": "eval_rouge-l", "val_size": 0.1},
     "training.metric_for_best_model", "eval_loss"),
    ({"finetuning_type": "full", "use_galore": True, "galore_rank": 64},
     "training.projection.rank", 64),
    ({"finetuning_type": "full", "use_apollo": True}, "training.projection.scale", 32.0),
    ({"finetuning_type": "full", "use_muon": True}, "training.optim", "muon"),
    ({"optim": "adamw_bnb_8bit"}, "training.optim", "adamw_8bit"),
    ({"optim": "paged_adamw_8bit"}, "training.optim", "paged_adamw_8bit"),
    ({"use_swanlab": True}, "tracking.mode", "cloud"),
])
def test_what_a_key_means(keys: dict[str, Any], path: str, value: Any) -> None:
    config, _, _ = run_of(**keys)
    found: Any = config.dump()
    for part in path.split("."):
        found = found[part]
    assert found == value


@pytest.mark.parametrize(("keys", "key", "action", "word"), [
    ({"deepspeed": "ds.json"}, "deepspeed", "dropped", "one device"),
    ({"trust_remote_code": True}, "trust_remote_code", "dropped", "never run"),
    ({"trust_remote_code": False}, "trust_remote_code", "kept", "off"),
    ({"hf_hub_token": "hf_abc"}, "hf_hub_token", "dropped", "Secrets"),
    ({"lora_rnk": 3}, "lora_rnk", "dropped", "Did you mean lora_rank?"),
    ({"something": 3}, "something", "dropped", UNKNOWN),
    ({"learning_rate": "fast"}, "learning_rate", "dropped", "'fast' is not a number"),
    ({"quantization_bit": 4, "finetuning_type": "full"}, "quantization_bit", "dropped",
     "cannot be trained"),
    ({"packing": True}, "packing", "changed", "neat_packing"),
    ({"pref_beta": 0.2}, "pref_beta", "dropped", "nothing for this objective"),
    ({"lora_rank": 4, "finetuning_type": "full"}, "lora_rank", "dropped", "finetuning_type"),
    ({"resume_from_checkpoint": "checkpoint-5"}, "resume_from_checkpoint", "dropped", "resume"),
    ({"lora_dropout": 7}, "lora_dropout", "dropped", "too large"),
    ({"cutoff_len": None}, "cutoff_len", "kept", "empty"),
    ({"report_to": "wandb"}, "report_to", "dropped", "SwanLab"),
    ({"dataset": "alpaca_en_demo"}, "dataset", "changed", "finestra data add"),
    ({"stage": "ppo", "reward_model": "r"}, "stage", "changed", "PPO has no counterpart"),
    ({"lr_scheduler_kwargs": {}}, "lr_scheduler_kwargs", "kept", "empty"),
    ({"quantization_bit": 2, "quantization_method": "hqq"}, "quantization_method", "dropped",
     "stay whole"),
    ({"placement_strategy": "PACK"}, "placement_strategy", "dropped", "one device"),
    ({"cpu_infer": 32}, "cpu_infer", "dropped", "another training program"),
    ({"default_system": "Be short."}, "default_system", "dropped", "system message"),
    ({"pissa_convert": True}, "pissa_convert", "kept", "plain LoRA"),
])
def test_what_is_said(keys: dict[str, Any], key: str, action: str, word: str) -> None:
    _, rows, found = run_of(**keys)
    assert (rows[key].action, word in rows[key].reason) == (action, True), rows[key]
    assert "hf_abc" not in json.dumps(found.document())


def test_what_stands_behind_the_file_goes_before_it() -> None:
    text = "model_name_or_path: a\ndataset: sample_text\nlearning_rate: 1e-4\nrun_name: ${seed}\n"
    found = import_llamafactory(text, overrides=["learning_rate=5e-6", "seed=7", "stage=pt"])
    config = parse(found.values)
    assert (config.training.learning_rate, config.name, config.objective) == (
        5e-6, "7", "pretrain")
    for wrong in ("learning_rate", "=3", "a=[1"):
        with pytest.raises(ConfigError) as caught:
            import_llamafactory(text, overrides=[wrong])
        assert caught.value.problems[0].code == "override_syntax"


def test_mixtures_have_weights() -> None:
    config, rows, _ = run_of(dataset="sample_instructions,sample_chat",
                             mix_strategy="interleave_under", interleave_probs="0.75,0.25")
    assert [use.weight for use in config.data.uses("train")] == [0.75, 0.25]
    assert rows["interleave_probs"].action == "renamed"


def test_datasets_of_a_data_folder_become_files(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "examples").mkdir()
    (tmp_path / "data" / "one.json").write_text("[]")
    (tmp_path / "data" / "dataset_info.json").write_text(json.dumps({
        "plain": {"file_name": "one.json"},
        "odd": {"file_name": "one.json", "columns": {"prompt": "frage", "response": "antwort"}},
        "far": {"hf_hub_url": "owner/name", "subset": "main"}}))
    text = yaml.safe_dump({**BASE, "dataset": "plain,odd,far"})
    found = import_llamafactory(text, folder=tmp_path / "examples")
    assert found.values["data"]["train"] == [
        str(tmp_path / "data" / "one.json"), "odd", {"name": "owner/name", "subset": "main"}]
    assert import_llamafactory(text).values["data"]["train"] == ["plain", "odd", "far"]


@pytest.mark.parametrize("text", [
    "--- # first\nmodel_name_or_path: a\ndataset: sample_text\nstage: pt\n...\n",
    '{"model_name_or_path": "a",\n\t"dataset": "sample_text", "stage": "pt"}',
    "\ufeffmodel_name_or_path: a\ndataset: [sample_text]\nstage: ${kind}\nkind: pt\n",
])
def test_forms_of_a_file(text: str) -> None:
    assert parse(import_llamafactory(text).values).objective == "pretrain"


@pytest.mark.parametrize(("text", "code"), [
    ("- a\n- b\n", "yaml_mapping"), ("stage: sft\nstage: dpo\n", "yaml_syntax"),
    ("stage: [sft\n", "yaml_syntax"), ("a: 1\n---\nb: 2\n", "import_documents"),
    ("a: " + "x" * 1_000_001, "import_too_large")])
def test_what_is_no_file(text: str, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        import_llamafactory(text)
    assert caught.value.problems[0].code == code


def test_an_empty_file_is_no_training() -> None:
    found = import_llamafactory("")
    assert parse(found.values).model.name_or_path == "starter"
    assert {p.code for p in found.problems} == {"import_no_model", "import_no_data"}


def test_the_tables_know_only_real_keys() -> None:
    assert set(ABSENT) <= set(DEFAULTS)
    assert set(ALWAYS) <= set(DEFAULTS)
    assert set(OLD.values()) <= set(DEFAULTS)
    assert len(DEFAULTS) > 340


VALUES = st.one_of(
    st.booleans(), st.none(), st.integers(-3, 10**6), st.floats(-2, 5), st.sampled_from([
        "1e-5", "true", "off", "auto", "all", "none", "q_proj,v_proj", "sample_text", "steps",
        "epoch", "cosine", "warmup_stable_decay", "fa2", "a=1,b=2", "${seed}", "中文", "{", ""]),
    st.just({"x": 1}), st.just(["a", "b"]))
FILES = st.tuples(
    st.fixed_dictionaries({}, optional={
        "stage": st.sampled_from(["pt", "sft", "rm", "ppo", "dpo", "kto"]),
        "finetuning_type": st.sampled_from(["lora", "oft", "freeze", "full"]),
        "pref_loss": st.sampled_from(["sigmoid", "hinge", "ipo", "kto_pair", "orpo", "simpo"])}),
    st.dictionaries(st.sampled_from(sorted(DEFAULTS)) | st.text(min_size=1, max_size=8), VALUES,
                    max_size=30))


@settings(max_examples=250, deadline=None)
@given(FILES)
def test_whatever_a_file_says_it_becomes_a_config(files: tuple[dict[str, Any], Any]) -> None:
    keys = {**files[1], **files[0]}
    found = import_llamafactory(yaml.safe_dump(keys, sort_keys=False))
    parse(found.values)
    assert [row.key for row in found.report] == list(keys)
    for row in found.report:
        assert row.reason
        assert row.action != "dropped" or row.field is None

"""Configs of runs that do not train."""

import pytest

from trainer.contract.config import RunConfig, load_yaml, to_yaml
from trainer.contract.kinds import KINDS, OTHERS, kind_of, parse_any
from trainer.contract.kinds.export import FORMATS, GGUF_MODELS, ExportConfig
from trainer.contract.kinds.merge import MergeConfig
from trainer.contract.problems import ConfigError
from trainer.contract.rundir import RunDir

EXPORT = {"kind": "export", "source": "starter", "formats": ["gguf-q8_0"]}
MERGE = {"kind": "merge", "sources": [{"name": "a"}, {"name": "b", "weight": 0.5}]}
EVALUATE = {"kind": "evaluate", "models": ["starter"], "data": ["sample_questions"]}


def codes(values):
    with pytest.raises(ConfigError) as raised:
        parse_any(values)
    return {(p.field, p.code) for p in raised.value.problems}


def test_a_config_without_a_kind_trains():
    assert kind_of({}) == "train" and isinstance(parse_any({}), RunConfig)
    assert parse_any({"kind": "train", "name": "x"}).name == "x"
    assert set(KINDS) == {"train", *OTHERS}


@pytest.mark.parametrize("values", [EXPORT, MERGE, EVALUATE, {"name": "plain"}],
                         ids=["export", "merge", "evaluate", "train"])
def test_a_run_folder_gives_its_config_back(tmp_path, values):
    run = RunDir(tmp_path / "one")
    run.create(parse_any(values), {})
    assert run.read_any() == parse_any(values)
    assert parse_any(load_yaml(to_yaml(run.read_any()))) == parse_any(values)


def test_what_has_no_weights_yet_has_no_run_config(tmp_path):
    run = RunDir(tmp_path / "one")
    run.create(parse_any(EXPORT), {})
    with pytest.raises(ConfigError) as raised:
        run.read_config()
    assert raised.value.problems[0].code == "not_training"
    run.weights.write_text("name: whole\ntuner: {type: full}\n", encoding="utf-8")
    assert run.read_config().tuner.type == "full"


@pytest.mark.parametrize(("values", "wrong"), [
    ({"kind": "dance"}, {("kind", "unknown_kind")}),
    ({"kind": "export"}, {("source", "missing"), ("formats", "missing")}),
    (EXPORT | {"formats": []}, {("formats", "too_short")}),
    (EXPORT | {"formats": ["gguf-q9"], "souce": 1},
     {("formats.0", "literal_error"), ("souce", "unknown_field_close")}),
    (EXPORT | {"formats": ["fp8", "fp8"]}, {("formats", "format_twice")}),
    (EXPORT | {"deployment": True}, {("", "deployment_without_model")}),
    (EXPORT | {"push": {"repo": "me"}}, {("push.repo", "repo_name")}),
    (EXPORT | {"push": {"repo": "../../etc"}}, {("push.repo", "repo_name")}),
    (EXPORT | {"name": "a/b"}, {("name", "name_is_path")}),
    (EXPORT | {"source": "a\nb"}, {("source", "control_characters")}),
    (EVALUATE | {"metrics": [
        {"name": "json", "json_schema": text} for text in ("{", '{"a":' * 15_000, "a\0b")]},
     {("metrics.0.json_schema", "json_text"), ("metrics.1.json_schema", "json_text"),
      ("metrics.2.json_schema", "control_characters")}),
    (MERGE | {"sources": [{"name": "a"}]}, {("sources", "too_short")}),
    (MERGE | {"sources": [{"name": "a"}, {"name": "a"}]}, {("", "source_twice")}),
    (MERGE | {"sources": [{"name": "a", "weight": 0}, {"name": "b", "weight": 0}]},
     {("", "weights_zero")}),
    (MERGE | {"method": "slerp"}, {("", "method_of_models")}),
    (MERGE | {"what": "models", "method": "svd"}, {("", "method_of_adapters")}),
    (MERGE | {"what": "models", "method": "ties"}, {("", "base_missing")}),
    (MERGE | {"what": "models", "method": "slerp", "sources": [{"name": n} for n in "abc"]},
     {("", "slerp_of_two")})])
def test_what_cannot_be_is_named_with_its_field(values, wrong):
    assert codes(values) == wrong


def test_without_a_method_it_is_the_weighted_sum():
    assert parse_any(MERGE).method == "svd"
    assert parse_any(MERGE | {"what": "models"}).method == "linear"
    assert parse_any(MERGE | {"method": "linear"}).method == "linear"


def test_the_gguf_families_are_those_of_the_writer():
    from trainer.export.gguf_families import FAMILIES

    assert set(GGUF_MODELS) == set(FAMILIES)


def test_the_gguf_formats_are_those_of_the_writers():
    from trainer.export.gguf_tensors import KINDS as WRITTEN
    from trainer.export.kquants import KQUANTS

    kinds = {name.removeprefix("gguf-"): facts for name, facts in FORMATS.items()
             if facts.family == "gguf"}
    assert {name for name, facts in kinds.items() if not facts.from_gguf} == set(WRITTEN)
    assert {name for name, facts in kinds.items() if facts.from_gguf} <= set(KQUANTS)


def test_a_checkpoint_is_a_source_of_its_run():
    assert ExportConfig(source="run-1/checkpoint-40", formats=["merged"]).run_id == "run-1"
    assert MergeConfig(**{**MERGE, "method": "dare_ties"}).thins_out
    assert not MergeConfig(**MERGE).thins_out

import pytest

from trainer.contract import ConfigError, RunConfig
from trainer.contract.config import all_fields, apply_overrides, flat, load_yaml, parse, to_yaml
from trainer.contract.config.facts import OBJECTIVES
from trainer.contract.config.fields import is_relevant


def problems_of(values: dict) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        parse(values)
    return {p.field: p.code for p in caught.value.problems}


def test_every_field_says_what_it_is():
    for info in all_fields().values():
        assert info.title and len(info.description) > 10, info.path
        assert info.description.endswith("."), info.path


def test_a_config_by_dotted_paths():
    assert flat({"a": {"b": {"c": 1}, "d": [2]}, "e": None}) == {"a.b.c": 1, "a.d": [2], "e": None}
    assert set(flat(RunConfig().dump())) <= set(all_fields())


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_about_a_dozen_fields_are_basic_for_one_method(objective):
    chosen = {"objective": objective}
    basic = [f.path for f in all_fields().values() if f.basic and is_relevant(f, chosen)]
    assert 12 <= len(basic) <= 22, basic


def test_yaml_round_trip_is_complete_and_equal():
    config = parse({"name": "支持-bot 🙂", "training": {"learning_rate": "3e-4"}})
    text = to_yaml(config)
    assert parse(load_yaml(text)) == config
    assert "adam_beta2" in text
    assert load_yaml(to_yaml(config, complete=False)) == {
        "name": "支持-bot 🙂", "training": {"learning_rate": 3e-4}}


def test_all_errors_at_once_with_their_paths():
    assert problems_of({
        "nam": "x", "objective": "ppo",
        "training": {"learning_rate": "abc", "max_steps": 0, "seed": 1.5},
        "tuner": {"r": 0, "type": "full"}, "model": {"quantization": "nf4"},
    }) == {
        "nam": "unknown_field_close", "objective": "literal_error",
        "training.learning_rate": "float_parsing", "training.max_steps": "greater_than_equal",
        "training.seed": "int_from_float", "tuner.r": "greater_than_equal",
        "model.quantization": "full_on_quantized",
    }


def test_messages_hold_the_value_and_what_to_do():
    with pytest.raises(ConfigError) as caught:
        parse({"training": {"learning_rate": "abc"}, "tunr": {}})
    by_field = {p.field: p for p in caught.value.problems}
    rate = by_field["training.learning_rate"]
    assert "'abc'" in rate.message and "2.0e-4" in rate.advice
    assert by_field["tunr"].advice == "Did you mean 'tuner'?"
    assert rate.document()["scope"] == "config"


@pytest.mark.parametrize(("values", "field", "code"), [
    ({"name": "../etc"}, "name", "name_is_path"),
    ({"name": "a\nb"}, "name", "control_characters"),
    ({"model": {"name_or_path": "a\0b"}}, "model.name_or_path", "control_characters"),
    ({"model": "qwen"}, "model", "model_type"),
    ({"tuner": {"my-key": 1}}, "tuner.my-key", "unknown_field"),
    ({"tuner": {"target_modules": 5}}, "tuner.target_modules", "list_type"),
    ({"data": {"train": []}}, "data.train", "too_short"),
    ({"data": {"train": ["a", "a"]}}, "data.train", "dataset_twice"),
    ({"data": {"train": ["a"], "eval": ["a"]}}, "data.eval", "eval_in_train"),
    ({"data": {"template": "nope"}}, "data.template", "unknown_template"),
    ({"evaluation": {"exact_match": True}}, "evaluation.exact_match", "exact_match_needs_eval"),
    ({"training": {"learning_rate": float("nan")}}, "training.learning_rate", "finite_number"),
    ({"objective": "dpo", "dpo": {"loss_type": "ipo", "label_smoothing": 0.1}},
     "dpo.label_smoothing", "label_smoothing_loss"),
    ({"objective": "kto", "training": {"per_device_train_batch_size": 1}},
     "training.per_device_train_batch_size", "kto_single_row"),
])
def test_refusals(values, field, code):
    assert problems_of(values) == {field: code}


def test_overrides_are_typed_by_the_field():
    values = apply_overrides({"tuner": {"r": 4}}, ["training.learning_rate=2e-4", "tuner.r=16",
                                                   "data.train=[a, b]", "name=on"])
    config = parse({**values, "name": "x"})
    assert (config.training.learning_rate, config.tuner.r) == (2e-4, 16)
    assert config.data.train == ["a", "b"]
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        apply_overrides({}, ["tuner.r"])


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2", "a: !!python/object/apply:os.system [ls]"])
def test_broken_yaml_is_one_problem(text):
    with pytest.raises(ConfigError) as caught:
        load_yaml(text)
    assert len(caught.value.problems) == 1


def test_config_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        RunConfig().name = "other"


@pytest.mark.parametrize(("train", "field", "code"), [
    ([3], "data.train.0", "string_type"),
    ([{"name": "a", "wieght": 2}], "data.train.0.wieght", "unknown_field"),
    ([{"weight": 2}], "data.train.0.name", "missing"),
    ([{"name": "a", "weight": -1}], "data.train.0.weight", "greater_than_equal"),
    ([{"name": "a"}, "a"], "data.train", "dataset_twice"),
])
def test_a_mixture_names_what_is_wrong_in_it(train, field, code):
    with pytest.raises(ConfigError) as caught:
        parse({"data": {"train": train}})
    assert [(p.field, p.code) for p in caught.value.problems] == [(field, code)]


def test_a_mixture_keeps_plain_names_plain_and_survives_yaml():
    config = parse({"data": {"train": ["a", {"name": "b"}, {"name": "c", "weight": 2}]}})
    assert config.data.train[:2] == ["a", "b"] and config.data.uses("train")[2].weight == 2
    assert config.data.names("train") == ["a", "b", "c"]
    assert parse(load_yaml(to_yaml(config))) == config

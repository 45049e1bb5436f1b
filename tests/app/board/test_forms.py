"""The form holds every field, and says what a YAML file would say."""

import gradio as gr
import pytest

from app.board import forms, with_a_loop
from trainer.contract.config import RunConfig, all_fields, parse
from trainer.contract.problems import ConfigError

FIELDS = all_fields()


def raws_of(values):
    return dict(zip(FIELDS, forms.show_all(values), strict=True))


def test_defaults_survive_the_form():
    config = RunConfig()
    assert parse(forms.read_all(forms.show_all({}))) == config
    assert parse(forms.read_all(forms.show_all(config.dump()))) == config


OTHER = {
    "name": "Other — 名称", "objective": "dpo",
    "model": {"name_or_path": "Qwen/Qwen3-0.6B", "revision": "main", "quantization": "nf4"},
    "data": {"train": ["a, b", "c"], "eval": ["d"], "val_size": 0.05, "max_length": 64,
             "max_samples": 10, "shuffle": False, "bad_rows": "skip"},
    "tuner": {"r": 64, "target_modules": ["q_proj", "v_proj"], "use_rslora": True},
    "training": {"learning_rate": 1.5e-5, "max_steps": 7, "eval_steps": None, "adam_beta2": 0.95,
                 "weight_decay": 0.1, "adam_epsilon": 1e-10, "seed": 2**32 - 1},
    "dpo": {"beta": 0.3, "loss_type": "ipo"}, "tracking": {"backend": "swanlab", "mode": "local"},
}


def test_other_values_survive_the_form():
    assert parse(forms.read_all(forms.show_all(OTHER))) == parse(OTHER)


@pytest.mark.parametrize("pattern", [r".*\.(q|v)_proj", "all-linear"])
def test_a_pattern_of_modules_stays_one_text(pattern):
    values = forms.read_all(forms.show_all({"tuner": {"target_modules": pattern}}))
    assert values["tuner"]["target_modules"] == pattern


def test_one_module_is_a_list():
    info = FIELDS["tuner.target_modules"]
    assert forms.read(info, "q_proj") == ["q_proj"]


@pytest.mark.parametrize(("value", "shown"), [
    (2e-4, "2e-4"), (1.5e-5, "1.5e-5"), (0.03, "0.03"), (3.0, "3"), (1e-8, "1e-8"), (0, "0"),
    (512, "512"), (0.1 + 0.2, "0.30000000000000004"), (float("nan"), "nan")])
def test_numbers_are_shown_as_people_write_them(value, shown):
    assert forms.show(FIELDS["training.learning_rate"], value) == shown


@pytest.mark.parametrize(("path", "typed"), [
    ("training.learning_rate", "abc"), ("tuner.r", "0"), ("tuner.r", "8.5"), ("tuner.r", ""),
    ("training.seed", "-1"), ("training.adam_beta1", "nan"), ("name", ""), ("name", "../evil")])
def test_what_was_typed_is_refused_by_its_value(path, typed):
    raws = {**raws_of({}), path: typed}
    with pytest.raises(ConfigError) as raised:
        parse(forms.read_all(list(raws.values())))
    (problem,) = raised.value.problems
    assert forms.owner_of(problem.field) == path
    assert not typed or typed in problem.message or problem.code in ("name_is_path",
                                                                     "finite_number")


def test_an_empty_optional_field_is_none():
    raws = {**raws_of({}), "training.max_steps": "  ", "data.train": [" a ", ""]}
    values = forms.read_all(list(raws.values()))
    assert values["training"]["max_steps"] is None
    assert values["data"]["train"] == ["a"]


def test_values_of_a_wrong_type_still_fill_the_form():
    raws = raws_of({"training": "no section", "tuner": {"r": [1], "type": "magic"},
                    "data": {"train": "one", "shuffle": "true"}})
    assert raws["training.learning_rate"] == "2e-4"
    assert raws["tuner.r"] == "[1]" and raws["tuner.type"] == "lora"
    assert raws["data.train"] == ["one"] and raws["data.shuffle"] is True


def test_every_field_stands_on_one_card_and_about_a_dozen_are_basic():
    cards = {card: forms.fields_of(card) for card in ("what", "how", "while", "advanced")}
    listed = [info.path for found in cards.values() for info in found]
    assert sorted(listed) == sorted(FIELDS)
    shown = [p for card in ("what", "how", "while") for p in cards[card]]
    hidden = forms.hidden_fields(raws_of({}))
    assert 12 <= len([i for i in shown if i.path not in hidden]) <= 20


def test_fields_that_mean_nothing_are_hidden():
    plain = forms.hidden_fields(raws_of({}))
    assert "dpo.beta" in plain and "tuner.r" not in plain and "tracking.mode" in plain
    full = forms.hidden_fields(raws_of({"tuner": {"type": "full"}}))
    assert "tuner.r" in full and "tuner.type" not in full
    preference = forms.hidden_fields(raws_of({"objective": "dpo"}))
    assert "dpo.beta" not in preference and "evaluation.exact_match" in preference
    wrong = forms.hidden_fields(raws_of({"objective": "dpo", "evaluation": {"exact_match": True}}))
    assert "evaluation.exact_match" not in wrong


@pytest.fixture(scope="module")
def components():
    """Every field's component, on one page."""
    def make():
        with gr.Blocks():
            return {path: forms.component(info, "zh") for path, info in FIELDS.items()}

    return with_a_loop(make)


@pytest.mark.parametrize("path", list(FIELDS))
def test_every_field_has_a_component_with_its_id_label_and_default(components, path):
    info, made = FIELDS[path], components[path]
    assert made.elem_id == "field-" + path.replace(".", "-")
    assert made.label and made.info
    assert forms.read(info, made.value) == forms.read(info, forms.show(info, info.default))


def test_problems_of_list_entries_belong_to_their_field():
    assert forms.owner_of("data.train.0") == "data.train"
    assert forms.owner_of("tuner.zzz") == ""


MIXED = [{"name": "a b", "weight": 2.0}, "plain", {"name": "x/y", "subset": "main", "split": "test",
                                                   "max_samples": 10}]


def test_a_mixture_survives_the_form():
    values = {"data": {"train": MIXED}}
    raws = raws_of(values)
    assert raws["data.train"] == ["a b (weight=2)", "plain",
                                  "x/y (subset=main, split=test, max_samples=10)"]
    assert parse(forms.read_all(forms.show_all(values))) == parse(values)


def test_weights_are_read_and_written_as_one_text():
    raw = ["a", "b (weight=3, split=test)", "c (1)"]
    assert forms.weights_text(raw) == "b=3"
    weighted = forms.with_weights(raw, "a=2, b=0.5")
    assert weighted == ["a (weight=2)", "b (weight=0.5, split=test)", "c (1)"]
    assert forms.with_weights(weighted, "") == ["a", "b (split=test)", "c (1)"]
    assert [forms.name_of(item) for item in weighted] == ["a", "b", "c (1)"]


def test_a_weight_that_is_no_number_is_refused_by_its_value():
    raws = forms.with_weights(["a", "b"], "a=much, b=1")
    with pytest.raises(ConfigError) as raised:
        parse({"data": {"train": [forms.read_use(item) for item in raws]}})
    assert "much" in raised.value.problems[0].message


def test_weights_of_what_is_not_chosen_are_told():
    assert forms.unknown_weights(["a", "b (split=test)"], "a=2, b = 0.5") == []
    assert forms.unknown_weights(["a", "b"], "a=2, bb=1, 3, b=much") == ["bb=1", "3", "b=much"]

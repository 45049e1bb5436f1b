"""The form holds every field, and says what a YAML file would say."""

from html import escape

import pytest

from app.board import forms
from app.board.i18n import field_help, field_title, has
from app.board.pages import _fields
from trainer.contract.config import OBJECTIVES, RunConfig, all_fields, parse
from trainer.contract.problems import ConfigError

FIELDS = all_fields()


def raws_of(values):
    return forms.show_all(values)


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
        parse(forms.read_all(raws))
    (problem,) = raised.value.problems
    assert forms.owner_of(problem.field) == path
    assert not typed or typed in problem.message or problem.code in ("name_is_path",
                                                                     "finite_number")


def test_an_empty_optional_field_is_none():
    raws = {**raws_of({}), "training.max_steps": "  ", "data.train": [" a ", ""]}
    values = forms.read_all(raws)
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
    assert "evaluation.metrics" not in preference
    assert {"evaluation.generate_steps", "training.metric_for_best_model"} <= set(preference)
    scored = forms.hidden_fields(raws_of({"evaluation": {"metrics": ["rouge"], "samples": 0},
                                          "training": {"load_best_model_at_end": True}}))
    assert not {"evaluation.generate_steps", "evaluation.limit", "evaluation.max_new_tokens",
                "training.metric_for_best_model"} & set(scored)
    assert "evaluation.metrics" in forms.hidden_fields(raws_of({"objective": "reward"}))
    wrong = forms.hidden_fields(raws_of({"objective": "dpo", "evaluation": {"exact_match": True}}))
    assert "evaluation.exact_match" not in wrong


def test_every_field_is_drawn_with_its_id_label_and_default():
    for locale in ("en", "zh"):
        page = "".join((*_fields.cards(locale).values(), _fields.advanced(locale)))
        assert len(page) < 200_000
        for path, info in FIELDS.items():
            identity = "field-" + path.replace(".", "-")
            assert page.count(f'id="{identity}"') == 1
            assert escape(field_title(locale, info)) in page
            assert escape(field_help(locale, info)) in page
            assert forms.read(info, forms.show(info, info.default)) == plain(info.default)


def plain(value):
    if isinstance(value, list):
        return [one if isinstance(one, str) else one.model_dump() for one in value]
    return value


def test_every_objective_and_tuner_is_listed_and_described():
    listed = [name for names in _fields.OBJECTIVE_GROUPS.values() for name in names]
    assert sorted(listed) == sorted(OBJECTIVES)
    for name in FIELDS["tuner.type"].choices:
        assert has(f"about.tuner.type.{name}"), name
    for group in forms.groups():
        assert has(f"group.{group}"), group


def test_problems_of_list_entries_belong_to_their_field():
    assert forms.owner_of("data.train.0") == "data.train"
    assert forms.owner_of("tuner.zzz") == ""


MIXED = [{"name": "a b", "weight": 2.0}, "plain", {"name": "x, y (1)", "subset": "main",
                                                   "split": "test", "max_samples": 10}]


def test_a_mixture_survives_the_form():
    values = {"data": {"train": MIXED}}
    raws = raws_of(values)
    assert raws["data.train"] == [
        {"name": "a b", "weight": "2"}, "plain",
        {"name": "x, y (1)", "subset": "main", "split": "test", "max_samples": "10"}]
    assert parse(forms.read_all(raws)) == parse(values)
    assert forms.names_of(raws["data.train"]) == ["a b", "plain", "x, y (1)"]


def test_a_weight_that_is_no_number_is_refused_by_its_value():
    raws = {**raws_of({}), "data.train": [{"name": "a", "weight": "much"}, "b"]}
    with pytest.raises(ConfigError) as raised:
        parse(forms.read_all(raws))
    assert "much" in raised.value.problems[0].message


NASTY = ['a,b', ' edge ', '"quoted"', 'x=1', 'back\\slash', "q_proj", 'new\nline', "名称", "1"]


@pytest.mark.parametrize("path", [p for p, i in FIELDS.items()
                                  if i.kind == "list" and p not in forms.LINES])
def test_entries_of_lists_survive_whatever_is_in_them(path):
    info = FIELDS[path]
    for value in ([], NASTY, *([one] for one in NASTY), [".*_proj", "all-linear"]):
        shown = forms.show(info, value)
        assert isinstance(shown, str) and forms.read(info, shown) == value


@pytest.mark.parametrize("path", [p for p, i in FIELDS.items() if i.kind == "mapping"])
def test_mappings_survive_whatever_their_names_are(path):
    info = FIELDS[path]
    for value in ({}, {"a": 1}, {"layers.{1,2}.mlp": 4, "b": 0.5}, dict.fromkeys(NASTY, 3)):
        assert forms.read(info, forms.show(info, value)) == value


def test_a_mapping_that_is_none_is_refused_by_its_value():
    info = FIELDS["dpo.mixture"]
    assert forms.read(info, "sigmoid=0.8, bco_pair = 0.2") == {"sigmoid": 0.8, "bco_pair": 0.2}
    for typed in ("sigmoid", "sigmoid=much", "a=1, b"):
        raws = {**raws_of({"objective": "dpo"}), "dpo.mixture": typed}
        with pytest.raises(ConfigError) as raised:
            parse(forms.read_all(raws))
        assert {forms.owner_of(p.field) for p in raised.value.problems} == {"dpo.mixture"}


REWARDS = [{"name": "exact_answer"},
           {"name": "regex", "pattern": r"(\d+), \[x\] \"y\"", "weight": -0.5},
           {"name": "length", "target": 100}, {"name": "json_schema",
                                               "json_schema": '{"type": "object", "a": [1, 2]}'}]


def test_rewards_survive_the_form():
    values = {"objective": "grpo", "rollout": {"rewards": REWARDS}}
    raws = raws_of(values)
    assert raws["rollout.rewards"][2] == {"name": "length", "target": "100"}
    assert parse(forms.read_all(raws)).rollout == parse(values).rollout
    dumped = parse(values).dump()
    assert parse(forms.read_all(forms.show_all(dumped))) == parse(values)


def test_prompts_stand_one_a_line():
    info = FIELDS["evaluation.prompts"]
    prompts = ["One, two?", 'say "x"', '"quoted"', "two\nlines", " edge"]
    shown = forms.show(info, prompts)
    assert len(shown.split("\n")) == 5 and forms.read(info, shown) == prompts
    assert forms.read(info, "\n a \n\nb\n") == ["a", "b"]


def test_what_a_browser_sends_is_taken_as_it_is_or_left():
    for sent in ("", "{", "[]", '{"nonsense": 1}'):
        assert forms.from_browser(sent) == forms.show_all({})
    odd = forms.from_browser('{"tuner.r": [1], "data.train": "x", "name": {"a": 1}}')
    with pytest.raises(ConfigError):
        parse(forms.read_all(odd))


BASIC_OWN = {
    "sft": [], "pretrain": [], "classification": [], "dpo": ["dpo.beta"], "kto": ["kto.beta"],
    "orpo": ["orpo.beta"], "simpo": ["simpo.beta"], "cpo": ["cpo.beta"], "reward": [],
    "grpo": ["rollout.max_completion_length", "rollout.num_generations", "rollout.rewards"],
    "rloo": ["rollout.max_completion_length", "rollout.num_generations", "rollout.rewards"],
    "distillation": ["rollout.max_completion_length", "teacher.name_or_path"],
    "gkd": ["rollout.max_completion_length", "teacher.name_or_path"],
}


@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_an_objective_shows_its_own_fields_and_no_others(objective):
    hidden = set(forms.hidden_fields(raws_of({"objective": objective})))
    basic = [p for p, i in FIELDS.items() if i.basic and p not in hidden]
    assert 12 <= len(basic) <= 20, basic
    assert set(BASIC_OWN[objective]) <= set(basic)
    others = {p for name, own in BASIC_OWN.items() for p in own} - set(BASIC_OWN[objective])
    assert not others & set(basic)

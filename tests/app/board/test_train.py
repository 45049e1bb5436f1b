"""The Train page's handlers: recipes, imports, sweeps, scripts; each answers quickly."""

import ast
import json
import re
import time
from html import unescape
from types import SimpleNamespace

import pytest

from app.board import presets
from app.board.forms import show_all
from app.board.i18n import LOCALES
from app.board.pages import _import
from app.board.pages.train import ADDRESS, TrainPage
from app.studio import Studio
from trainer.contract.config import OBJECTIVES, load_yaml, parse

LLAMAFACTORY = """
stage: dpo
finetuning_type: lora
model_name_or_path: Qwen/Qwen3-8B
dataset: dpo_en_demo
template: qwen3
lora_rank: 16
pref_beta: 0.2
no_such_key: 3
"""


@pytest.fixture
def page(tmp_path):
    studio = Studio.open(tmp_path / "home")
    studio.tick = lambda: None
    yield TrainPage(studio, "en")
    studio.close()


def told(html):
    return json.loads(unescape(re.search(r'data-(?:filled|state|script)="([^"]*)"', html)[1]))


def request(**query):
    return SimpleNamespace(query_params=query)


def test_a_recipe_fills_every_field(page):
    said, filling, going, _ = page._wish(json.dumps({"do": "preset", "name": "dpo-lora-cpu"}),
                                         "key", "")
    assert (said, going) == ("", "") and told(filling)["values"]["objective"] == "dpo"
    assert told(filling)["values"] == show_all(presets.read("dpo-lora-cpu"))


@pytest.mark.parametrize("locale", LOCALES)
def test_recipes_are_grouped_labelled_and_described(locale):
    listed = presets.listed(locale)
    names = [name for recipes in listed.values() for name, _, _ in recipes]
    assert sorted(names) == sorted(presets.names()) and names[0] == "quickstart"
    assert len({label for recipes in listed.values() for _, label, _ in recipes}) == len(names)
    assert all(about and "\n" not in about for r in listed.values() for _, _, about in r)


def test_a_sweep_is_queued_from_what_stands_in_the_form(page):
    sent = json.dumps(show_all({"name": "mine", "tuner": {"r": 4}}))
    said, _, going, _ = page._wish('{"do": "find"}', "key", sent)
    assert said == "" and page._wish('{"do": "find"}', "key", sent)[2] == going
    config = parse(load_yaml(page.studio.config_yaml(going)))
    assert config.lr_finder.enabled and config.tuner.r == 4
    assert config.name == "mine · learning rate"
    _, _, filling = page._load("", request(clone=going, rate="3e-3"))
    values = told(filling)["values"]
    assert values["training.learning_rate"] == "0.003" and values["name"] == "mine"
    assert values["lr_finder.enabled"] is False and values["tuner.r"] == "4"


def test_a_sweep_of_a_wrong_form_says_why(page):
    sent = json.dumps(show_all({"tuner": {"r": 0}}))
    said, _, going, _ = page._wish('{"do": "find"}', "key", sent)
    assert "tuner.r" in said and going == "" and page.studio.runs() == []


def test_a_form_becomes_a_script(page):
    sent = json.dumps(show_all({"name": "mine"}))
    _, _, _, made = page._wish('{"do": "script"}', "key", sent)
    script = told(made)
    assert script["name"].endswith(".py") and "mine" in script["name"]
    assert ast.parse(script["text"]).body
    refused = page._wish('{"do": "script"}', "key", json.dumps(show_all({"name": "a/b"})))
    assert "name" in refused[0] and refused[3] == ""


def test_a_llamafactory_file_fills_the_form_and_says_what_became_of_it(page):
    said, _, filling = page._fill(LLAMAFACTORY)
    values = told(filling)["values"]
    assert values["objective"] == "dpo" and values["dpo.beta"] == "0.2"
    assert values["tuner.r"] == "16" and values["data.train"] == ["dpo_en_demo"]
    assert 'data-action="dropped"><th scope="row"><code>no_such_key' in said
    chinese, _, _ = TrainPage(page.studio, "zh")._fill(LLAMAFACTORY)
    assert "舍弃" in chinese and "no_such_key" in chinese


def test_our_own_files_are_not_taken_for_theirs():
    assert not _import.is_llamafactory({"model": {"name_or_path": "x"}, "objective": "sft"})
    values, said, stays = _import.taken("en", "tuner: {r: 0}")
    assert values == {"tuner": {"r": 0}} and "tuner.r" in said and stays
    assert _import.taken("en", "a: [")[0] is None


def test_what_trains_nothing_leaves_the_form_as_it_was():
    export = "model_name_or_path: a/b\nfinetuning_type: lora\nexport_dir: out\n"
    values, said, stays = _import.taken("en", export)
    assert values is None and stays and "does not train" in said and "stays as it was" in said
    values, said, stays = _import.taken("zh", " \n")
    assert values is None and stays and "请先粘贴" in said
    assert "第 2 行" in _import.taken("zh", "a: 1\nb: [")[1]


def test_a_draft_comes_back_at_its_own_address(page):
    values = {**show_all({}), "tuner.r": "abc"}
    address = dict.fromkeys(ADDRESS, "")
    draft = json.dumps({"address": address, "values": values})
    said, _, filling = page._load(draft, request())
    assert "unfinished" in said and told(filling)["values"] == values
    _, _, filling = page._load(draft, request(preset="quickstart"))
    assert told(filling)["values"]["name"] == "quickstart"


@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_choosing_an_objective_is_answered_quickly(page, objective):
    sent = json.dumps(show_all({"objective": objective}))
    page._check(sent)
    began = time.perf_counter()
    problems = page._check(sent)[0]
    assert time.perf_counter() - began < 0.3
    state = told(problems)
    assert all(key.startswith("field-") for key in state["hidden"])
    assert ("field-rollout-rewards" in state["hidden"]) == (objective not in ("grpo", "rloo"))
    assert ("field-teacher-name_or_path" in state["hidden"]) == (
        not OBJECTIVES[objective].teacher)

"""The Evaluate page: what stands in its form, what it says, what it queues."""

import json
import re
import shlex
from html import unescape
from types import SimpleNamespace

import gradio as gr
import pytest

from app import board
from app.board.i18n.methods import evaluating
from app.board.pages import _evaluate_raws
from app.board.pages._evaluate_form import GROUPS
from app.board.pages.evaluate import EvaluatePage
from app.cli_evaluate import Options, _values
from app.runs import RunState
from tests.app.board.pages.test_export import check, fields_of, told
from tests.app.board.test_html import NASTY, Reader
from tests.app.evaluations.written import evaluation, line
from trainer.contract.benchmarks import BENCHMARKS
from trainer.contract.kinds import parse_any
from trainer.contract.kinds.evaluate import OPTIONS, EvaluateConfig, MetricUse
from trainer.contract.problems import Problem
from trainer.contract.rubrics import RUBRICS

RUN = {"name": "mine", "model": {"name_or_path": "starter"}, "training": {"max_steps": 2},
       "data": {"train": ["sample_instructions"], "eval": ["sample_instructions_heldout"]}}
DATA = "sample_instructions_heldout"


def request(**query):
    return SimpleNamespace(query_params=query)


def filled(page, **query):
    return told(page._load(request(**query))[2], "filled")


def test_every_metric_benchmark_and_rubric_can_be_chosen(studio):
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(OPTIONS)
    drawn = "".join(body for _, body in EvaluatePage(studio, "zh").cards())
    for name in (*OPTIONS, *(one.name for one in BENCHMARKS)):
        assert f'data-option="{name}"' in drawn
    for name in RUBRICS:
        assert f'<option value="{name}">' in drawn


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_every_field_has_words_and_an_element(studio, locale):
    page = EvaluatePage(studio, locale)
    drawn = "".join(body for _, body in page.cards())
    paths = set(re.findall(r'data-path="([\w.]+)"', drawn))
    own = {path.removeprefix("evaluate.") for path in evaluating.KIND_FIELDS}
    fields = fields_of(EvaluateConfig) - {"kind"}
    assert {path for path in own if not path.startswith("metrics.")} == fields
    assert {path.removeprefix("metrics.") for path in own - fields} == {
        option for _, option in _evaluate_raws.ASKED} <= set(MetricUse.model_fields)
    assert {path for path in paths if not path.startswith("option.")} == fields | {
        "benchmarks.offered", "judge.own"}
    for path in paths:
        title, about = page.form.words(path)
        assert title in unescape(drawn) or path.endswith(".sha256")
        assert about in unescape(drawn)
        assert locale == "en" or re.search(r"[\u4e00-\u9fff]", title + about)
        assert page.form.owner(path)[0] or path == "benchmarks.offered"


def test_the_page_is_small_and_has_its_elements(studio):
    config = board.build(studio, "en").get_config_file()
    by_id = {c["id"]: c["props"].get("elem_id") for c in config["components"]}
    found = {by_id[key] for key in config["page"]["evaluate"]["components"]}
    assert len(found) <= 60
    assert {"evaluate-start", "evaluate-problems", "evaluate-same", "kind-values", "kind-body",
            "evaluate-look", "evaluate-found", "evaluate-rows", "evaluate-live"} <= found


def test_a_link_from_a_run_names_its_base_first_and_its_held_out_data(studio):
    run = studio.create(RUN)
    with studio.store.write() as writer:
        for state in (RunState.STARTING, RunState.RUNNING, RunState.COMPLETED):
            writer.transition(run.id, state)
    page = EvaluatePage(studio, "en")
    values = filled(page, model=run.id)["values"]
    assert values["models"] == ["starter", run.id] and values["data"] == [DATA]
    assert filled(page)["values"]["models"] == ["starter", run.id]
    assert page.named(values) == "starter · mine"
    known = filled(page)["known"]
    assert "starter" in [name for _, name in known["models"]]
    assert DATA in [name for _, name in known["data"]]


def test_a_base_is_ready_with_command_and_yaml(studio):
    page = EvaluatePage(studio, "en")
    raws = {**filled(page, model="starter")["values"], "data": [DATA], "max_samples": "3",
            "metrics": ["exact_match", "regex"], "option.regex.pattern": r"\d+'s"}
    problems, ready, about, same = check(page, raws)
    assert ready, problems
    assert "data-choice" in about
    command = shlex.split(unescape(re.search(r'id="evaluate-command">([^<]*)<', same)[1]))
    assert [word for word in command if word.strip()] == [
        "finestra", "evaluate", "--model", "starter", "--data", DATA, "--metric", "exact_match",
        "--metric", '{"name": "regex", "pattern": "\\\\d+\'s"}', "--limit", "3"]
    hidden = set(told(problems)["hidden"])
    assert {"judge.swap", "generation.top_p", "option.json.json_schema",
            "benchmarks.limit"} <= hidden and "option.regex.pattern" not in hidden


def test_the_command_means_the_same_config(studio):
    """What stands on the page as a command is read by the command line as the page's config."""
    page = EvaluatePage(studio, "en")
    config = parse_any({
        "kind": "evaluate", "name": "each night", "models": ["starter"], "max_samples": 3,
        "data": [DATA, {"name": "sample_chat", "max_samples": 4}], "seed": 7,
        "metrics": ["exact_match", {"name": "regex", "pattern": "it's \\d"}],
        "generation": {"stop": [" 'END'", "\n"], "enable_thinking": False, "temperature": 0.7},
        "benchmarks": {"tasks": ["gsm8k", "piqa"], "limit": 9, "apply_chat_template": True},
        "judge": {"model": "far/away", "mode": "score", "rubric": "Short: yes?", "price_in": 1.5}})
    words = [word for word in shlex.split(page.command(config)) if word.strip()][2:]
    given = {"model": [], "data": [], "metric": [], "settings": []}
    while words:
        word = words.pop(0)
        given[word.removeprefix("--") if word.startswith("--") else "settings"].append(
            words.pop(0) if word.startswith("--") else word)
    assert parse_any(_values(studio, Options(**given))) == config


def test_a_config_comes_back_from_the_form_as_it_was():
    config = parse_any({
        "kind": "evaluate", "name": "all of it", "models": ["starter", "other"],
        "data": [DATA, {"name": "sample_chat", "max_samples": 4}],
        "metrics": ["rouge", {"name": "exact_match", "normalise": ["case", "width"]},
                    {"name": "classification", "labels": ["a, b", "c"]},
                    {"name": "code", "consent": True, "timeout_s": 3}],
        "generation": {"stop": [" END", "\\n"], "enable_thinking": False, "temperature": 0.7},
        "benchmarks": {"tasks": ["gsm8k", "truthfulqa_mc1", "truthfulqa_mc2", "piqa"], "limit": 9},
        "judge": {"model": "far/away", "rubric": "Is it short?", "price_in": 1.5}})
    raws = _evaluate_raws.raws_of(config.dump())
    assert parse_any(_evaluate_raws.read(json.loads(json.dumps(raws)))) == config
    assert raws["benchmarks.offered"] == ["gsm8k", "truthfulqa"]
    assert raws["benchmarks.tasks"] == "piqa"
    assert "judge.own" not in _evaluate_raws.hidden(raws)


def test_problems_stand_beside_what_they_are_about(studio):
    page = EvaluatePage(studio, "zh")
    raws = {**filled(page, model="starter")["values"], "data": [DATA], "metrics": [
        "exact_match", "regex"], "judge.limit": "many", "generation.max_new_tokens": "0"}
    beside = told(check(page, raws)[0])["problems"]
    assert {"judge.limit", "generation.max_new_tokens", "option.regex.pattern"} <= set(beside)
    assert "指标" in beside["option.regex.pattern"][0]
    raws = {**raws, "metrics": [], "judge.limit": "", "generation.max_new_tokens": "16",
            "models": ["no-such-model"]}
    html, ready, _, _ = check(page, raws)
    assert not ready and any(path.startswith("models") for path in told(html)["problems"])
    assert 'href="#field-models"' in html


def test_nothing_chosen_is_asked_for_first(studio):
    page = EvaluatePage(studio, "en")
    raws = filled(page, model="starter")["values"]
    assert "Choose a model first." in check(page, {**raws, "models": []})[0]
    assert "Choose data or a benchmark." in check(page, {**raws, "data": []})[0]


def test_own_code_asks_with_its_digest_and_again_when_it_changes(studio):
    path = studio.home.models / "mine.py"
    path.write_text("def score(prompts, predictions, references):\n    return []\n")
    page = EvaluatePage(studio, "en")
    raws = {**filled(page, model="starter")["values"], "data": [DATA], "metrics": ["python"],
            "option.python.path": str(path)}
    state = told(check(page, raws)[0])
    digest = state["digests"]["option.python.sha256"]
    assert "nobody has consented" in state["problems"]["option.python.sha256"][0]
    raws["option.python.sha256"] = digest
    assert "digests" not in told(check(page, raws)[0]) or not told(check(page, raws)[0])["digests"]
    path.write_text(path.read_text() + "# changed\n")
    again = told(check(page, raws)[0])
    assert again["digests"]["option.python.sha256"] != digest
    assert "has changed" in again["problems"]["option.python.sha256"][0]


def test_a_problem_without_a_field_of_its_own_is_of_the_whole():
    problem = Problem(field="metrics.7.pattern", code="x", message="m")
    assert _evaluate_raws.placed(problem, {"metrics": ["regex"]}) == problem


def test_start_queues_once_and_a_clone_has_the_same(studio):
    page = EvaluatePage(studio, "en")
    raws = {**filled(page, model="starter")["values"], "data": [DATA], "max_samples": "2"}
    first, _ = page._start("key", json.dumps(raws))
    assert first and page._start("key", json.dumps(raws))[0] == first
    assert studio.run(first).objective == "evaluate"
    values = filled(page, clone=first)["values"]
    assert values["models"] == ["starter"] and values["max_samples"] == "2"
    assert "data-live" in page._drawn({})[0] and first in page._drawn({"run": first})[0]


def test_an_address_that_means_nothing_says_so(studio):
    page = EvaluatePage(studio, "en")
    assert "evaluate-empty" in page._drawn({})[1]
    reader = Reader()
    reader.feed(page._drawn({"run": NASTY})[1])
    assert reader.bad == [] and "evaluate-missing" in page._drawn({"run": NASTY})[1]
    assert page._arrive(request(run="x", page="-1", order="<b>"))[1]


def test_another_choice_draws_the_rows_alone_and_what_ends_meanwhile_is_drawn_later(studio):
    """The mark of what was seen stays, so that the next tick finds what has changed since."""
    evaluation(studio.home.runs, "ev", {"a": [line(1, 1)], "b": [line(1, 0)]})
    studio.reconcile()
    page = EvaluatePage(studio, "en")
    _, found, rows, looked, seen = page._drawn({"run": "ev"})
    live, again, turned, told_now, mark = page._turn(json.dumps(
        {"run": "ev", "only": "right", "at": 1}), looked)
    assert live == again == mark == gr.skip() and "evaluate-matrix" in found
    assert 'data-row="1"' in rows and 'data-row="1"' not in turned
    assert json.loads(told_now) == {"run": "ev", "only": "right"}
    assert page._tick(told_now, seen) == (gr.skip(),) * 5
    assert page._tick(told_now, "ev:running:1|")[1] == found
    assert page._turn("{}", told_now)[1] != gr.skip()

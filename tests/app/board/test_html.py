"""Whatever people, files and models say is shown as text (rule R13)."""

import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.board.pages import _chart, _compare, _run_html, _train_html
from app.board.pages._parts import (
    chip,
    method_words,
    progress_words,
    shown_fraction,
    sparkline,
    stage_words,
)
from app.board.pages.runs import table_html
from app.outcome import Result
from app.runs import Progress, Run, RunState
from trainer.contract.commits import CheckpointInfo
from trainer.contract.config import RunConfig, all_fields, load_yaml, parse, to_yaml
from trainer.contract.events import ChoiceEvent, DataEvent, SampleEvent, WarningEvent
from trainer.contract.problems import Problem

NASTY = '<img src=x onerror="alert(1)">\'"><script>alert(2)</script>{{value}}${7*7}&amp;'


def a_run(**changes):
    base = Run(id="r-1", name=NASTY, state=RunState.RUNNING, dir=Path("/runs") / "r-1",
               objective="sft", model=NASTY, method="lora", device=NASTY, tags=(NASTY,),
               reason=NASTY, attempt=2, created_at=1.0, started_at=2.0,
               progress=Progress("training", 3, 10, 40.0), latest={"loss": 0.5})
    return replace(base, **changes)


class Reader(HTMLParser):
    """Notes elements and attributes that would run something."""

    def __init__(self):
        super().__init__()
        self.bad, self.words = [], []

    def handle_starttag(self, tag, attrs):
        self.words += [value or "" for _, value in attrs]
        self.bad += [tag] if tag in ("img", "script", "iframe") else []
        self.bad += [name for name, value in attrs
                     if name.startswith("on") or (value or "").lower().startswith("javascript:")]

    def handle_data(self, data):
        self.words.append(data)


def is_clean(html):
    """Tell whether the nasty text is in there, and only as text."""
    reader = Reader()
    reader.feed(html)
    return not reader.bad and "onerror=" in "".join(reader.words)


def test_a_run_of_nasty_names_is_text():
    run = a_run(state=RunState.FAILED)
    warning = WarningEvent(code=NASTY, message=NASTY, step=3)
    result = Result("failed", "nasty", NASTY, NASTY)
    for html in (_run_html.hero("en", run, (None, None), 0),
                 _run_html.health("en", run, [warning], resume_step=0, result=result),
                 _run_html.samples("en", [SampleEvent(step=1, prompt=NASTY, reference=NASTY,
                                                      output=NASTY + "2")]),
                 _run_html.choices("zh", [ChoiceEvent(field=NASTY, value=NASTY, reason=NASTY)]),
                 _run_html.checkpoints("en", [CheckpointInfo(1, Path("x"), 9, NASTY)]),
                 _run_html.log("en", NASTY, ""), _run_html.config("en", NASTY),
                 _run_html.lost("en", run, []), _run_html.not_found("zh", NASTY),
                 _run_html.facts("en", a_run(id=NASTY)), _run_html.links("en", a_run(id=NASTY)),
                 _chart.chart_html("en", [run])):
        assert is_clean(html), html


class FewRuns:
    def __init__(self, *runs):
        self.found = runs

    def runs(self, *, state=None, search=""):
        return [run for run in self.found if not state or run.state == state]

    def run(self, run_id):
        return next(run for run in self.found if run.id == run_id)

    def sparkline(self, ids):
        return {key: [2.0, None, 1.0] for key in ids}

    def config_yaml(self, run_id):
        return to_yaml(RunConfig(name="x", data={"train": [NASTY]} if run_id == "r-2" else {}))


def test_a_rewarded_answer_says_its_reward_apart_from_what_was_expected():
    samples = [SampleEvent(step=1, prompt="1 + 2?", reference="3", output="4", reward=0.25),
               SampleEvent(step=1, prompt="1 + 2?", reference="", output="5")]
    english, chinese = (_run_html.samples(locale, samples) for locale in ("en", "zh"))
    assert "Reward: 0.25<" in english and "Expected: 3<" in english
    assert "奖励： 0.25<" in chinese and "标准答案： 3<" in chinese
    assert english.count("Reward:") == 1 and english.count("Expected:") == 1


def test_the_table_of_runs_is_text():
    html = table_html(FewRuns(a_run(), a_run(id="r-2", state=RunState.QUEUED)), "en", "", "")
    assert is_clean(html) and html.count('role="listitem"') == 2
    assert "3 / 10 steps · 40 s left" in html and "next in line" in html


def test_an_empty_table_says_what_to_do_first():
    assert "preset=quickstart" in table_html(FewRuns(), "en", "", "")
    assert "preset=quickstart" not in table_html(FewRuns(), "en", "word", "")


def test_a_comparison_is_text_and_shows_only_differences():
    html = _compare.panel(FewRuns(a_run(), a_run(id="r-2")), "en", ["r-1", "r-2"])
    assert is_clean(html)
    assert html.count("<tr>") == 2
    configs = [load_yaml(FewRuns().config_yaml(key)) for key in ("r-1", "r-2")]
    assert [path for path, _ in _compare.differences(configs)] == ["data.train"]


def test_datasets_and_rewards_are_compared_by_what_is_set():
    uses = [{"name": "length", "target": 4, "pattern": None}, {"name": "exact_answer"}, "plain"]
    assert _compare._cell("en", "rollout.rewards", uses) == "length (target=4), exact_answer, plain"
    assert _compare._cell("en", "dpo.mixture", {"sft": 1, "ipo": 0.5}) == "sft=1, ipo=0.5"
    assert is_clean(_compare._cell("en", "rollout.rewards", [{"name": NASTY, "path": NASTY}]))


def test_problems_and_yaml_of_the_form_are_text():
    raws = {path: NASTY for path in all_fields()}
    found = [Problem(field="name", code="x", message=NASTY, advice=NASTY),
             Problem(field="", code="y", message=NASTY)]
    html = _train_html.problems("en", found, raws)
    assert is_clean(html)
    state = json.loads(unescape(re.search(r'data-state="([^"]*)"', html)[1]))
    assert list(state["problems"]) == ["field-name"]
    assert is_clean(_train_html.same_run("zh", NASTY))


def test_the_short_yaml_says_the_same_run():
    for config in (RunConfig(), RunConfig(name="a", training={"max_steps": 3}, tuner={"r": 4})):
        assert parse(load_yaml(_train_html.short_yaml(config))) == config
    assert "starter" in _train_html.short_yaml(RunConfig())


def test_every_state_has_a_chip_and_a_sentence_in_both_languages():
    for state in RunState:
        run = a_run(state=state, ended_at=60.0)
        assert chip("zh", run) != chip("en", run)
        assert progress_words("zh", run) and progress_words("en", run)
        assert 0 <= shown_fraction(run) <= 1


def test_tokenizing_shows_its_own_progress():
    run = a_run(progress=Progress("tokenizing", 0, 0, None, 250, 1000, "rows"))
    assert stage_words("en", run) == "tokenizing · 250 / 1,000"
    assert shown_fraction(run) == 0.25


def test_words_of_methods_and_curves():
    assert method_words("en", a_run(model="starter")) == "Supervised · LoRA · starter"
    assert "polyline" not in sparkline([1.0, None], "x")
    assert sparkline([1.0, 1.0], "x").count(",") == 2


def test_a_result_is_said_in_chinese_by_its_code():
    run = a_run(state=RunState.FAILED, reason="The disk is full.")
    result = Result("failed", "disk_full", "The disk is full.", "Free some space.")
    html = _run_html.health("zh", run, [], resume_step=40, result=result)
    assert "磁盘已满" in html and "40" in html
    assert "Free some space." in _run_html.health("en", run, [], resume_step=0, result=result)


def test_data_counts_come_from_the_newest_event_of_a_split():
    html = _run_html.data("en", [DataEvent(split="train", rows=1, used=1),
                                 DataEvent(split="train", rows=1234, used=1200, bad_rows=34)])
    assert "1,234" in html and "1,200" in html and "34" in html
    assert _run_html.data("en", []) == ""


@pytest.mark.parametrize("share", [0.5, 0.95, 1.5])
def test_the_fit_is_said_in_words(share):
    class Part:
        key, label, bytes, reason = "weights", "Weights", 100, NASTY

    class Estimate:
        parts, steps, checkpoint_bytes, trainable_parameters = [Part], 10, 5_000_000, 7
        available_bytes, total_bytes = 1_000_000_000, int(share * 1_000_000_000)

    html = _train_html.fit("en", Estimate, False)
    assert is_clean(html)
    words = {0.5: "It fits<", 0.95: "barely", 1.5: "Too large"}[share]
    assert words in html


@pytest.mark.parametrize(("objective", "latest", "words"), [
    ("reward", {}, "scores"), ("classification", {}, "scores"),
    ("sft", {"lr_finder_rate": 1.0}, "learning rate finder")])
def test_a_result_that_cannot_be_talked_to_says_why(objective, latest, words):
    run = a_run(state=RunState.COMPLETED, objective=objective, latest=latest)
    assert words in _run_html.cannot_chat("en", run)
    assert "对话" in _run_html.cannot_chat("zh", run)
    assert _run_html.cannot_chat("en", replace(run, state=RunState.RUNNING)) == ""
    assert _run_html.cannot_chat("en", replace(run, objective="dpo", latest={})) == ""


SPIKE = ("The gradient norm of step 20 is 42.5, 56 times the median of the steps before (0.765). "
         "If the loss jumps as well, lower the learning rate or clip harder.")


def test_a_sweep_offers_its_rate_once_it_has_ended():
    latest = {"lr_finder_rate": 1.0, "proposed_learning_rate": 0.0003}
    run = a_run(id="a b", state=RunState.COMPLETED, latest=latest)
    html = _run_html.health("en", run, [], resume_step=0, result=None)
    assert "./train?clone=a%20b&amp;rate=3e-4" in html and "3e-4" in html
    running = replace(run, state=RunState.RUNNING)
    assert _run_html.health("en", running, [], resume_step=0, result=None) == ""
    spike = WarningEvent(code="gradient_spike", message=SPIKE, step=20)
    assert _run_html.health("en", running, [spike], resume_step=0, result=None) == ""
    trains = replace(run, latest={}, state=RunState.RUNNING)
    assert "42.5" in _run_html.health("en", trains, [spike], resume_step=0, result=None)
    assert "第 20 步的梯度范数为 42.5" in _run_html.health(
        "zh", trains, [spike], resume_step=0, result=None)


def test_held_out_accuracy_stands_at_the_head():
    run = a_run(objective="classification", latest={"loss": 1.0, "eval_accuracy": 0.875})
    assert "87.5 %" in _run_html.hero("en", run, (None, None), 0)
    assert "held-out accuracy" in _run_html.hero("en", run, (None, None), 0)


def test_where_answers_are_scored_the_reward_stands_in_place_of_the_loss():
    html = _run_html.hero("en", a_run(latest={"loss": 0.5, "reward": 0.25}), (None, None), 0)
    assert "0.25" in html and "0.500" not in html


@pytest.mark.parametrize(("changes", "words", "stat"), [
    ({"attempt": 1}, "done in 40 s", "in all"),
    ({"latest": {"train_runtime_s": 7200.0}}, "done after 2 h of training", "of training"),
    ({}, "done; the last attempt took 40 s", "last attempt"),
])
def test_a_resumed_run_does_not_call_its_last_attempt_the_whole(changes, words, stat):
    run = a_run(state=RunState.COMPLETED, started_at=100.0, ended_at=140.0, **changes)
    assert progress_words("en", run) == words
    assert stat in _run_html.hero("en", run, (None, None), 0)


def test_a_config_shows_what_differs_and_folds_the_rest():
    config = RunConfig.model_validate({"name": "mine", "training": {"learning_rate": 0.5}})
    shown = _run_html.config("en", to_yaml(config))
    brief, _, whole = shown.partition("<details")
    assert "learning_rate: 0.5" in brief and "name_or_path: starter" in brief
    assert "adam_beta1" not in brief and "adam_beta1" in whole
    assert "<details" not in _run_html.config("en", "objective: of a later version")

"""What preflight says of data for every kind of rows."""

import json

import pytest

from app.devices import DeviceProbe
from app.home import Home
from app.preflight import Preflight
from trainer.contract.config import OBJECTIVES
from trainer.data.shapes.objectives import fits

KTO = {"objective": "kto", "data": {"train": ["sample_preferences"]}}


@pytest.fixture
def preflight(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    made = Preflight(Home.open(tmp_path / "home"), DeviceProbe(list))
    yield made
    made.data.close()


def for_objective(objective, name, **more):
    facts = OBJECTIVES[objective]
    values = {"objective": objective, "data": {"train": [name], **more.pop("data", {})}, **more}
    if facts.teacher:
        values["teacher"] = {"name_or_path": "starter"}
    if objective in ("grpo", "rloo"):
        values["rollout"] = {"rewards": [{"name": "exact_answer"}]}
    return values


def of_data(found):
    return [problem.code for problem in found.problems
            if problem.field.startswith(("data.", "evaluation.", "rollout.rewards"))]


def reasons(found, field):
    return [choice.reason for choice in found.choices if choice.field == field]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_sample_is_ready_for_what_it_fits_and_refused_for_the_rest(preflight, objective):
    for name in ("sample_chat", "sample_preferences", "sample_kto", "sample_text",
                 "sample_questions", "sample_classes"):
        kind = preflight.data.report(name)[0].kind
        found = preflight.check(for_objective(objective, name))
        wanted = [] if fits(kind, objective) else [f"{kind}_for_{objective}"]
        assert of_data(found) == wanted, (name, found.problems)
        assert all(problem.advice for problem in found.problems)


def test_pairs_that_are_judged_count_twice_and_are_told_of(preflight):
    pairs, single = (preflight.check({"objective": "kto", "data": {"train": [name]}})
                     for name in ("sample_preferences", "sample_kto"))
    assert pairs.estimate.steps == 2 * single.estimate.steps
    assert "each pair is read as a desired and an undesired answer" in reasons(pairs, "data.train")
    assert len(reasons(single, "data.train")) == 1


def test_conversations_for_sampling_are_told_of(preflight):
    found = preflight.check(for_objective("grpo", "sample_instructions"))
    assert "the last answer of each row is read as the right one" in reasons(found, "data.train")
    assert reasons(preflight.check(for_objective("grpo", "sample_questions")), "data.train") == [
        "the registry says so; 400 rows"]


def test_what_needs_a_right_answer_is_refused_where_there_is_none(preflight, tmp_path):
    path = tmp_path / "asked.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"Say {n}."}) + "\n" for n in range(30)))
    rewarded = preflight.check(for_objective("grpo", str(path)))
    assert of_data(rewarded) == ["reward_needs_reference"]
    matched = preflight.check(for_objective(
        "distillation", str(path), data={"val_size": 4}, evaluation={"exact_match": True}))
    assert of_data(matched) == ["no_reference"]
    for metrics, wanted in ((["json"], []), (["json", "chrf"], ["metrics_no_reference"])):
        scored = preflight.check(for_objective(
            "distillation", str(path), data={"val_size": 4}, evaluation={"metrics": metrics}))
        assert of_data(scored) == wanted
    assert of_data(preflight.check(for_objective("distillation", str(path)))) == []
    known = preflight.check(for_objective(
        "grpo", "sample_questions", data={"val_size": 4}, evaluation={"exact_match": True}))
    assert of_data(known) == []


def test_classes_are_told_and_no_template_is_asked_for(preflight):
    found = preflight.check(for_objective("classification", "sample_classes"))
    (classes,) = [c for c in found.choices if c.field == "classification.labels"]
    assert classes.value == "5" and "'animal', 'food', 'home', 'music', 'work'" in classes.reason
    assert reasons(found, "data.template") == []
    named = preflight.check(for_objective(
        "classification", "sample_classes",
        classification={"labels": ["work", "home", "music", "food", "animal"]}))
    assert reasons(named, "classification.labels") == []

"""What a run that waits or works still needs stays; what has ended needs nothing."""

import dataclasses

import pytest

from app.models_uses import Uses
from app.runs import RunError, RunState
from tests.app.test_kindfit import run_of
from trainer.contract.kinds import parse_any
from trainer.contract.rundir import RunDir

TUNED, ASKING = "20261121-bot-aaaaaa", "20261122-asking-bbbbbb"


@pytest.fixture
def asking(fake_studio, monkeypatch):
    """A studio with a trained run, and a function that queues an evaluation, never started."""
    run_of(fake_studio.home, TUNED)
    fake_studio.reconcile()
    monkeypatch.setattr(fake_studio.scheduler, "tick", lambda: None)

    def queue(**values):
        RunDir(fake_studio.home.runs / ASKING).create(
            parse_any({"kind": "evaluate", "models": ["starter"], "data": ["mine"], **values}),
            {"state": "queued", "attempt": 1})
        fake_studio.reconcile()
        return fake_studio.run(ASKING)

    return fake_studio, queue


@pytest.mark.parametrize("values", [
    {"models": ["starter", TUNED]}, {"models": [f"{TUNED}/checkpoint-8"]}, {"models": [TUNED]},
    {"judge": {"model": TUNED, "mode": "score"}},
    {"metrics": [{"name": "embedding", "model": TUNED}]}])
def test_what_is_going_to_be_evaluated_stays(asking, values):
    studio, queue = asking
    assert queue(**values).state is RunState.QUEUED
    with pytest.raises(RunError, match=ASKING) as raised:
        studio.delete(TUNED)
    assert raised.value.code == "needed" and (studio.home.runs / TUNED).is_dir()
    studio.stop(ASKING)
    studio.delete(TUNED)
    assert not (studio.home.runs / TUNED).exists() and studio.run(ASKING)


def test_an_evaluation_of_others_is_in_nobodys_way(asking):
    studio, queue = asking
    queue()
    studio.delete(TUNED)


def test_models_are_used_by_evaluations_until_they_have_ended(asking):
    _, queue = asking
    run = queue(models=["starter", f"{TUNED}/checkpoint-8"], judge={"model": "house/large"})
    assert [user.id for user in Uses().table([run])[TUNED]] == [ASKING]
    assert set(Uses().table([run])) == {"starter", TUNED, "house/large"}
    assert Uses().table([dataclasses.replace(run, state=RunState.COMPLETED)]) == {}


def test_datasets_are_used_by_evaluations(asking):
    studio, queue = asking
    queue(data=["mine", {"name": "sample_instructions", "max_samples": 2}])
    assert studio.data.active_users("mine") == ["evaluation"]
    assert (ASKING, "evaluation") in studio.data.choice("sample_instructions").used_by


def test_the_index_is_made_again_from_the_folder(asking):
    studio, queue = asking
    run = queue(models=["starter", TUNED])
    with studio.store.write() as writer:
        writer.delete(ASKING)
    studio.reconcile()
    found = studio.run(ASKING)
    assert (found.objective, found.model, found.method) == (run.objective, run.model, run.method)
    assert (found.objective, found.method) == ("evaluate", "mine")

"""Generated answers to held-out questions: curves of their scores, and the best step by them."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.config.evaluation import SCORES
from trainer.contract.events import ChoiceEvent, ProgressEvent, SampleEvent

pytestmark = pytest.mark.training
LEARNS = {"max_steps": 80, "eval_steps": 10, "learning_rate": 6e-3,
          "lr_scheduler_type": "constant"}
FULL = {"tuner": {"type": "full"}, "training": LEARNS}


def answers(run: Any, name: str) -> list[dict[str, Any]]:
    text = (run.eval / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def kept(run: Any) -> list[int]:
    return sorted(int(path.stem[5:]) for path in run.eval.glob("step-*.jsonl"))


def weights_of(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(next(folder.glob("*.safetensors")))


@pytest.fixture(scope="session")
def misleading(tmp_path_factory: pytest.TempPathFactory, cf: Any) -> Path:
    """Half of the rows can be learned; the surer a model is, the worse its loss on the others."""
    rows = cf.colour_rows(12, seed=7)
    wrong = [{**row, "output": "purple"} for row in cf.colour_rows(12, seed=8)]
    return cf.write_rows(tmp_path_factory.mktemp("data") / "misleading.jsonl", rows + wrong)


def test_a_run_that_learns_shows_its_scores_rising(runs: Any, cf: Any, held_out: Path) -> None:
    metrics = [name for name in SCORES if name != "numeric"]
    run = runs.make("rising", **cf.merge(FULL, {"data": {"eval": [str(held_out)]}}),
                    evaluation={"metrics": metrics, "samples": 2, "prompts": ["Who are you?"]})
    events = runs.train(run)
    end = cf.end_of(events)
    assert end.outcome == "completed", end
    for name in metrics:
        for score in SCORES[name]:
            assert list(cf.series(events, f"eval_{score}")) == list(range(0, 81, 10)), score
    curve = cf.series(events, "eval_exact_match")
    assert curve[0] == 0 and curve[80] > 0.7, curve
    assert list(cf.series(events, "eval_loss")) == list(range(10, 81, 10))
    assert kept(run) == [60, 70, 80]
    said = answers(run, "step-80")
    assert len(said) == 12 == len(answers(run, "predictions-base"))
    right = [row["score"]["exact_match"] for row in said]
    assert sum(right) / 12 == pytest.approx(curve[80]) and set(right) <= {0, 1}
    assert [row["prediction"] == row["reference"] for row in said] == [one == 1 for one in right]
    samples = [e for e in events if isinstance(e, SampleEvent) and e.step == 80]
    assert [s.prompt for s in samples] == ["Who are you?", *(row["prompt"] for row in said[:2])]
    assert [s.output for s in samples[1:]] == [row["prediction"] for row in said[:2]]
    progress = [e for e in events if isinstance(e, ProgressEvent) and e.unit == "questions"]
    assert {(e.stage, e.total) for e in progress} == {("baseline", 12), ("evaluating", 12)}
    told = [e for e in events if isinstance(e, ChoiceEvent) and e.field == "evaluation.metrics"]
    assert len(told) == 1 and "12 questions" in told[0].reason
    assert 0 < end.metrics["answer_runtime_s"] < end.metrics["train_runtime_s"]


@pytest.mark.parametrize("over", [
    {"tuner": {"lora_dropout": 0.2}},
    {"tuner": {"type": "full"}, "training": {
        "gradient_checkpointing": True, "neftune_noise_alpha": 5, "packing": "bfd",
        "ema": {"type": "ema"}}},
    {"objective": "dpo", "tuner": {"lora_dropout": 0.2}, "training": {
        "gradient_checkpointing": True}}], ids=["lora", "full", "dpo"])
def test_training_is_the_same_with_and_without(runs: Any, cf: Any, over: Any, held_out: Path,
                                               pairs: Path) -> None:
    """Against a run that answers nothing at all; the model's and tokenizer's files are the same."""
    data = {"train": [str(pairs)], "eval": [], "val_size": 4} \
        if "objective" in over else {"eval": [str(held_out)]}
    over = cf.merge({"data": data, "training": {"max_steps": 8, "eval_steps": 2}}, over)
    asked = runs.make("with", **over, evaluation={"metrics": ["chrf"]})
    plain = runs.make("without", **over)
    first, second = runs.train(asked), runs.train(plain)
    assert cf.end_of(first).outcome == cf.end_of(second).outcome == "completed"
    for name in ("loss", "grad_norm", "eval_loss"):
        assert cf.series(first, name) == cf.series(second, name), name
    assert list(cf.series(first, "eval_chrf")) == [0, 2, 4, 6, 8]
    assert not cf.series(second, "eval_chrf") and not list(plain.eval.glob("*.jsonl"))
    ours, theirs = (one.adapter if one.adapter.is_dir() else one.model for one in (asked, plain))
    names = sorted(path.name for path in ours.iterdir())
    assert names == sorted(path.name for path in theirs.iterdir()) and len(names) > 3
    for name in names:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name


def test_answers_at_some_evaluations_only(runs: Any, cf: Any, held_out: Path) -> None:
    run = runs.make("some", data={"eval": [str(held_out)]},
                    training={"max_steps": 9, "eval_steps": 2},
                    evaluation={"metrics": ["chrf"], "generate_steps": 4, "limit": 5,
                                "samples": 6})
    events = runs.train(run)
    assert list(cf.series(events, "eval_loss")) == [2, 4, 6, 8, 9]
    assert list(cf.series(events, "eval_chrf")) == [0, 4, 8, 9]
    assert len(answers(run, "step-8")) == 5
    samples = [e for e in events if isinstance(e, SampleEvent)]
    assert [sum(s.step == step for s in samples) for step in (2, 4, 9)] == [6, 6, 6]


@pytest.mark.parametrize("name", ["eval_loss", "eval_exact_match"])
def test_the_best_by_answers_is_not_the_best_by_loss(runs: Any, cf: Any, misleading: Path,
                                                     name: str) -> None:
    run = runs.make(name, **cf.merge(FULL, {
        "data": {"eval": [str(misleading)]}, "evaluation": {"metrics": ["exact_match"]},
        "training": {"load_best_model_at_end": True, "metric_for_best_model": name}}))
    events = runs.train(run)
    end = cf.end_of(events)
    assert end.outcome == "completed", end
    loss, match = cf.series(events, "eval_loss"), cf.series(events, "eval_exact_match")
    by_loss, by_match = min(loss, key=lambda s: loss[s]), max(match, key=lambda s: match[s])
    assert by_loss < by_match, (loss, match)
    best = by_loss if name == "eval_loss" else by_match
    values = loss if name == "eval_loss" else match
    assert end.metrics["best_step"] == best
    assert end.metrics[f"best_{name}"] == pytest.approx(values[best])
    assert best in kept(run) and len(kept(run)) <= 4
    ours = weights_of(run.model)
    theirs = weights_of(run.checkpoints / f"checkpoint-{best}")
    assert all((ours[key] == theirs[key]).all() for key in ours)


def test_early_stopping_by_answers(runs: Any, cf: Any, held_out: Path) -> None:
    """The loss falls at each evaluation, but no answer is ever right."""
    run = runs.make("stuck", data={"eval": [str(held_out)]}, training={
        "max_steps": 30, "eval_steps": 2, "early_stopping_patience": 2,
        "metric_for_best_model": "eval_exact_match"}, evaluation={"metrics": ["exact_match"]})
    events = runs.train(run)
    loss = list(cf.series(events, "eval_loss").values())
    assert loss == sorted(loss, reverse=True) and max(cf.series(events, "loss")) == 6
    (said,) = [e for e in events if isinstance(e, ChoiceEvent) and "stopping" in e.field]
    assert said.reason == "2 evaluations without progress beyond eval_exact_match 0"


def test_a_resume_keeps_the_best_and_has_each_step_once(
        runs: Any, cf: Any, misleading: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The best comes before the stop, is as good as those after it, and outlives many saves."""
    over = cf.merge(FULL, {
        "data": {"eval": [str(misleading)]},
        "evaluation": {"metrics": ["exact_match", "chrf"], "generate_steps": 20},
        "training": {"max_steps": 160, "load_best_model_at_end": True, "save_steps": 5,
                     "save_total_limit": 2, "metric_for_best_model": "eval_exact_match"}})
    found = runs.in_halves(monkeypatch, 127, **over)
    found.require_same("eval_exact_match", "eval_chrf", "eval_loss", "loss")
    match = cf.series(found.unbroken, "eval_exact_match")
    best = max(match, key=lambda step: match[step])
    assert best < 127 and match[best] == match[160]
    first, second = (set(cf.series(one, "eval_chrf")) for one in (found.first, found.second))
    assert first == set(range(0, 127, 20)) and second == {140, 160}
    for events in (found.unbroken, found.second):
        end = cf.end_of(events).metrics
        assert (end["best_step"], end["best_eval_exact_match"]) == (best, match[best])
    for run in (found.whole, found.halves):
        assert {step for step, _ in run.checkpoint_folders()} == {best, 155, 160}
        assert kept(run) == [best, 120, 140, 160]
        ours, theirs = (weights_of(folder) for folder in (
            run.model, run.checkpoints / f"checkpoint-{best}"))
        assert all((ours[name] == theirs[name]).all() for name in ours)


@pytest.mark.parametrize("cut", [2, 5], ids=["midway", "last"])
@pytest.mark.parametrize("optim", ["adamw_torch", "schedule_free_adamw"])
def test_a_stop_while_answering_is_made_up_for(
        runs: Any, cf: Any, held_out: Path, monkeypatch: pytest.MonkeyPatch, cut: int,
        optim: str) -> None:
    """Also of the last step, after which nothing is left to train."""
    from trainer.evaluate import Answerer

    keeps = optim == "adamw_torch"
    over = {"data": {"eval": [str(held_out)]}, "evaluation": {"metrics": ["chrf"]}, "training": {
        "max_steps": 5, "eval_steps": 2, "optim": optim, "lr_scheduler_type": "constant",
        "load_best_model_at_end": keeps, "metric_for_best_model": "eval_chrf"}}
    run, whole = runs.make("cut", **over), runs.make("whole", **over)
    unbroken = runs.train(whole)
    asked, before = [], Answerer._batch

    def interrupted(self: Any, prompts: Any) -> Any:
        asked.append(len(prompts))
        if len(asked) == {2: 2, 5: 4}[cut]:
            os.kill(os.getpid(), signal.SIGTERM)
        return before(self, prompts)

    with monkeypatch.context() as patch:
        patch.setattr(Answerer, "_batch", interrupted)
        first = runs.train(run)
    assert cf.end_of(first).outcome == "stopped"
    assert list(cf.series(first, "eval_chrf")) == {2: [0], 5: [0, 2, 4]}[cut]
    assert max(step for step, _ in run.checkpoint_folders()) == cut
    second = runs.train(run)
    assert cf.end_of(second).outcome == "completed"
    for name in ("eval_chrf", "eval_loss"):
        found = cf.series(first, name) | cf.series(second, name)
        assert found == cf.series(unbroken, name) and cut in cf.series(second, name), name
    ends = [cf.end_of(events).metrics for events in (unbroken, second)]
    assert [end.get("best_step") for end in ends] == [5 if keeps else None] * 2
    assert kept(run) == kept(whole) == [2, 4, 5]
    ours, theirs = weights_of(run.adapter), weights_of(whole.adapter)
    assert all((ours[name] == theirs[name]).all() for name in theirs)


def test_what_cannot_be_scored_is_said_before_training(runs: Any, cf: Any, held_out: Path) -> None:
    run = runs.make("numbers", data={"eval": [str(held_out)]}, evaluation={"metrics": ["numeric"]})
    events = runs.train(run)
    end = cf.end_of(events)
    assert (end.outcome, end.code) == ("failed", "no_reference") and "'numeric'" in end.message
    assert cf.series(events, "loss") == {}


class Narrow:
    """Answers that say what was asked, four at a time; more do not fit."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, answerer: Any, prompts: list[list[int]]) -> list[str]:
        import torch

        self.asked.append(len(prompts))
        if len(prompts) > 4:
            raise torch.OutOfMemoryError("no room")
        return [str(ids) for ids in prompts]


def test_a_batch_that_does_not_fit_is_asked_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from trainer.evaluate import Answerer, Question

    narrow = Narrow()
    monkeypatch.setattr(Answerer, "_batch", lambda self, prompts: narrow(self, prompts))
    questions = [Question(n, "", "", "", [0] * (n % 5)) for n in range(11)]
    model, done = torch.nn.Linear(1, 1), []
    answers = Answerer(model, None, (), 8).answer(questions, done.append)  # type: ignore[arg-type]
    assert answers == [str(one.input_ids) for one in questions] and model.training
    assert narrow.asked == [11, 5, 2, 2, 2, 2, 2, 1] and done == [2, 4, 6, 8, 10, 11]


def test_answers_of_steps_that_were_undone_are_removed(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from trainer.measures import Examiner

    context: Any = SimpleNamespace(run=SimpleNamespace(eval=tmp_path))
    for step in (2, 4, 6, 8, 10, 20, 30):
        (tmp_path / f"step-{step}.jsonl").write_text("", encoding="utf-8")
    (tmp_path / "step-x.jsonl").write_text("", encoding="utf-8")
    Examiner(context, None, [], [])._tidy(10, 2)  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-10.jsonl", "step-2.jsonl", "step-6.jsonl", "step-8.jsonl", "step-x.jsonl"]

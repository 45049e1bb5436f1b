"""Stopping and going on: the curve of a resumed run equals that of one that never stopped."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from trainer.contract import commits
from trainer.contract.events import CheckpointEvent, ResumeEvent, WarningEvent

pytestmark = pytest.mark.training
NAMES = ("loss", "grad_norm", "learning_rate", "num_tokens", "eval_loss", "token_accuracy")


def curves(cf: Any, *attempts: Any) -> dict[str, dict[int, float | None]]:
    """Join the series of attempts; what a later one says of a step counts."""
    joined: dict[str, dict[int, float | None]] = {name: {} for name in NAMES}
    for events in attempts:
        for name in NAMES:
            joined[name].update(cf.series(events, name))
    return joined


METHODS: dict[str, dict[str, Any]] = {
    "lora": {"tuner": {"lora_dropout": 0.2}},
    "full": {"tuner": {"type": "full"}, "training": {"learning_rate": 1e-3}},
    "grouped": {"tuner": {"lora_dropout": 0.1},
                "training": {"group_by_length": True, "gradient_accumulation_steps": 2}},
    "plain-order": {"training": {"group_by_length": False}},
}


@pytest.mark.parametrize("method", METHODS)
def test_ten_and_ten_steps_are_twenty(runs: Any, cf: Any, held_out: Path, method: str,
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    over = cf.merge({"data": {"eval": [str(held_out)]}, "evaluation": {"samples": 1},
                     "training": {"max_steps": 20, "eval_steps": 5, "save_steps": None,
                                  "lr_scheduler_type": "cosine", "warmup_ratio": 0.1,
                                  "per_device_train_batch_size": 5}}, METHODS[method])
    whole = runs.train(runs.make("whole", **over))
    run = runs.make("halves", **over)
    with monkeypatch.context() as patch:
        cf.StopAt(patch, 10)
        first = runs.train(run)
    assert cf.end_of(first).outcome == "stopped", cf.end_of(first)
    second = runs.train(run)
    assert isinstance(second[0], ResumeEvent) and second[0].step == 10
    assert second[0].checkpoint == "checkpoint-10"
    assert cf.end_of(second).outcome == "completed", cf.end_of(second)
    assert curves(cf, first, second) == curves(cf, whole)
    for name in ("train_loss", "eval_loss", "num_tokens"):
        assert cf.end_of(second).metrics[name] == cf.end_of(whole).metrics[name], name


def test_dpo_resumes_exactly(runs: Any, cf: Any, pairs: Path,
                             monkeypatch: pytest.MonkeyPatch) -> None:
    over = {"objective": "dpo", "data": {"train": [str(pairs)]}, "training": {"max_steps": 10},
            "tuner": {"lora_dropout": 0.1}}
    whole = runs.train(runs.make("whole", **over))
    run = runs.make("halves", **over)
    with monkeypatch.context() as patch:
        cf.StopAt(patch, 5)
        first = runs.train(run)
    second = runs.train(run)
    assert cf.end_of(second).outcome == "completed", cf.end_of(second)
    joined = cf.series(first, "rewards_margins") | cf.series(second, "rewards_margins")
    assert joined == cf.series(whole, "rewards_margins")


def test_a_checkpoint_that_was_not_committed_is_not_resumed_from(
        runs: Any, cf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.make("crash", training={"max_steps": 8, "save_steps": 4})
    real = commits.commit

    def crash(folder: Path, step: int) -> int:
        if step == 8:
            raise OSError(5, "the machine went away")
        return real(folder, step)

    with monkeypatch.context() as patch:
        patch.setattr(commits, "commit", crash)
        assert cf.end_of(runs.train(run)).outcome == "failed"
    assert (run.checkpoints / "checkpoint-8" / "trainer_state.json").is_file()
    events = runs.train(run)
    assert events[0].step == 4 and "checkpoint-8 was passed over" in events[0].reason
    assert [e.code for e in events if isinstance(e, WarningEvent)] == ["checkpoint_skipped"]
    assert cf.end_of(events).outcome == "completed"
    assert commits.find_problem(run.checkpoints / "checkpoint-8") == ""


def test_rotation_keeps_the_newest_two(runs: Any, cf: Any) -> None:
    run = runs.make("rotate", training={"max_steps": 8, "save_steps": 2})
    events = runs.train(run)
    assert sorted(p.name for p in run.checkpoints.iterdir()) == ["checkpoint-6", "checkpoint-8"]
    seen = [(e.step, e.removed) for e in events if isinstance(e, CheckpointEvent)]
    assert seen == [(2, False), (4, False), (6, False), (2, True), (8, False), (4, True)]


def test_an_explicit_checkpoint_makes_later_ones_the_past(runs: Any, cf: Any,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.make("choose", training={"max_steps": 12, "save_steps": 4, "save_total_limit": 3})
    with monkeypatch.context() as patch:
        cf.StopAt(patch, 8)
        runs.train(run)
    with monkeypatch.context() as patch:
        cf.StopAt(patch, 5)
        events = runs.train(run, "checkpoint-4")
    assert events[0].step == 4
    assert [n for n, _ in run.checkpoint_folders()] == [5, 4]
    events = runs.train(run, "checkpoint-99")
    assert cf.end_of(events).code == "checkpoint_unusable"
    assert "checkpoint-99" in cf.end_of(events).message


def test_stopped_in_an_evaluation(runs: Any, cf: Any, held_out: Path,
                                  monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.loops.sft import CommittedSFTTrainer

    over = {"data": {"eval": [str(held_out)]},
            "training": {"max_steps": 6, "eval_steps": 3, "per_device_eval_batch_size": 2}}
    whole = runs.train(runs.make("whole", **over))
    run = runs.make("cut", **over)
    original = CommittedSFTTrainer.prediction_step

    def prediction_step(loop: Any, *args: Any, **kwargs: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return original(loop, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(CommittedSFTTrainer, "prediction_step", prediction_step)
        first = runs.train(run)
    assert cf.end_of(first).outcome == "stopped" and cf.series(first, "eval_loss") == {}
    second = runs.train(run)
    assert second[0].step == 3
    assert curves(cf, first, second) == curves(cf, whole)


def test_stopped_after_the_last_step(runs: Any, cf: Any, held_out: Path,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.make("late", data={"eval": [str(held_out)]}, training={"max_steps": 3},
                    evaluation={"exact_match": True})
    with monkeypatch.context() as patch:
        cf.StopAt(patch, 3)
        first = runs.train(run)
    assert cf.end_of(first).outcome == "stopped" and not run.adapter.exists()
    second = runs.train(run)
    end = cf.end_of(second)
    assert second[0].step == 3 and end.outcome == "completed", end
    assert run.adapter.is_dir() and "exact_match_before" in end.metrics
    assert cf.series(second, "loss") == {}


def test_changed_data_is_not_resumed_on(runs: Any, cf: Any, tmp_path: Path, colours: Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    own = Path(shutil.copy(colours, tmp_path / "own.jsonl"))
    run = runs.make("changed", data={"train": [str(own)]}, training={"max_steps": 4})
    with monkeypatch.context() as patch:
        cf.StopAt(patch, 2)
        runs.train(run)
    own.write_text(own.read_text().replace("red", "rot"))
    end = cf.end_of(runs.train(run))
    assert end.code == "inputs_changed" and "own.jsonl" in end.message


def test_a_signal_before_training_stops_at_once(runs: Any, cf: Any,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer import work

    def load(*args: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal did not stop the work")

    monkeypatch.setattr(work, "load_trainable", load)
    run = runs.make("early")
    events = runs.train(run)
    assert cf.end_of(events).outcome == "stopped"
    assert "before there was anything" in cf.end_of(events).message
    assert not run.checkpoints.exists()

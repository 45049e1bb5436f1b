"""What goes wrong is said with its code, its reason and what to do; nothing half is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.events import WarningEvent

pytestmark = pytest.mark.training


@pytest.fixture
def model_copy(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may spoil."""
    return Path(shutil.copytree(tiny_model, tmp_path / "spoilt"))


def failed(runs: Any, cf: Any, **over: Any) -> Any:
    run = runs.make("trouble", **over)
    end = cf.end_of(runs.train(run))
    assert end.outcome == "failed" and end.message, end
    assert not run.adapter.exists() and not run.model.exists()
    return end


def test_bad_rows_are_refused_by_number_or_skipped_and_counted(runs: Any, cf: Any,
                                                               tmp_path: Path) -> None:
    path = cf.write_rows(tmp_path / "bad.jsonl", cf.colour_rows(20))
    rows = path.read_text().splitlines()
    rows[2], rows[6] = '{"instruction": "no answer", "input": ""}', "not json"
    path.write_text("\n".join(rows))
    end = failed(runs, cf, data={"train": [str(path)]})
    assert end.code == "bad_rows" and "Row 3 of bad.jsonl" in end.message
    assert "2 of 20" in end.message and end.advice
    events = runs.train(runs.make("skips", data={"train": [str(path)], "bad_rows": "skip"},
                                  training={"max_steps": 1}))
    (data,) = [e for e in events if e.type == "data"]
    assert (data.rows, data.used, data.bad_rows) == (20, 18, 2)
    assert "bad_rows" in [e.code for e in events if isinstance(e, WarningEvent)]


@pytest.mark.parametrize(("over", "code", "text"), [
    ({"data": {"train": ["sample_instrutions"]}}, "unknown_dataset", "sample_instrutions"),
    ({"data": {"train": ["gone.jsonl"]}}, "missing_file", "gone.jsonl"),
    ({"model": {"name_or_path": "/nowhere/at-all"}}, "model_missing", "/nowhere/at-all"),
    ({"objective": "dpo"}, "alpaca_for_dpo", "pairs of a chosen"),
    ({"tuner": {"target_modules": "q_prog"}}, "target_modules", "q_prog"),
    ({"data": {"max_length": 8}}, "no_rows_left", "8 tokens"),
    ({"data": {"val_size": 48}}, "val_size", "48"),
])
def test_settings_that_cannot_work(runs: Any, cf: Any, over: dict[str, Any], code: str,
                                   text: str) -> None:
    end = failed(runs, cf, **over)
    assert end.code == code and text in end.message and end.advice, end


def test_a_model_that_wants_to_run_code_is_refused(runs: Any, cf: Any, model_copy: Path,
                                                   tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    (model_copy / "own.py").write_text(f"open({str(marker)!r}, 'w')\nclass Own: pass\n")
    path = model_copy / "tokenizer_config.json"
    config = json.loads(path.read_text()) | {"auto_map": {"AutoTokenizer": ["own.Own", None]}}
    path.write_text(json.dumps(config))
    assert failed(runs, cf, model={"name_or_path": str(model_copy)}).code == "remote_code"
    assert not marker.exists()


def test_a_model_without_weights_and_a_broken_one(runs: Any, cf: Any, model_copy: Path) -> None:
    weights = model_copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    over = {"model": {"name_or_path": str(model_copy)}}
    assert failed(runs, cf, **over).code == "weights_broken"
    weights.unlink()
    run = runs.make("without", **over)
    assert cf.end_of(runs.train(run)).code == "weights_none"


def spoil_weights(folder: Path) -> None:
    """Put NaN into a model's embeddings."""
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.weight"][0] = float("nan")
    save_file(tensors, path, metadata={"format": "pt"})


def test_a_loss_that_is_no_number_ends_the_run_and_is_never_saved(runs: Any, cf: Any,
                                                                  model_copy: Path) -> None:
    spoil_weights(model_copy)
    run = runs.make("nan", model={"name_or_path": str(model_copy)},
                    training={"save_steps": 1, "stop_on_nan": 3})
    events = runs.train(run)
    end = cf.end_of(events)
    assert end.code == "nan_loss" and "3 steps" in end.message
    assert list(cf.series(events, "loss").values()) == [None, None]
    assert [(e.code, e.step) for e in events if isinstance(e, WarningEvent)] == [
        ("nan_loss", 1), ("nan_gradient", 1)]
    assert list(run.checkpoint_folders()) == []


def test_a_stop_counts_also_while_the_loss_is_no_number(runs: Any, cf: Any, model_copy: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.callbacks import Reporter

    original = Reporter.on_step_end

    def on_step_end(reporter: Any, args: Any, state: Any, *rest: Any, **kwargs: Any) -> None:
        if state.global_step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        original(reporter, args, state, *rest, **kwargs)

    monkeypatch.setattr(Reporter, "on_step_end", on_step_end)
    spoil_weights(model_copy)
    run = runs.make("nan-stop", model={"name_or_path": str(model_copy)},
                    training={"save_steps": 1, "stop_on_nan": 0})
    events = runs.train(run)
    assert cf.end_of(events).outcome == "stopped", cf.end_of(events)
    assert list(cf.series(events, "loss")) == [1, 2]
    assert list(run.checkpoint_folders()) == []


def test_weights_that_are_no_numbers_are_not_delivered(runs: Any, cf: Any,
                                                       model_copy: Path) -> None:
    spoil_weights(model_copy)
    end = failed(runs, cf, model={"name_or_path": str(model_copy)}, tuner={"type": "full"},
                 training={"max_steps": 2, "stop_on_nan": 0})
    assert end.code == "nan_weights"


def test_a_full_disk_at_a_checkpoint_keeps_the_one_before(runs: Any, cf: Any,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    real = torch.save

    def save(value: Any, path: Any, *args: Any, **kwargs: Any) -> None:
        real(value, path, *args, **kwargs)
        if "checkpoint-4" in str(path):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", save)
    run = runs.make("full-disk", training={"save_steps": 2})
    end = cf.end_of(runs.train(run))
    assert end.code == "disk_full" and "MiB" in end.message and "resume" in end.advice
    assert [step for step, _ in run.checkpoint_folders()] == [2]
    monkeypatch.undo()


def test_zero_loss_is_noticed(runs: Any, cf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.loops.loop import CommittedLoop

    monkeypatch.setattr(CommittedLoop, "close_step", lambda loop: 0.0)
    events = runs.train(runs.make("zero", training={"max_steps": 12}))
    assert [(e.code, e.step) for e in events if isinstance(e, WarningEvent)] == [
        ("zero_loss", 10)]


def damage(folder: Path, how: str) -> None:
    weights = folder / "adapter_model.safetensors"
    if how == "empty":
        weights.write_bytes(b"")
    elif how == "short":
        weights.write_bytes(weights.read_bytes()[:-8])
    elif how == "missing":
        (folder / "trainer_state.json").unlink()
    elif how == "link":
        elsewhere = folder.parent / "elsewhere.safetensors"
        weights.rename(elsewhere)
        weights.symlink_to(elsewhere)
    elif how == "pickle":
        (folder / "optimizer.pt").write_bytes(b"\x80\x04" + b"0" * (
            (folder / "optimizer.pt").stat().st_size - 2))
    elif how == "stranger":
        (folder / "extra.bin").write_bytes(b"\x80\x04.")


def test_a_damaged_checkpoint_falls_back_to_the_one_before(runs: Any, cf: Any) -> None:
    run = runs.make("damaged", training={"max_steps": 4, "save_steps": 2})
    runs.train(run)
    saved = run.path.parent / "saved"
    shutil.copytree(run.checkpoints, saved)
    for how in ("empty", "short", "missing", "link", "pickle", "stranger"):
        shutil.rmtree(run.checkpoints)
        shutil.copytree(saved, run.checkpoints)
        damage(run.checkpoints / "checkpoint-4", how)
        from trainer.checkpoint import select

        chosen = select(run, "auto")
        assert chosen.step == 2 and "checkpoint-4 was passed over" in chosen.skipped[0], how
    events = runs.train(run)
    assert events[0].step == 2 and cf.end_of(events).outcome == "completed"
    assert cf.end_of(runs.train(run, "checkpoint-4")).outcome == "completed"

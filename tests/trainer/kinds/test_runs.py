"""Exports and merges as runs: whole at the end, kept when stopped, usable like any result."""

from __future__ import annotations

import hashlib
import os
import signal
from typing import Any

import pytest

from trainer.contract.files import read_json
from trainer.contract.kinds import parse_any
from trainer.contract.models import resolve_model
from trainer.contract.rundir import RunDir
from trainer.kinds.telling import Teller

pytestmark = pytest.mark.training


@pytest.fixture
def trained(runs: Any, cf: Any) -> Any:
    """Train a run for a few steps."""
    def train(name: str, **over: Any) -> RunDir:
        run: RunDir = runs.make(name, **{"training": {"max_steps": 3}, **over})
        assert cf.end_of(runs.train(run)).outcome == "completed"
        return run

    return train


@pytest.fixture
def other(runs: Any) -> Any:
    """Make a run that does not train."""
    def make(name: str, **values: Any) -> RunDir:
        run = RunDir(runs.root / name)
        parity: Any = {"enabled": False} if values["kind"] == "export" else False
        run.create(parse_any({"name": name, "parity": parity, **values}), {})
        return run

    return make


def stop_at(monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    """Ask for a stop, as the supervisor does, once a stage counts its first bytes."""
    plain = Teller.bytes

    def bytes_(self: Teller, done: int, total: int, what: str = "") -> None:
        plain(self, done, total, what)
        if self._stage == stage:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Teller, "bytes", bytes_)


def test_an_export_is_whole_and_its_model_goes_on(runs: Any, cf: Any, trained: Any,
                                                  other: Any, tmp_path: Any) -> None:
    tuned = trained("tuned")
    run = other("out", kind="export", source="tuned", deployment=True,
                formats=["merged", "adapter", "gguf-f32"], push={"folder": str(tmp_path / "copy")})
    end = cf.end_of(runs.train(run))
    assert end.outcome == "completed", end
    index = read_json(run.export / "export.json")
    assert set(index["pieces"]) >= {"merged", "adapter", "gguf-f32", "ollama", "deployment"}
    for piece in index["pieces"].values():
        for name, size, digest in piece["files"]:
            raw = (run.export / name).read_bytes()
            assert (len(raw), hashlib.sha256(raw).hexdigest()) == (size, digest), name
    assert not (run.path / "export.partial").exists() and end.metrics["formats"] == 3
    assert str(tuned.path) not in (run.export / "adapter" / "adapter_config.json").read_text()
    assert (tmp_path / "copy" / "merged" / "model.safetensors").is_file()
    # The merged model has a run's name: others may begin with it.
    assert resolve_model("out", runs.root).base == str(run.export / "merged")
    further = trained("further", model={"name_or_path": "out"})
    assert (further.adapter / "adapter_model.safetensors").is_file()


def test_a_stopped_export_keeps_what_is_finished(runs: Any, cf: Any, trained: Any, other: Any,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    trained("tuned")
    run = other("out", kind="export", source="tuned", formats=["merged", "gguf-f32"])
    with monkeypatch.context() as patch:
        stop_at(patch, "converting")
        end = cf.end_of(runs.train(run))
    assert end.outcome == "stopped" and "kept" in end.message and not run.export.exists()
    kept = run.path / "export.partial" / "merged" / "model.safetensors"
    written = kept.stat().st_mtime_ns
    assert not list(run.path.rglob("*.gguf*"))
    events = runs.train(run)
    assert cf.end_of(events).outcome == "completed"
    assert "format.merged" in {e.field for e in events if e.type == "choice"}
    assert (run.export / "merged" / "model.safetensors").stat().st_mtime_ns == written


def test_what_changed_meanwhile_is_exported_anew(runs: Any, cf: Any, trained: Any, other: Any,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    tuned = trained("tuned")
    run = other("out", kind="export", source="tuned", formats=["merged", "gguf-f32"])
    with monkeypatch.context() as patch:
        stop_at(patch, "converting")
        runs.train(run)
    os.utime(tuned.adapter / "adapter_model.safetensors", (1, 1))
    events = runs.train(run)
    assert cf.end_of(events).outcome == "completed"
    assert "export_anew" in {e.code for e in events if e.type == "warning"}


def test_what_cannot_be_exported_says_why(runs: Any, cf: Any, trained: Any, other: Any,
                                          pairs: Any) -> None:
    trained("scores", objective="reward", data={"train": [str(pairs)]})
    for number, (source, code) in enumerate((
            ("scores/checkpoint-9", "unknown_checkpoint"), ("/no/such/folder", "model_missing"),
            ("scores", "head_scores"))):
        run = other(f"out-{number}", kind="export", source=source, formats=["merged"])
        end = cf.end_of(runs.train(run))
        assert (end.outcome, end.code) == ("failed", code) and end.message
        assert not run.export.exists()


def test_a_merge_of_adapters_is_an_adapter_like_any(runs: Any, cf: Any, trained: Any,
                                                    other: Any) -> None:
    trained("one")
    trained("two", training={"seed": 7})
    run = other("both", kind="merge", sources=[{"name": "one"}, {"name": "two", "weight": 0.5}],
                method="cat")
    end = cf.end_of(runs.train(run))
    assert end.outcome == "completed", end
    report = read_json(run.path / "merge.json")
    assert report["rank"] == 16 and report["distance"] == pytest.approx(0, abs=1e-6)
    assert run.read_config().tuner.r == 16
    assert resolve_model("both", runs.root).adapters[-1] == run.adapter
    further = trained("further", model={"name_or_path": "both"})
    assert (further.adapter / "adapter_model.safetensors").is_file()
    exported = other("out", kind="export", source="both", formats=["merged"])
    assert cf.end_of(runs.train(exported)).outcome == "completed"


def test_models_are_merged_to_a_model(runs: Any, cf: Any, trained: Any, other: Any) -> None:
    trained("one", tuner={"type": "full"})
    trained("two", tuner={"type": "full"}, training={"seed": 7})
    run = other("both", kind="merge", what="models", method="slerp",
                sources=[{"name": "one"}, {"name": "two"}])
    assert cf.end_of(runs.train(run)).outcome == "completed"
    assert resolve_model("both", runs.root).base == str(run.path / "model")
    assert read_json(run.path / "merge.json")["weights"] == [0.5, 0.5]


def test_adapters_that_do_not_fit_say_why(runs: Any, cf: Any, trained: Any, other: Any) -> None:
    trained("one")
    trained("two", tuner={"r": 4})
    run = other("both", kind="merge", sources=[{"name": "one"}, {"name": "two"}], method="linear")
    end = cf.end_of(runs.train(run))
    assert end.outcome == "failed" and not run.adapter.exists()
    assert end.advice and "rank" in end.message

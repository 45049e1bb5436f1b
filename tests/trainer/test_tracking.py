"""SwanLab, offline: files in the run's folder, nothing on the network."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.training


def test_swanlab_offline_writes_into_the_run(runs: Any, cf: Any,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("swanlab")
    asked: list[Any] = []
    real = socket.socket.connect

    def connect(own: socket.socket, address: Any) -> None:
        if own.family in (socket.AF_INET, socket.AF_INET6):
            asked.append(address)
        real(own, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    run = runs.make("tracked", training={"max_steps": 3},
                    tracking={"backend": "swanlab", "mode": "offline", "project": "tests"})
    events = runs.train(run)
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    files = [p for p in run.tracking.rglob("*") if p.is_file()]
    written = b"".join(p.read_bytes() for p in files)
    assert b"learning_rate" in written and b"grad_norm" in written
    assert asked == []


def test_a_missing_package_is_named(runs: Any, cf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "swanlab", None)
    end = cf.end_of(runs.train(runs.make("without", tracking={"backend": "swanlab"})))
    assert end.code == "swanlab_missing" and "pip install 'finestra[swanlab]'" in end.advice


def test_the_cloud_needs_a_key(runs: Any, cf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("swanlab")
    monkeypatch.delenv("SWANLAB_API_KEY", raising=False)
    end = cf.end_of(runs.train(runs.make(
        "cloud", tracking={"backend": "swanlab", "mode": "cloud"})))
    assert end.code == "swanlab_key" and "SWANLAB_API_KEY" in end.advice


class Deaf:
    """A tracker whose service went away."""

    def __init__(self, context: Any) -> None:
        """Take what a tracker takes."""

    def log(self, values: dict[str, float], step: int) -> None:
        raise AttributeError("no such metric")

    def finish(self) -> None:
        raise ConnectionError("the service is gone")


@pytest.mark.parametrize("objective", ["sft", "dpo"])
def test_a_tracker_that_raises_does_not_cost_the_result(
        runs: Any, cf: Any, pairs: Path, objective: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer import tracking

    monkeypatch.setattr(tracking, "SwanLab", Deaf)
    over = {"data": {"train": [str(pairs)]}} if objective == "dpo" else {}
    run = runs.make("deaf", objective=objective, training={"max_steps": 3},
                    tracking={"backend": "swanlab", "mode": "offline"}, **over)
    events = runs.train(run)
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    assert (run.adapter / "adapter_model.safetensors").is_file()
    (warning,) = [e for e in events if e.type == "warning"]
    assert (warning.code, warning.step) == ("tracker", 1) and "AttributeError" in warning.message
    assert "no such metric" not in warning.message

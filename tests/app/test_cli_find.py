"""``finestra find-lr``: what it draws, and a sweep of the real trainer."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
import yaml
from rich.console import Console

from app import cli
from app.cli_find import draw, read_sweep, thin

POINTS = [{"rate": 1e-6 * 1.2 ** i, "loss": 5.0, "smoothed": 5.0 - 0.03 * i} for i in range(60)]


def test_many_points_are_thinned_between_the_ends() -> None:
    few = thin(POINTS, 24)
    assert len(few) == 24 and few[0] == POINTS[0] and few[-1] == POINTS[-1]
    assert thin(POINTS[:3], 24) == POINTS[:3]


def test_the_table_marks_what_is_proposed() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(draw({"points": POINTS, "proposed": POINTS[30]["rate"]}))
    lines = console.export_text().splitlines()
    marked = [line for line in lines if "◀" in line]
    assert len(lines) == 25 and len(marked) == 1 and f"{POINTS[30]['rate']:g}" in marked[0]
    assert lines[1].count("█") > lines[20].count("█")


def test_no_sweep_is_no_error(tmp_path: Any) -> None:
    assert read_sweep(tmp_path) == {}


@pytest.mark.faults
def test_a_sweep_over_the_starter(tmp_path: Any, monkeypatch: pytest.MonkeyPatch,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({
        "name": "mine", "data": {"train": ["sample_instructions"], "max_length": 64},
        "training": {"per_device_train_batch_size": 2, "device": "cpu"},
        "lr_finder": {"steps": 24, "lowest": 1e-4, "highest": 1.0}}), encoding="utf-8")
    monkeypatch.setenv("FINESTRA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "argv", ["finestra", "find-lr", str(path), "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    document = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0, document
    assert document["state"] == "completed" and document["name"] == "mine find-lr"
    found = document["lr_finder"]
    assert document["metrics"]["proposed_learning_rate"] == found["proposed"]
    assert 1e-4 <= found["proposed"] <= 1.0 and found["points"][0]["rate"] == 1e-4

import io
import math

import pytest
from rich.console import Console

from app import demo
from app.runs import Progress, Run, RunState

pytestmark = pytest.mark.faults


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=100)


def said(console):
    return console.file.getvalue()


def test_the_demo_refuses_a_run_that_measured_nothing(fake_studio, console, monkeypatch):
    monkeypatch.setenv("FAKE_STEPS", "3")
    with pytest.raises(ValueError, match="before and after"):
        demo.run_demo(fake_studio, console)
    assert "completed" in said(console)


def test_a_failed_run_fails_the_demo_and_shows_the_log(fake_studio, console, monkeypatch):
    monkeypatch.setenv("FAKE_CRASH_AT", "2")
    assert demo.run_demo(fake_studio, console) == 1
    assert "The run ended as failed" in said(console)


@pytest.mark.parametrize(("points", "status"), [
    ([(0, 0.01), (90, 0.93)], 0), ([(0, 0.01), (90, 0.8)], 1), ([(0, 0.0), (90, 0.1)], 1),
])
def test_only_more_than_four_fifths_is_a_success(fake_studio, console, monkeypatch, points,
                                                 status):
    monkeypatch.setenv("FAKE_STEPS", "2")
    monkeypatch.setattr(fake_studio, "series", lambda *_: {"exact_match": points})
    assert demo.run_demo(fake_studio, console) == status
    assert f"{points[-1][1]:.1%}" in said(console)
    assert ("make run FINESTRA_HOME=" in said(console)) == (status == 0)


def test_the_description_names_the_stage_and_the_loss(tmp_path):
    run = Run("a", "a", RunState.RUNNING, tmp_path, progress=Progress("training", 3, 10),
              latest={"loss": 1.25})
    assert demo.describe(run) == "training, loss 1.250"
    assert demo.describe(Run("a", "a", RunState.QUEUED, tmp_path)) == "queued"
    assert math.isclose(run.progress.fraction, 0.3)

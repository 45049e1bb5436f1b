"""The trainer as a process: signals, exit status, a resumed curve across processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.events import from_line

pytestmark = pytest.mark.training


def start(run: Any, attempt: Any) -> subprocess.Popen[bytes]:
    with attempt.log.open("ab") as log:
        return subprocess.Popen([sys.executable, "-P", "-m", "trainer", str(run.path)],
                                stdout=log, stderr=log, cwd=run.path, start_new_session=True,
                                env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})


def wait_for(what: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_sigterm_saves_and_another_process_goes_on_exactly(runs: Any, cf: Any) -> None:
    over = {"training": {"max_steps": 150}, "tuner": {"lora_dropout": 0.1}}
    run = runs.make("signals", **over)
    attempt = runs.attempt(run)
    process = start(run, attempt)
    wait_for(lambda: attempt.events.exists() and b'"step":3,' in attempt.events.read_bytes())
    process.send_signal(signal.SIGUSR1)
    process.terminate()
    assert process.wait(60) == 0
    first = cf.events_of(attempt)
    end = cf.end_of(first)
    assert end.outcome == "stopped" and "checkpoint-" in end.message
    assert "Current thread" in attempt.log.read_text() or "Thread" in attempt.log.read_text()
    second = runs.train(run)
    assert second[0].step == max(cf.series(first, "loss")) < 150
    joined = cf.series(first, "loss") | cf.series(second, "loss")
    assert joined == cf.series(runs.train(runs.make("whole", **over)), "loss")


def test_a_killed_trainer_is_gone_on_from_exactly(runs: Any, cf: Any) -> None:
    over = {"training": {"max_steps": 60, "save_steps": 5}, "tuner": {"lora_dropout": 0.1}}
    run = runs.make("killed", **over)
    attempt = runs.attempt(run)
    process = start(run, attempt)
    wait_for(lambda: attempt.events.exists() and b'"step":7,' in attempt.events.read_bytes())
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    lines = attempt.events.read_bytes().splitlines(keepends=True)
    first = [from_line(line) for line in lines if line.endswith(b"\n")]
    assert not [e for e in first if e.type == "end"]
    second = runs.train(run)
    assert cf.end_of(second).outcome == "completed", cf.end_of(second)
    assert 5 <= second[0].step < 60
    whole = runs.train(runs.make("unharmed", **over))
    for name in ("loss", "grad_norm"):
        joined = cf.series(first, name) | cf.series(second, name)
        assert joined == cf.series(whole, name), name


def test_sigterm_while_loading_stops_at_once(runs: Any, cf: Any) -> None:
    run = runs.make("early")
    attempt = runs.attempt(run)
    process = start(run, attempt)
    wait_for(lambda: attempt.events.exists() and b'"loading"' in attempt.events.read_bytes())
    process.terminate()
    assert process.wait(60) == 0
    assert cf.end_of(cf.events_of(attempt)).outcome == "stopped"
    assert not run.adapter.exists()


def test_exit_status(runs: Any, cf: Any, tmp_path: Path) -> None:
    run = runs.make("fails", data={"train": ["gone.jsonl"]})
    attempt = runs.attempt(run)
    assert start(run, attempt).wait(60) == 1
    assert cf.end_of(cf.events_of(attempt)).code == "missing_file"
    usage = subprocess.run([sys.executable, "-P", "-m", "trainer", str(tmp_path / "nothing")],
                           capture_output=True, text=True, check=False)
    assert usage.returncode == 2 and "usage" in usage.stderr

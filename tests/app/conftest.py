"""A studio whose trainer is fake, and helpers to wait for what it does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from app import cli
from app.datasets import DataService, make_worker
from app.runs import ENDED
from app.studio import Studio
from trainer.contract.identity import find_by_environ

TUNED = "20261121-bot-aaaaaa"
FAKE = [sys.executable, str(Path(__file__).resolve().parents[1] / "fake_trainer.py")]


def wait_for(condition, limit_s=20.0, what="what was waited for"):
    """Return the first true value; fails after ``limit_s``."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"{what} did not happen in {limit_s} s")


def until_ended(studio, run_id, limit_s=20.0):
    """Tick as a server does until a run has ended; return it."""
    def ended():
        studio.tick()
        assert not studio.scheduler.last_error
        run = studio.run(run_id)
        return run if run.state in ENDED else None

    return wait_for(ended, limit_s, f"the end of {run_id}")


def until_step(studio, run_id, step):
    """Wait until a run has reported a step."""
    def reached():
        studio.tick()
        studio.ingest(run_id)
        return studio.run(run_id).progress.step >= step

    wait_for(reached, what=f"step {step}")


def processes(run_id):
    """Return the living processes of a run's trainer."""
    return find_by_environ({"FINESTRA_RUN_ID": run_id})


class Shared:
    """The keeper of a child that outlives the service which asks it."""

    def __init__(self):
        self.worker = make_worker("preview")
        self.call = self.worker.call

    def close(self):
        """Leave the child to the next test."""


@pytest.fixture(scope="session")
def viewer():
    """One child for the previews of all tests."""
    shared = Shared()
    yield shared
    shared.worker.close()


@pytest.fixture(autouse=True)
def one_viewer(viewer, monkeypatch):
    """Let every service ask the same child; starting one takes half a second."""
    monkeypatch.setitem(DataService.__init__.__kwdefaults__, "worker",
                        lambda op: viewer if op == "preview" else make_worker(op))


@pytest.fixture
def home(tmp_path):
    """An empty home folder; whatever still runs in it is killed afterwards."""
    root = tmp_path / "home"
    yield root
    for process in find_by_environ({"FINESTRA_HOME": str(root)}):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


@pytest.fixture
def open_studio(home):
    """Open studios over one home, as several processes would."""
    opened = []

    def make(**options):
        opened.append(Studio.open(home, trainer_argv=FAKE, **{"grace_s": 1.5, **options}))
        return opened[-1]

    yield make
    for studio in opened:
        studio.close()


@pytest.fixture
def fake_studio(open_studio):
    """A studio whose trainer is fake."""
    return open_studio()


@pytest.fixture
def hold(monkeypatch, tmp_path):
    """Let the fake wait before a step until released."""
    gate = tmp_path / "gate"

    def at(step):
        monkeypatch.setenv("FAKE_HOLD", f"{step}:{gate}")
        return gate.touch

    return at


@pytest.fixture
def words(fake_studio, home, monkeypatch, capsys):
    """Run the command line over a home with two runs; returns (status, output, errors)."""
    from tests.app.test_kindfit import run_of

    for name in (TUNED, "20261121-other-bbbbbb"):
        run_of(fake_studio.home, name)
    fake_studio.reconcile()
    monkeypatch.setenv("FINESTRA_HOME", str(home))
    opened = Studio.open.__func__
    monkeypatch.setattr(Studio, "open", classmethod(
        lambda cls: opened(cls, trainer_argv=FAKE, grace_s=2)))

    def run(*argv):
        monkeypatch.setattr(sys, "argv", ["finestra", *argv])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return ended.value.code, told.out, told.err

    return run


@pytest.fixture
def script(words):
    """The same with --json; returns (status, document)."""
    def run(*argv):
        status, out, _ = words(*argv, "--json")
        return status, json.loads(out)

    return run

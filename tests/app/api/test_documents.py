"""REST and the command line say the same of a run."""

import json
import sys

import pytest

from app import cli

pytestmark = pytest.mark.faults


@pytest.fixture
def script(monkeypatch, capsys):
    """Run the command line with --json over a home; returns the document."""
    def run(home, *argv):
        monkeypatch.setenv("FINESTRA_HOME", str(home))
        monkeypatch.setattr(sys, "argv", ["finestra", "runs", *argv, "--json"])
        with pytest.raises(SystemExit):
            cli.main()
        return json.loads(capsys.readouterr().out)

    return run


def same(rest, script, run_id):
    home = rest.studio.home.root
    shown = rest.get(f"/api/runs/{run_id}").json()
    assert shown == script(home, "show", run_id)
    assert rest.get(f"/api/runs/{run_id}/metrics").json() == script(home, "metrics", run_id)
    return shown


def test_a_completed_run(shelf, script):
    shown = same(shelf, script, shelf.done)
    assert shown["error"] is None and shown["checkpoints"][0]["name"] == "checkpoint-10"
    series = shelf.get(f"/api/runs/{shelf.done}/metrics").json()["series"]
    assert {"loss", "eval_loss", "learning_rate", "grad_norm"} <= set(series)
    assert list(shelf.get(f"/api/runs/{shelf.done}/metrics?name=loss").json()["series"]) == ["loss"]


def test_a_failed_run(rest, script, monkeypatch):
    monkeypatch.setenv("FAKE_OOM_AT", "3")
    run_id = rest.start()
    rest.wait(run_id, "failed")
    error = same(rest, script, run_id)["error"]
    assert error["code"] == "cuda_oom" and set(error) == {"code", "message", "field", "advice"}


def test_what_is_in_the_queues_way_is_said_beside_the_devices(rest):
    assert rest.get("/api/devices").json()["queue_error"] == ""

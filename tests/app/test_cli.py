import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml

from app import cli
from app.cli_follow import clock
from app.lock import ServerLock
from app.runs import RunState
from app.studio import Studio
from tests.app.conftest import FAKE, processes, until_ended, wait_for

DRIVER = ("import functools, sys\nfrom app import cli\nfrom app.studio import Studio\n"
          "Studio.open = functools.partial(Studio.open, trainer_argv=sys.argv[1:3], grace_s=2)\n"
          "sys.argv = ['finestra', *sys.argv[3:]]\ncli.main()\n")


@pytest.fixture
def finestra(home, monkeypatch, capsys):
    """Run the command line over an empty home; returns (status, standard output)."""
    opened = Studio.open.__func__
    monkeypatch.setattr(Studio, "open", classmethod(
        lambda cls, folder=None: opened(cls, folder, trainer_argv=FAKE, grace_s=2)))
    monkeypatch.setenv("FINESTRA_HOME", str(home))

    def run(*argv):
        monkeypatch.setattr(sys, "argv", ["finestra", *argv])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr().out

    return run


@pytest.fixture
def script(finestra):
    """The same, with --json: returns (status, document)."""
    def run(*argv):
        status, text = finestra(*argv, "--json")
        return status, json.loads(text)

    return run


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("name: from-a-file\ntraining: {seed: 1}\n")
    return str(path)


@pytest.mark.faults
def test_train_follows_a_run_to_its_end(script, config):
    status, document = script("train", config, "training.seed=7")
    assert status == 0 and set(document) == {"id", "name", "state", "dir", "metrics", "error"}
    assert (document["state"], document["error"]) == ("completed", None)
    assert document["metrics"]["train_loss"] == 0.5
    run_id = document["id"]
    status, shown = script("runs", "show", run_id)
    assert shown["config"]["training"]["seed"] == 7 and shown["attempts"] == 1
    assert shown["progress"]["step"] == shown["progress"]["total_steps"] == 10
    status, metrics = script("runs", "metrics", run_id[-6:])
    assert [step for step, _ in metrics["series"]["loss"]] == list(range(1, 11))
    assert {"loss", "eval_loss", "learning_rate", "grad_norm"} <= set(metrics["series"])
    assert script("runs", "list")[1]["runs"][0]["id"] == run_id
    assert "step 10/10" in script("runs", "log", run_id)[1]["log"]
    assert script("runs", "delete", run_id)[1]["error"]["code"] == "not_confirmed"
    assert script("runs", "delete", run_id[:-2], "--yes")[1]["error"]["code"] == "whole_id"
    assert script("runs", "show", run_id)[0] == 0
    status, document = script("runs", "delete", run_id, "--yes")
    assert (status, document) == (0, {"id": run_id, "deleted": True})
    assert script("runs", "show", run_id)[0] == 1


@pytest.mark.faults
def test_train_that_fails_says_why_and_is_not_0(script, config, monkeypatch):
    monkeypatch.setenv("FAKE_OOM_AT", "3")
    status, document = script("train", config)
    assert (status, document["state"], document["error"]["code"]) == (1, "failed", "cuda_oom")
    monkeypatch.delenv("FAKE_OOM_AT")
    status, document = script("runs", "resume", document["id"], "--wait")
    assert (status, document["state"], document["error"]) == (0, "completed", None)


@pytest.mark.faults
def test_a_stop_in_the_queue_does_not_repeat_the_last_attempts_error(script, config, monkeypatch):
    monkeypatch.setenv("FAKE_OOM_AT", "3")
    run_id = script("train", config)[1]["id"]
    monkeypatch.setattr("app.scheduler.Scheduler._start_queued", lambda self: None)
    assert script("runs", "resume", run_id)[1]["state"] == "queued"
    status, document = script("runs", "stop", run_id)
    assert (status, document["state"]) == (0, "stopped")
    assert document["error"] == {"code": "stopped", "message": "Stopped before it started.",
                                 "field": "", "advice": ""}
    assert script("runs", "show", run_id)[1]["error"] == document["error"]


@pytest.mark.faults
@pytest.mark.parametrize(("ended", "expected"), [("stopped", 0), ("completed", 0), ("failed", 1),
                                                 ("interrupted", 1)])
def test_a_stop_is_0_unless_the_run_failed_on_the_way(script, config, hold, monkeypatch, ended,
                                                      expected):
    release = hold(3)
    run_id = script("train", config, "--detach")[1]["id"]
    wait_for(lambda: script("runs", "show", run_id)[1]["progress"]["step"] == 2)
    monkeypatch.setattr("app.cli_follow.watch", lambda studio, run_id: replace(
        studio.run(run_id), state=RunState(ended)))
    status, document = script("runs", "stop", run_id)
    assert (status, document["state"]) == (expected, ended)
    release()


@pytest.mark.faults
def test_detach_then_stop_then_resume(script, config, hold):
    release = hold(3)
    status, document = script("train", config, "--detach")
    assert status == 0 and document["state"] in ("queued", "starting", "running")
    run_id = document["id"]
    wait_for(lambda: script("runs", "show", run_id)[1]["progress"]["step"] == 2)
    status, document = script("runs", "stop", run_id)
    assert (status, document["state"]) == (0, "stopped")
    assert script("runs", "stop", run_id)[1]["error"]["code"] == "not_active"
    release()
    assert script("runs", "resume", run_id, "--wait")[1]["state"] == "completed"
    assert script("runs", "resume", run_id)[0] == 1


@pytest.mark.faults
def test_ctrl_c_leaves_the_run_alone_and_says_how_to_stop_it(home, config, hold, open_studio,
                                                             monkeypatch):
    release = hold(3)
    monkeypatch.setenv("FINESTRA_HOME", str(home))
    # A test runner in the background of a shell ignores SIGINT, and its children with it.
    listening = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    child = subprocess.Popen([sys.executable, "-c", listening + DRIVER, *FAKE, "train", config],
                             text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    studio = open_studio()
    wait_for(lambda: any(run.progress.step == 2 for run in studio.runs()))
    child.send_signal(signal.SIGINT)
    _, told = child.communicate(timeout=20)
    (run,) = studio.runs()
    assert child.returncode == 130 and f"finestra runs stop {run.id}" in told
    assert processes(run.id) and studio.run(run.id).state == "running"
    release()
    assert until_ended(studio, run.id).state == "completed"


def test_a_dry_run_starts_nothing(script, config, home):
    status, document = script("train", config, "--dry-run")
    assert status == 0 and document["problems"] == []
    assert document["config"]["name"] == "from-a-file"
    assert {"field", "value", "reason"} == set(document["choices"][0])
    assert not list((home / "runs").iterdir())
    bad = ("train", config, "model.dtype=float16", "--dry-run")
    status, document = script(*bad)
    assert status == 1 and document["problems"][0]["scope"] == "machine"
    assert script(*bad, "--anywhere")[0] == 0
    status, document = script("train", config, "data.train=[nope]", "--dry-run", "--anywhere")
    assert status == 1 and document["error"]["code"] == "unknown_dataset"


@pytest.mark.parametrize(("overrides", "fields"), [
    (["tuner.r=0", "training.learning_rate=abc", "oops=1"],
     {"tuner.r", "training.learning_rate", "oops"}),
    (["data.train=[/no/such.jsonl]"], {"data.train"}),
    (["model.name_or_path=/tmp"], {"model.name_or_path"}),
    (["name=../x"], {"name"}),
    (["broken"], {"broken"}),
])
def test_errors_are_one_document_and_nothing_is_stored(script, config, home, overrides, fields):
    status, document = script("train", config, *overrides)
    assert status == 1 and {p["field"] for p in document["problems"]} == fields
    assert set(document["error"]) == {"code", "message", "field", "advice"}
    assert not (home / "runs").exists() or not list((home / "runs").iterdir())


@pytest.mark.parametrize("argv", [["train", "/no/such.yaml"], ["runs", "show", "nope"],
                                  ["runs", "frobnicate"], ["runs", "show"], ["nonsense"],
                                  ["data", "check", "/no/such.jsonl"]])
def test_every_refusal_is_a_document_with_a_status(script, argv):
    status, document = script(*argv)
    assert status in (1, 2) and document["error"]["message"] and document["error"]["code"]


def test_clone_compare_and_ids_by_their_parts(script, finestra, config, monkeypatch):
    monkeypatch.setattr("app.scheduler.Scheduler.tick", lambda self: None)
    one = script("train", config, "--detach")[1]["id"]
    status, cloned = script("runs", "clone", one, "training.seed=9")
    assert cloned["config"]["name"] == "from-a-file copy"
    assert yaml.safe_load(finestra("runs", "clone", one)[1])["training"]["seed"] == 1
    two = script("runs", "clone", one, "training.seed=9", "--start")[1]["id"]
    status, compared = script("runs", "compare", one, two)
    assert set(compared["differences"]) == {"name", "training.seed"}
    assert compared["differences"]["training.seed"] == {one: 1, two: 9}
    assert script("runs", "show", one[:9])[1]["error"]["code"] == "ambiguous_run"
    assert script("runs", "show", "from-a-file copy")[1]["id"] == two
    for argv in (["list"], ["show", one], ["metrics", one], ["log", one], ["compare", one, two]):
        status, text = finestra("runs", *argv)
        assert status == 0 and (text or argv[0] == "metrics")
    status, _ = finestra("runs", "delete", one)  # no terminal, no --yes
    assert status == 1 and script("runs", "show", one)[0] == 0


def test_doctor_and_data(script, finestra, tmp_path, home):
    status, document = script("doctor")
    assert status == 0 and {"torch", "starter", "home", "index"} <= {
        check["name"] for check in document["checks"]}
    with ServerLock(home / "server.lock"):
        server = next(c for c in script("doctor")[1]["checks"] if c["name"] == "server")
        assert f"pid {os.getpid()}" in server["detail"]
    assert "sample_instructions" in {d["name"] for d in script("data", "list")[1]["datasets"]}
    path = tmp_path / "d.jsonl"
    path.write_text('{"question": "q", "answer": "a"}\n{"question": "q"}\n')
    status, report = script("data", "check", str(path))
    assert status == 1 and (report["rows"], report["usable"], report["shape"]) == (
        2, 1, "question_answer")
    assert report["problems"][0]["row"] == 2
    assert set(report["tokens"]) == {"p50", "p95", "max", "over_max_length"}
    assert report["tokens"]["p50"] == report["tokens"]["max"] > 2
    assert report["tokens"]["over_max_length"] == 0
    short = script("data", "check", str(path), "--max-length", "2")[1]["tokens"]
    assert short == {**report["tokens"], "over_max_length": 1}
    assert finestra("data", "check", "sample_instructions")[0] == 0
    assert finestra("doctor")[0] == 0 and finestra("data", "list")[0] == 0


def test_looking_at_runs_loads_neither_gradio_nor_torch(home):
    code = ("import os, sys\nfrom app import cli\nsys.argv = ['finestra', 'runs', 'list']\n"
            "try: cli.main()\nexcept SystemExit: pass\n"
            "heavy = {'gradio', 'torch', 'fastapi', 'pandas', 'numpy', 'transformers'}\n"
            "os._exit(len(heavy & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code, "--home", str(home)], check=False,
                          env={"FINESTRA_HOME": str(home), "PATH": ""})
    assert done.returncode == 0


def test_a_supervisor_is_light():
    code = ("import sys, app.supervisor\n"
            "heavy = {'gradio', 'torch', 'fastapi', 'pandas', 'numpy', 'transformers', 'typer',\n"
            "         'tokenizers', 'jinja2'}\n"
            "sys.exit(' '.join(heavy & set(sys.modules)) or None)")
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr


def test_durations():
    assert [clock(s) for s in (5, 65, 3661)] == ["0:05", "1:05", "1:01:01"]

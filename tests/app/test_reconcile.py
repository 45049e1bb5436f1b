"""A process dies at every point of a run's life; the next one finds out and nothing runs twice."""

import json
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from app.doctor import examine
from app.rebuild import move_to_trash
from app.runs import RunError
from app.studio import Studio
from tests.app.conftest import FAKE, processes, until_ended, until_step, wait_for
from trainer.contract import ConfigError, RunConfig
from trainer.contract.files import write_json
from trainer.contract.identity import Identity
from trainer.contract.rundir import RunDir

pytestmark = pytest.mark.faults
SERVER = """
import sys, time
from pathlib import Path
from app.studio import Studio
studio = Studio.open(Path(sys.argv[1]), trainer_argv=sys.argv[2:])
studio.reconcile()
studio.create({"name": "over a restart"})
print("up", flush=True)
while True:
    studio.tick(); studio.ingest(); time.sleep(0.02)
"""
# Dies at a named point of Studio.create: the moment before that function would do its work.
SUBMIT = """
import os, sys, types
from pathlib import Path
from app import rebuild, scheduler, store, studio
from trainer.contract.rundir import RunDir
point, home = sys.argv[1], Path(sys.argv[2])
popen = scheduler.subprocess.Popen
scheduler.subprocess = types.SimpleNamespace(**vars(scheduler.subprocess))  # not the data worker's
points = {
    "folder": (RunDir, "create"), "row": (store.Writer, "insert"),
    "mirror": (store.Writer, "mirror"), "key": (store.Writer, "keep_key"),
    "tick": (scheduler.Scheduler, "tick"), "claim": (store.Writer, "lease"),
    "spawn": (scheduler.Scheduler, "_spawn"), "start": (scheduler.subprocess, "Popen"),
    "started": (scheduler.subprocess, "Popen"),
}
opened = studio.Studio.open(home, trainer_argv=sys.argv[3:])
owner, name = points[point]
setattr(owner, name, lambda *a, **k: os._exit(7 if point != "started" or popen(*a, **k) else 9))
opened.create({"name": "cut short"}, idempotency_key="k")
os._exit(8)
"""


def server(home, *argv):
    child = subprocess.Popen([sys.executable, "-c", SERVER, str(home), *argv],
                             stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "up\n"
    return child


def kill(child):
    child.kill()
    child.wait()
    child.stdout.close()


def test_f1_a_server_killed_while_a_run_trains(home, open_studio, hold):
    release = hold(5)
    first = server(home, *FAKE)
    studio = open_studio()
    (run,) = wait_for(studio.runs)
    wait_for(lambda: studio.run(run.id).progress.step >= 4)
    (trainer,) = processes(run.id)
    kill(first)
    assert trainer.alive()
    release()
    studio.reconcile()
    ended = until_ended(studio, run.id)
    assert (ended.state, ended.attempt) == ("completed", 1)
    points = studio.series(run.id, ["loss"])["loss"]
    assert points == [(step, round(2 / (1 + step), 6)) for step in range(1, 11)]


@pytest.mark.parametrize("point", ["folder", "row", "mirror", "key", "tick", "claim", "spawn",
                                   "start", "started"])
def test_f2_a_submit_cut_short_leaves_at_most_one_run_that_never_runs_twice(
        home, open_studio, point):
    done = subprocess.run([sys.executable, "-c", SUBMIT, point, str(home), *FAKE], check=False)
    assert done.returncode == 7
    studio = open_studio()
    studio.reconcile()
    found = studio.runs()
    if not found:
        assert point == "folder"
        return
    (run,) = found
    ended = until_ended(studio, run.id)
    assert ended.state in ("interrupted", "completed")
    if ended.state == "interrupted":
        assert "never started" in ended.reason.lower()
        studio.resume(run.id)
        ended = until_ended(studio, run.id)
    assert ended.state == "completed" and studio.store.leases() == {}
    starts = [a for a in studio.dir(run.id).attempts() if a.events.exists()]
    assert len(starts) == 1 and starts[0].events.read_text().count('"resume"') == 1


def test_f5_after_a_reboot_the_active_runs_are_interrupted_and_the_queue_goes_on(
        open_studio, hold):
    hold(3)
    studio = open_studio()
    first, second, third = (studio.create({"name": n}) for n in ("a", "b", "c"))
    until_step(studio, first.id, 2)
    process_file = studio.run(first.id).dir / "attempts" / "001" / "process.json"
    known = json.loads(process_file.read_text())
    for identity in known.values():
        os.kill(identity["pid"], signal.SIGKILL)
        identity["boot"] = "the-boot-before"
    process_file.write_text(json.dumps(known))
    with studio.store.write() as writer:
        old = Identity.read(known["supervisor"])
        writer.update(first.id, supervisor=old, claimer=old)
    os.environ.pop("FAKE_HOLD")
    studio = open_studio()
    studio.reconcile()
    run = studio.run(first.id)
    assert run.state == "interrupted" and "restarted" in run.reason
    ended = [until_ended(studio, other.id) for other in (second, third)]
    assert [r.state for r in ended] == ["completed", "completed"]
    assert ended[0].started_at < ended[1].started_at


def test_f6_stop_never_signals_a_stranger_that_has_the_pid(fake_studio, hold):
    hold(3)
    run = fake_studio.create({})
    until_step(fake_studio, run.id, 2)
    attempt = fake_studio.run(run.id).dir / "attempts" / "001" / "process.json"
    known = json.loads(attempt.read_text())
    stranger = subprocess.Popen(["sleep", "300"])
    try:
        for identity in known.values():
            os.kill(identity["pid"], signal.SIGKILL)
            identity["pid"] = stranger.pid
        attempt.write_text(json.dumps(known))
        with fake_studio.store.write() as writer:
            writer.update(run.id, supervisor=Identity.read(known["supervisor"]))
        fake_studio.stop(run.id)
        assert until_ended(fake_studio, run.id).state == "stopped"
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_f29_one_key_is_one_run_however_often_it_is_sent(home, open_studio):
    studio = open_studio()
    seen, errors = [], []

    def send():
        try:
            seen.append(studio.create({"name": "once"}, idempotency_key="k").id)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and len(set(seen)) == 1 and len(seen) == 20
    assert len(studio.runs()) == 1 and len(list((home / "runs").iterdir())) == 1
    other = studio.create({"name": "twice"}, idempotency_key="k", owner="somebody else")
    assert other.id not in seen
    until_ended(studio, other.id)


def test_f30_an_active_run_is_not_deleted(fake_studio, hold):
    release = hold(2)
    run = fake_studio.create({})
    until_step(fake_studio, run.id, 1)
    with pytest.raises(RunError) as refused:
        fake_studio.delete(run.id)
    assert refused.value.code == "active" and "Stop it first" in refused.value.advice
    release()
    until_ended(fake_studio, run.id)
    fake_studio.delete(run.id)
    assert fake_studio.runs() == [] and not run.dir.exists()
    assert list(fake_studio.home.trash.iterdir()) == []


DELETE = """
import os, sys
from pathlib import Path
from app import rebuild, store, studio
points = {"rename": (studio, "move_to_trash"), "row": (store.Writer, "delete"),
          "files": (studio.shutil, "rmtree")}
opened = studio.Studio.open(Path(sys.argv[2]))
owner, name = points[sys.argv[1]]
setattr(owner, name, lambda *a, **k: os._exit(7))
opened.delete(sys.argv[3])
"""


@pytest.mark.parametrize(("point", "kept"), [("rename", True), ("row", False), ("files", False)])
def test_f30_a_delete_cut_short_is_undone_or_finished(home, open_studio, point, kept):
    studio = open_studio()
    run = until_ended(studio, studio.create({}).id)
    done = subprocess.run([sys.executable, "-c", DELETE, point, str(home), run.id], check=False)
    assert done.returncode == 7
    studio.reconcile()
    assert [r.id for r in studio.runs()] == ([run.id] if kept else [])
    assert run.dir.exists() is kept and list(studio.home.trash.iterdir()) == []


def test_f31_everything_comes_back_from_the_folders(home, open_studio, hold):
    studio = open_studio()
    done = until_ended(studio, studio.create({"name": "done"}).id)
    studio.annotate(done.id, tags=["b", "a"], notes="n")
    release = hold(5)
    active = studio.create({"name": "active"})
    until_step(studio, active.id, 4)
    waiting = studio.create({"name": "waiting"})
    before = {run.id: (run.name, run.tags, run.notes, run.attempt) for run in studio.runs()}
    series = studio.series(done.id)
    studio.close()
    for part in ("finestra.db-wal", "finestra.db-shm"):
        (home / part).unlink(missing_ok=True)
    (home / "finestra.db").write_bytes(b"\0" * 8192)
    studio = open_studio()
    studio.reconcile()
    assert {r.id: (r.name, r.tags, r.notes, r.attempt) for r in studio.runs()} == before
    assert studio.series(done.id) == series and studio.run(done.id).state == "completed"
    assert studio.run(active.id).state == "running"
    assert studio.run(waiting.id).state == "queued"
    release()
    assert until_ended(studio, active.id).state == "completed"
    assert until_ended(studio, waiting.id).state == "completed"


def test_a_folder_that_was_brought_here_is_shown_and_a_stray_one_left_alone(home, open_studio):
    studio = open_studio()
    run = until_ended(studio, studio.create({"name": "moved"}).id)
    elsewhere = move_to_trash(studio.home, run.id)
    brought = studio.home.runs / "brought-here"
    elsewhere.rename(brought)
    with studio.store.write() as writer:
        writer.delete(run.id)
    (studio.home.runs / "stray").mkdir()
    (studio.home.runs / "broken").mkdir()
    (studio.home.runs / "broken" / "config.yaml").write_text("learning_rate: [")
    studio.reconcile()
    assert [(r.id, r.state) for r in studio.runs()] == [("brought-here", "completed")]
    assert len(studio.series("brought-here")["loss"]) == 10
    assert (studio.home.runs / "stray").is_dir()


@pytest.mark.parametrize("state", [
    {"attempt": "x"}, {"attempt": [1], "tags": "a"}, {"attempt": 10**30, "created_at": "then"},
    {"state": ["queued"], "name": 7, "tags": [{}], "position": True}, ["no", "mapping"]])
def test_odd_values_in_state_json_keep_neither_this_run_nor_others_away(home, open_studio, state):
    studio = open_studio()
    for folder, told in (("a-odd", state), ("b-good", {"state": "stopped", "tags": ["t"]})):
        run = RunDir(studio.home.runs / folder)
        config = RunConfig.model_validate({"name": folder, "model": {"quantization": "nf4"}})
        run.create(config, {"state": "stopped"})
        write_json(run.state, told)
    studio.reconcile()
    assert studio.scheduler.last_error == ""
    found = {run.id: run for run in studio.runs()}
    assert set(found) == {"a-odd", "b-good"} and found["b-good"].tags == ("t",)
    assert found["a-odd"].state in ("stopped", "interrupted")
    assert {run.method for run in found.values()} == {"qlora"}


def test_a_folder_whose_files_cannot_be_read_keeps_no_other_away(home, open_studio):
    studio = open_studio()
    for folder in ("a-odd", "b-good"):
        RunDir(studio.home.runs / folder).create(RunConfig(name=folder), {"state": "stopped"})
    odd = RunDir(studio.home.runs / "a-odd").state
    odd.unlink()
    odd.symlink_to(odd)
    studio.reconcile()
    assert [run.id for run in studio.runs()] == ["b-good"]


NAMES = {"C": ["名前 🦜", "x" * 100, "-rf", "$(touch X)"],
         "C.UTF-8": ["'; drop table runs --", "%2e%2e", "a\u200bb"]}


@pytest.mark.parametrize("locale", NAMES)
def test_f40_odd_names_paths_and_locales(tmp_path, monkeypatch, locale):
    for key in ("LANG", "LC_ALL"):
        monkeypatch.setenv(key, locale)
    monkeypatch.setenv("PYTHONUTF8", "0" if locale == "C" else "1")
    monkeypatch.setenv("FAKE_STEPS", "1")
    studio = Studio.open(tmp_path / "ein Ordner 目录 🦜", trainer_argv=FAKE)
    try:
        made = [studio.create({"name": name}) for name in NAMES[locale]]
        for run, name in zip(made, NAMES[locale], strict=True):
            ended = until_ended(studio, run.id)
            assert (ended.state, ended.name) == ("completed", name)
            assert run.dir.parent == studio.home.runs and run.id.isascii()
    finally:
        studio.close()
    assert not list(tmp_path.rglob("X"))


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "a\nb", "a\0b", "", "x" * 101, "a\\b"])
def test_names_that_are_paths_are_refused(open_studio, name):
    studio = open_studio()
    with pytest.raises(ConfigError):
        studio.create({"name": name})
    assert studio.runs() == [] and list(studio.home.runs.iterdir()) == []


def abandoned(studio, hold, name):
    """Return a run and its first attempt whose supervisor and trainer were both killed."""
    release = hold(3)
    run = studio.create({"name": name})
    until_step(studio, run.id, 2)
    attempt = studio.dir(run.id).attempt(1)
    for known in json.loads(attempt.process.read_text()).values():
        os.kill(known["pid"], signal.SIGKILL)
    wait_for(lambda: not processes(run.id))
    release()
    return run, attempt


def test_a_result_that_is_a_folder_ends_the_run_and_gives_its_device_back(fake_studio, hold):
    run, attempt = abandoned(fake_studio, hold, "odd")
    attempt.result.mkdir()
    other = fake_studio.create({"name": "next"})
    assert until_ended(fake_studio, other.id).state == "completed"
    assert fake_studio.run(run.id).state == "interrupted" and fake_studio.store.leases() == {}


def test_one_run_that_cannot_be_read_stops_no_other(fake_studio, home, hold, monkeypatch):
    monkeypatch.setenv("FINESTRA_HOME", str(home))
    bad, attempt = abandoned(fake_studio, hold, "bad")
    with fake_studio.store.write() as writer:
        writer.release(bad.id)
    attempt.result.symlink_to(attempt.result)  # not even root can read it
    good = fake_studio.create({"name": "good"})
    wait_for(lambda: fake_studio.tick() or fake_studio.run(good.id).state == "completed")
    assert bad.id in fake_studio.scheduler.last_error
    told = next(check for check in examine() if check.name == "queue")
    assert not told.ok and bad.id in told.detail
    attempt.result.unlink()
    fake_studio.tick()
    assert fake_studio.scheduler.last_error == ""
    assert fake_studio.run(bad.id).state == "interrupted"


def test_f11_a_start_that_fails_on_a_full_disk_is_not_left_hanging(open_studio, monkeypatch):
    studio = open_studio()

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("app.scheduler.subprocess",
                        SimpleNamespace(**{**vars(subprocess), "Popen": full}))
        patched.setattr("app.scheduler.Scheduler._finish", full)
        run = studio.create({})
    assert "No space" in studio.scheduler.last_error and studio.run(run.id).state == "starting"
    studio.tick()
    assert studio.run(run.id).state == "interrupted" and studio.store.leases() == {}
    studio.resume(run.id)
    assert until_ended(studio, run.id).state == "completed"

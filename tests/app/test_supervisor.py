"""What becomes of a run when its trainer, its supervisor or its surroundings misbehave."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.runs import RunState
from app.supervisor import Supervisor, Timing, has_room
from tests.app.conftest import FAKE, processes, until_ended, until_step, wait_for
from trainer.contract.identity import Identity

pytestmark = pytest.mark.faults
STEPS = list(range(1, 11))


def identities(run):
    known = json.loads((run.dir / "attempts" / f"{run.attempt:03d}" / "process.json").read_text())
    return Identity.read(known["supervisor"]), Identity.read(known["trainer"])


def steps(studio, run_id):
    return [step for step, _ in studio.series(run_id, ["loss"])["loss"]]


def result(run, attempt=1):
    return json.loads((run.dir / "attempts" / f"{attempt:03d}" / "result.json").read_text())


def test_a_run_from_the_queue_to_its_end(fake_studio):
    run = until_ended(fake_studio, fake_studio.create({}).id)
    assert (run.state, run.reason, run.attempt, run.device) == ("completed", "", 1, "cpu")
    assert steps(fake_studio, run.id) == STEPS and run.latest["train_loss"] == 0.5
    assert result(run)["outcome"] == "completed" and result(run)["exit_code"] == 0
    assert fake_studio.store.leases() == {} and processes(run.id) == []
    assert "step 10/10" in fake_studio.log_tail(run.id)
    assert fake_studio.choices(run.id)[0].field == "model.dtype"
    assert not (run.dir / "supervisor.log").read_text()


def test_stop_saves_and_resume_goes_on_without_a_gap_or_a_double_point(fake_studio, hold):
    release = hold(4)
    run = fake_studio.create({})
    until_step(fake_studio, run.id, 3)
    assert fake_studio.stop(run.id).state in ("stopping", "stopped")
    run = until_ended(fake_studio, run.id)
    assert run.state == "stopped" and fake_studio.checkpoints(run.id)[0].step == 4
    release()
    assert fake_studio.resume(run.id).state in ("queued", "starting")
    run = until_ended(fake_studio, run.id)
    assert (run.state, run.attempt) == ("completed", 2) and steps(fake_studio, run.id) == STEPS
    assert [a.number for a in fake_studio.dir(run.id).attempts()] == [1, 2]


def test_f3_a_killed_trainer_is_failed_with_its_signal_and_can_be_resumed(fake_studio, hold):
    release = hold(8)
    run = fake_studio.create({})
    until_step(fake_studio, run.id, 7)
    identities(fake_studio.run(run.id))[1].signal(signal.SIGKILL)
    run = until_ended(fake_studio, run.id)
    assert run.state == "failed"
    assert run.reason == "killed by signal 9 (often out of memory)"
    assert result(run)["signal"] == 9 and fake_studio.store.leases() == {}
    release()
    fake_studio.resume(run.id)
    run = until_ended(fake_studio, run.id)
    assert run.state == "completed" and steps(fake_studio, run.id) == STEPS
    points = dict(fake_studio.series(run.id, ["loss"])["loss"])
    assert points == {step: round(2 / (1 + step), 6) for step in STEPS}


def test_a_crash_quotes_the_log(fake_studio, monkeypatch):
    monkeypatch.setenv("FAKE_CRASH_AT", "3")
    run = until_ended(fake_studio, fake_studio.create({}).id)
    assert run.state == "failed" and "exit status 1" in run.reason
    assert "the fake was told to crash" in run.reason


def test_what_the_trainer_says_of_its_failure_is_kept(fake_studio, monkeypatch):
    monkeypatch.setenv("FAKE_OOM_AT", "2")
    run = until_ended(fake_studio, fake_studio.create({}).id)
    assert (run.state, result(run)["code"]) == ("failed", "cuda_oom")
    assert result(run)["advice"] and "CUDA out of memory" in run.reason


def test_f4_a_new_supervisor_adopts_the_living_trainer(fake_studio, hold):
    release = hold(5)
    run = fake_studio.create({})
    until_step(fake_studio, run.id, 4)
    supervisor, trainer = identities(fake_studio.run(run.id))
    supervisor.signal(signal.SIGKILL)

    def adopted():
        fake_studio.tick()
        now, same = identities(fake_studio.run(run.id))
        return now != supervisor and now.alive() and same == trainer

    wait_for(adopted, what="the adoption")
    assert processes(run.id) == [trainer]
    release()
    run = until_ended(fake_studio, run.id)
    assert (run.state, run.attempt) == ("completed", 1) and steps(fake_studio, run.id) == STEPS


def test_f4_the_adopter_can_stop_it_too_even_when_asked_in_between(fake_studio, hold):
    hold(5)
    run = fake_studio.create({})
    until_step(fake_studio, run.id, 4)
    identities(fake_studio.run(run.id))[0].signal(signal.SIGKILL)
    fake_studio.stop(run.id)
    run = until_ended(fake_studio, run.id)
    assert run.state == "stopped" and fake_studio.checkpoints(run.id)[0].step == 5


def test_f4_without_a_last_word_an_adopted_run_is_interrupted(fake_studio, hold):
    hold(5)
    run = fake_studio.create({})
    until_step(fake_studio, run.id, 4)
    supervisor, trainer = identities(fake_studio.run(run.id))
    supervisor.signal(signal.SIGKILL)
    trainer.signal(signal.SIGKILL)
    run = until_ended(fake_studio, run.id)
    assert run.state == "interrupted" and fake_studio.store.leases() == {}


def test_f9_a_full_disk_under_the_log_does_not_end_the_training(fake_studio, monkeypatch):
    monkeypatch.setattr(fake_studio.scheduler, "tick", lambda: None)
    run = fake_studio.create({})
    fake_studio.scheduler._claim(fake_studio.devices())
    folder = run.dir / "attempts" / "001"
    folder.mkdir(parents=True)
    (folder / "log.txt").symlink_to("/dev/full")
    supervisor = Supervisor(fake_studio.home, fake_studio.store, fake_studio.dir(run.id),
                            trainer=FAKE, timing=Timing(poll_s=0.05))
    assert supervisor.work().outcome == "completed"
    fake_studio.scheduler.reconcile()
    assert fake_studio.run(run.id).state == "completed"
    assert steps(fake_studio, run.id) == STEPS


def test_f22_a_loss_that_is_no_number_is_a_gap_and_a_warning(fake_studio, monkeypatch):
    monkeypatch.setenv("FAKE_NAN_AT", "4")
    run = until_ended(fake_studio, fake_studio.create({}).id)
    loss = dict(fake_studio.series(run.id, ["loss"])["loss"])
    assert run.state == "completed" and loss[4] is None and loss[5] is not None
    assert json.dumps(loss, allow_nan=False)
    assert [w.code for w in fake_studio.warnings(run.id)] == ["nan_loss"]


def test_f27_a_stop_that_is_ignored_ends_in_a_kill(fake_studio, hold, monkeypatch):
    monkeypatch.setenv("FAKE_IGNORE_SIGTERM", "1")
    hold(3)
    run = fake_studio.create({})
    until_step(fake_studio, run.id, 2)
    fake_studio.stop(run.id)
    run = until_ended(fake_studio, run.id)
    assert run.state == "stopped" and "was killed" in run.reason
    assert processes(run.id) == []


def test_f27_a_finished_run_that_hangs_at_its_exit_is_completed(fake_studio, monkeypatch):
    monkeypatch.setenv("FAKE_HANG_AT_EXIT", "1")
    run = until_ended(fake_studio, fake_studio.create({}).id)
    assert run.state == "completed" and result(run)["signal"] == 9
    assert processes(run.id) == []


@pytest.mark.parametrize("how", ["end", "stop", "kill"])
def test_f28_no_process_of_a_run_is_left(fake_studio, hold, monkeypatch, how):
    monkeypatch.setenv("FAKE_FORK_CHILDREN", "1")
    release = hold(3)
    run = fake_studio.create({})
    until_step(fake_studio, run.id, 2)
    assert len(processes(run.id)) == 3
    if how == "end":
        release()
    elif how == "stop":
        fake_studio.stop(run.id)
    else:
        identities(fake_studio.run(run.id))[1].signal(signal.SIGKILL)
    until_ended(fake_studio, run.id)
    assert processes(run.id) == []


def test_a_chatty_trainer_neither_blocks_nor_fills_the_disk(fake_studio, monkeypatch):
    monkeypatch.setenv("FAKE_SPAM_MB", "100")
    monkeypatch.setenv("FAKE_SLEEP", "0.1")
    run = until_ended(fake_studio, fake_studio.create({}).id)
    attempt = run.dir / "attempts" / "001"
    assert run.state == "completed"
    assert sum(p.stat().st_size for p in attempt.glob("log*.txt")) <= 64_000_000
    assert [w.code for w in fake_studio.warnings(run.id)] == ["log_truncated"]
    assert len(fake_studio.log_tail(run.id)) <= 64_000


def test_a_supervisor_that_is_not_wanted_leaves_the_run_alone(fake_studio, hold):
    release = hold(3)
    run = fake_studio.create({})
    until_step(fake_studio, run.id, 2)
    second = subprocess.run([sys.executable, "-P", "-m", "app.supervisor", str(run.dir),
                             "--trainer", json.dumps(FAKE)], check=False)
    assert second.returncode == 3 and len(processes(run.id)) == 1
    release()
    run = until_ended(fake_studio, run.id)
    assert run.state == "completed"
    ended = subprocess.run([sys.executable, "-P", "-m", "app.supervisor", str(run.dir)],
                           check=False)
    assert ended.returncode == 3


def test_the_trainer_gets_secrets_by_environment_and_no_other_way(fake_studio, monkeypatch, hold):
    fake_studio.home.write_secrets({"HF_TOKEN": "hf_planted_secret_value", "OTHER": "x"})
    assert fake_studio.home.secrets.stat().st_mode & 0o777 == 0o600
    release = hold(2)
    run = fake_studio.create({})
    until_step(fake_studio, run.id, 1)
    (trainer,) = processes(run.id)
    environ = Path(f"/proc/{trainer.pid}/environ").read_bytes().split(b"\0")
    assert b"HF_TOKEN=hf_planted_secret_value" in environ and b"CUDA_VISIBLE_DEVICES=" in environ
    assert b"FINESTRA_RUNS=" + os.fsencode(fake_studio.home.runs) in environ
    release()
    until_ended(fake_studio, run.id)
    for path in run.dir.rglob("*"):
        assert path.is_dir() or b"planted_secret" not in path.read_bytes()


def test_the_next_run_waits_for_the_device_and_starts_without_a_server(fake_studio, hold):
    release = hold(3)
    first, second = fake_studio.create({}), fake_studio.create({"name": "second"})
    until_step(fake_studio, first.id, 2)
    assert fake_studio.run(second.id).state is RunState.QUEUED
    release()
    # Nobody ticks here but the first run's supervisor at its end.
    wait_for(lambda: fake_studio.run(second.id).state == "completed", what="the second run")
    assert fake_studio.run(first.id).state == "completed"


def test_timing_is_what_was_promised():
    assert (Timing().grace_s, Timing().exit_grace_s) == (120, 60)


def test_f11_a_result_waits_for_room_on_the_disk(fake_studio, monkeypatch):
    from app import supervisor as module

    monkeypatch.setattr(fake_studio.scheduler, "tick", lambda: None)
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    run = fake_studio.create({})
    fake_studio.scheduler._claim(fake_studio.devices())
    write, tries = module.write_json, []

    def full_for_a_while(path, value, **more):
        tries.append(path.name)
        if path.name in ("process.json", "result.json") and tries.count(path.name) < 3:
            raise OSError(28, "No space left on device")
        write(path, value, **more)

    monkeypatch.setattr(module, "write_json", full_for_a_while)
    keeper = Supervisor(fake_studio.home, fake_studio.store, fake_studio.dir(run.id), trainer=FAKE,
                        timing=Timing(poll_s=0.01))
    assert keeper.work().outcome == "completed" and tries.count("result.json") == 3
    fake_studio.scheduler.reconcile()
    assert fake_studio.run(run.id).state == "completed"


def test_a_full_disk_is_noticed_and_looking_leaves_nothing(tmp_path):
    assert has_room(tmp_path) and not list(tmp_path.iterdir())
    full = ("import resource, sys\nfrom pathlib import Path\nfrom app.supervisor import has_room\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))\n"
            "sys.exit(has_room(Path(sys.argv[1])))")
    assert subprocess.run([sys.executable, "-c", full, str(tmp_path)], check=False).returncode == 0

import os
from pathlib import Path

import pytest

from trainer.contract import RunConfig, commits
from trainer.contract import events as ev
from trainer.contract.commits import commit, find_problem, list_checkpoints
from trainer.contract.files import locked, read_json, write_atomic, write_json
from trainer.contract.rundir import RunDir, is_safe_name


def test_events_round_trip_on_one_line():
    event = ev.MetricsEvent(attempt=1, seq=3, step=5, values={"loss": None, "lr": 1e-4})
    line = ev.to_line(event)
    assert line.count("\n") == 1 and ev.from_line(line) == event
    assert ev.finite(float("nan")) is None and ev.finite(0.0) == 0.0
    with pytest.raises(ValueError):
        ev.to_line(ev.MetricsEvent(step=1, values={"loss": float("inf")}))


@pytest.mark.parametrize("line", ["", "{", "[]", '{"type":"nope"}', '{"type":"metrics"}'])
def test_what_is_no_event_is_a_value_error(line):
    with pytest.raises(ValueError):
        ev.from_line(line)


def test_one_at_a_time_holds_a_lock(tmp_path):
    path = tmp_path / "a.lock"
    with locked(path):
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(BlockingIOError), locked(path, wait=False):
            pass
    with pytest.raises(KeyError), locked(path, wait=False):
        raise KeyError
    with locked(path):
        pass


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_atomic_write_keeps_the_old_file_when_a_call_fails(tmp_path, monkeypatch, call):
    path = tmp_path / "state.json"
    write_json(path, {"a": 1})

    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(OSError, match="No space"):
            write_json(path, {"a": 2})
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


def test_secret_files_are_private(tmp_path):
    write_atomic(tmp_path / "token", "s", mode=0o600)
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "a\\b", "%2e%2e", "x" * 65, "ａ", "a\0"])
def test_unsafe_names(name):
    assert not is_safe_name(name)


def test_run_folder_keeps_config_and_attempts(tmp_path):
    run = RunDir(tmp_path / "r1")
    run.create(RunConfig(name="x"), {"state": "queued"})
    assert run.read_config().name == "x" and run.read_state() == {"state": "queued"}
    assert run.latest() is None
    assert [run.new_attempt().number, run.new_attempt().number] == [1, 2]
    assert run.latest().events == run.path / "attempts" / "002" / "events.jsonl"
    with pytest.raises(FileExistsError):
        run.create(RunConfig(), {})


def make_checkpoint(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"w" * 2_000_000)
    (folder / "optimizer.pt").write_bytes(b"o" * 1_500_000)
    (folder / "trainer_state.json").write_text("{}")
    return folder


def test_uncommitted_is_garbage_and_committed_is_good(tmp_path):
    folder = make_checkpoint(tmp_path / "checkpoint-5")
    assert "never committed" in find_problem(folder)
    commit(folder, 5)
    assert find_problem(folder) == ""
    (info,) = list_checkpoints([(5, folder)])
    assert info.step == 5 and info.size_bytes >= 3_500_002 and not info.problem


def swap_byte(path: Path) -> None:
    path.write_bytes(b"X" + path.read_bytes()[1:])


def link_out(path: Path) -> None:
    data = path.parent.parent / "elsewhere"
    data.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(data)


@pytest.mark.parametrize(("damage", "name", "says"), [
    (lambda p: p.write_bytes(b""), "model.safetensors", "0 bytes"),
    (lambda p: p.unlink(), "trainer_state.json", "missing"),
    (swap_byte, "optimizer.pt", "changed"),
    (link_out, "model.safetensors", "link"),
    (lambda p: p.with_name("rng_state.pth").write_bytes(b"evil"), "optimizer.pt", "not written"),
    (lambda p: p.write_text("{"), "COMMITTED.json", "never committed"),
])
def test_damage_is_named(tmp_path, damage, name, says):
    folder = make_checkpoint(tmp_path / "checkpoint-5")
    commit(folder, 5)
    damage(folder / name)
    assert says in find_problem(folder)


def test_a_look_reads_no_large_file_and_a_resume_reads_all(tmp_path, monkeypatch):
    folder = make_checkpoint(tmp_path / "checkpoint-5")
    commit(folder, 5)
    read: list[str] = []
    real = commits._sha256
    monkeypatch.setattr(commits, "_sha256", lambda path: (read.append(path.name), real(path))[1])
    list_checkpoints([(5, folder)])
    assert read == ["trainer_state.json"]
    assert find_problem(folder) == "" and "optimizer.pt" in read


@pytest.mark.parametrize(("damage", "name", "says"), [
    (lambda p: p.write_bytes(b""), "optimizer.pt", "0 bytes"),
    (lambda p: p.unlink(), "model.safetensors", "missing"),
    (swap_byte, "trainer_state.json", "changed"),
    (link_out, "optimizer.pt", "link"),
    (lambda p: p.with_name("rng_state.pth").write_bytes(b"evil"), "optimizer.pt", "not written"),
    (swap_byte, "optimizer.pt", ""),
])
def test_a_look_names_what_it_can_see(tmp_path, damage, name, says):
    folder = make_checkpoint(tmp_path / "checkpoint-5")
    commit(folder, 5)
    damage(folder / name)
    (info,) = list_checkpoints([(5, folder)])
    assert says in info.problem and bool(info.problem) == bool(says)


def test_checkpoints_newest_first(tmp_path):
    run = RunDir(tmp_path)
    for step in (5, 20, 10):
        make_checkpoint(run.checkpoints / f"checkpoint-{step}")
    (run.checkpoints / "checkpoint-x").mkdir()
    assert [step for step, _ in run.checkpoint_folders()] == [20, 10, 5]

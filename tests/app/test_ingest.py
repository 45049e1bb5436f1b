import json
import threading

import pytest

from app.home import Home
from app.ingest import ingest, last_event, parse, read_lines
from app.runs import Progress
from app.store import Store
from trainer.contract import RunConfig
from trainer.contract import events as ev
from trainer.contract.rundir import RunDir


@pytest.fixture
def run(tmp_path):
    home = Home.open(tmp_path / "home")
    run = RunDir(home.runs / "r1")
    run.create(RunConfig(), {})
    store = Store(home.db, home.runs)
    with store.write() as writer:
        writer.insert("r1", {"name": "r", "state": "running", "created_at": 1, "queued_at": 1})
    run_and_store = run, store
    yield run_and_store
    store.close()


def metrics(step, loss, attempt=1, **more):
    return ev.to_line(ev.MetricsEvent(attempt=attempt, seq=step, step=step,
                                      values={"loss": loss}, **more)).encode()


def append(run, *lines, attempt=1):
    target = run.attempt(attempt)
    target.path.mkdir(parents=True, exist_ok=True)
    with target.events.open("ab") as file:
        for line in lines:
            file.write(line)


def loss(store):
    return store.series("r1", ["loss"])["loss"]


def test_points_progress_and_latest(run):
    folder, store = run
    append(folder, ev.to_line(ev.StageEvent(stage="training")).encode(),
           metrics(1, 2.0, total_steps=4, eta_s=3.0), metrics(2, None))
    assert ingest(store, folder) is True and ingest(store, folder) is False
    assert loss(store) == [(1, 2.0), (2, None)]
    found = store.record("r1").run
    assert found.progress == Progress("training", 2, 4, 3.0)
    assert found.latest == {"loss": None}


@pytest.mark.faults
@pytest.mark.parametrize("cut", range(1, 41))
def test_f14_a_torn_last_line_waits_for_its_rest(run, cut):
    folder, store = run
    lines = metrics(1, 2.0) + metrics(2, 1.5)
    append(folder, lines[:-cut])
    ingest(store, folder)
    assert loss(store) == [(1, 2.0)]
    append(folder, lines[-cut:], metrics(3, 1.0))
    ingest(store, folder)
    assert loss(store) == [(1, 2.0), (2, 1.5), (3, 1.0)]
    assert store.skipped("r1") == 0


def test_f14_a_torn_line_that_was_never_finished_is_passed_over(run):
    folder, store = run
    append(folder, metrics(1, 2.0), metrics(2, 1.5)[:-9], b"\n", metrics(3, 1.0))
    ingest(store, folder)
    assert loss(store) == [(1, 2.0), (3, 1.0)] and store.skipped("r1") == 1


def test_a_file_that_lost_its_end_is_read_again_without_double_points(run):
    folder, store = run
    append(folder, metrics(1, 2.0), metrics(2, 1.5), metrics(3, 1.0))
    append(folder, ev.to_line(ev.WarningEvent(code="c", message="m")).encode())
    ingest(store, folder)
    events = folder.attempt(1).events
    events.write_bytes(events.read_bytes()[:-30])
    append(folder, b"\n", metrics(4, 0.5))
    ingest(store, folder)
    assert [step for step, _ in loss(store)] == [1, 2, 3, 4]
    assert len(store.events("r1", "warning")) == 1


@pytest.mark.parametrize("line", [
    b"{}\n", b"not json\n", b"\xff\xfe\x00\n", b'{"type":"from_the_future","x":1}\n', b"[]\n",
    b'{"type":"metrics","step":1,"values":{"loss":"high"}}\n', b"null\n", b"x" * 200_000 + b"\n"])
def test_what_is_no_event_is_counted_and_never_fatal(run, line):
    folder, store = run
    append(folder, metrics(1, 2.0), line, b"\n", metrics(2, 1.0))
    ingest(store, folder)
    assert loss(store) == [(1, 2.0), (2, 1.0)] and store.skipped("r1") == 1


def test_nan_in_a_file_of_somebody_else_becomes_a_gap(run):
    folder, store = run
    append(folder, b'{"type":"metrics","step":1,"values":{"loss":NaN,"lr":1e999}}\n')
    ingest(store, folder)
    assert json.dumps(store.series("r1", None), allow_nan=False)


def test_a_resumed_curve_has_each_step_once(run):
    folder, store = run
    append(folder, *[metrics(step, 10.0 + step) for step in range(1, 8)])
    append(folder, ev.to_line(ev.SampleEvent(step=7, prompt="p", output="old")).encode())
    ingest(store, folder)
    append(folder, ev.to_line(ev.ResumeEvent(attempt=2, step=5)).encode(),
           metrics(6, 1.0, attempt=2), attempt=2)
    ingest(store, folder)
    expected = [(step, 10.0 + step) for step in range(1, 6)] + [(6, 1.0)]
    assert loss(store) == expected and store.events("r1", "sample") == []
    assert store.record("r1").run.progress.step == 6
    # The whole history at once, as a rebuild reads it, comes to the same.
    with store.write() as writer:
        writer.delete("r1")
        writer.insert("r1", {"name": "r", "state": "running", "created_at": 1, "queued_at": 1})
    ingest(store, folder)
    assert loss(store) == expected


def test_a_restart_from_the_beginning_supersedes_everything_but_step_0(run):
    folder, store = run
    append(folder, metrics(0, 3.0), metrics(1, 2.0), metrics(2, 1.0))
    append(folder, ev.to_line(ev.ResumeEvent(attempt=2, step=0)).encode(), attempt=2)
    ingest(store, folder)
    assert loss(store) == [(0, 3.0)]


def test_many_readers_store_each_line_once(run):
    folder, store = run
    append(folder, *[metrics(step, 1.0) for step in range(1, 500)])
    append(folder, ev.to_line(ev.WarningEvent(code="c", message="m")).encode(), b"broken\n")
    threads = [threading.Thread(target=ingest, args=(store, folder)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loss(store)) == 499 and store.skipped("r1") == 1
    assert len(store.events("r1", "warning")) == 1


def test_a_long_line_is_read_whole_and_positions_are_right(run):
    folder, store = run
    big = ev.to_line(ev.SampleEvent(step=1, prompt="p" * 5_000_000, output="o")).encode()
    append(folder, big, metrics(1, 1.0))
    ingest(store, folder)
    assert len(store.events("r1", "sample")) == 1 and loss(store) == [(1, 1.0)]
    path = folder.attempt(1).events
    assert read_lines(path, len(big)) == (len(big), metrics_bytes(path, len(big)))


def metrics_bytes(path, offset):
    return path.read_bytes()[offset:]


def test_chunks_are_pure():
    line = metrics(1, 1.0)
    batch = parse(line + b"broken\n", 100, Progress())
    assert (batch.end, batch.skipped) == (100 + len(line) + 7, 1)


def test_the_last_word_is_found(run):
    folder, _ = run
    append(folder, metrics(1, 1.0))
    assert last_event(folder.attempt(1)) is None
    append(folder, ev.to_line(ev.EndEvent(outcome="completed")).encode(), b'{"torn')
    assert last_event(folder.attempt(1)).outcome == "completed"
    assert last_event(folder.attempt(9)) is None

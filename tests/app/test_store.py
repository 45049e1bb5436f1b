import subprocess
import sys
import threading

import pytest

from app import migrations
from app.home import Home
from app.migrations import VERSION, NewerSchema, migrate
from app.rebuild import open_store, recover
from app.runs import Progress, RunError, RunState
from app.store import CorruptIndex, Store
from trainer.contract import RunConfig
from trainer.contract.identity import Identity
from trainer.contract.rundir import RunDir


@pytest.fixture
def place(tmp_path):
    return Home.open(tmp_path / "home")


@pytest.fixture
def store(place):
    opened = Store(place.db, place.runs, busy_s=10)
    yield opened
    opened.close()


def add(store, run_id="r1", **columns):
    RunDir(store.runs_folder / run_id).create(RunConfig(name=run_id), {})
    with store.write() as writer:
        writer.insert(run_id, {"name": run_id, "state": "queued", "created_at": 1.0,
                               "queued_at": 1.0, **columns})
        writer.mirror(run_id)


def test_a_run_comes_back_as_it_was_stored(store):
    add(store, tags=["a"])
    with store.write() as writer:
        writer.update("r1", progress=Progress("training", 3, 9), latest={"loss": None},
                      supervisor=Identity.mine(), notes="n")
    record = store.record("r1")
    assert record.supervisor == Identity.mine() and record.claimer is None
    assert record.run.progress == Progress("training", 3, 9)
    assert (record.run.tags, record.run.latest, record.run.notes) == (("a",), {"loss": None}, "n")
    with pytest.raises(RunError) as unknown:
        store.record("nope")
    assert unknown.value.code == "unknown_run"


def test_every_stored_change_moves_the_watermarks(store):
    add(store)
    add(store, "r2")
    before, one = store.watermark(), store.watermark("r1")
    with store.write() as writer:
        writer.update("r2", notes="x")
    assert store.watermark() > before and store.watermark("r1") == one
    before = store.watermark()
    with store.write() as writer:
        writer.delete("r2")
    assert store.watermark() > before and store.watermark("r2") == 0


def test_only_known_transitions_and_state_json_follows(store):
    add(store)
    with store.write() as writer:
        writer.transition("r1", RunState.STARTING, RunState.RUNNING)
    assert RunDir(store.runs_folder / "r1").read_state()["state"] == "running"
    with pytest.raises(RunError), store.write() as writer:
        writer.transition("r1", RunState.QUEUED)
    assert store.record("r1").run.state is RunState.RUNNING


def test_an_error_undoes_the_whole_transaction(store):
    add(store)
    before = store.watermark()
    with pytest.raises(ZeroDivisionError), store.write() as writer:
        writer.update("r1", notes="x")
        raise ZeroDivisionError
    assert store.record("r1").run.notes == "" and store.watermark() == before


def test_a_device_has_one_holder_and_a_key_one_run(store):
    add(store)
    add(store, "r2")
    with store.write() as writer:
        writer.lease("cpu", "r1")
        writer.keep_key("me", "k", "r1")
    with pytest.raises(Exception, match="UNIQUE"), store.write() as writer:
        writer.lease("cpu", "r2")
    with store.write() as writer:
        assert writer.run_of_key("me", "k") == "r1" and writer.run_of_key("you", "k") is None
        writer.delete("r1")
    assert store.leases() == {}


def test_threads_share_a_store(store):
    add(store)
    errors = []

    def work(number):
        try:
            for step in range(20):
                with store.write() as writer:
                    writer.put_points("r1", 1, [(f"m{number}", step, float(step))])
                    writer.update("r1")
                store.series("r1", None)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert {len(points) for points in store.series("r1", None).values()} == {20}


LOCK = ("import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('BEGIN EXCLUSIVE')\nprint('locked', flush=True)\nsys.stdin.read(1)\n"
        "c.execute('COMMIT')")


@pytest.mark.faults
def test_f31_a_lock_of_another_process_is_waited_for(store):
    add(store)
    other = subprocess.Popen([sys.executable, "-c", LOCK, str(store.path)], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout.readline() == "locked\n"
    assert store.record("r1").run.id == "r1"  # readers do not wait
    done = threading.Event()

    def write():
        with store.write() as writer:
            writer.update("r1", notes="written")
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert not done.wait(0.3)
    other.communicate("x")
    thread.join(10)
    assert done.is_set() and store.record("r1").run.notes == "written"


@pytest.mark.faults
def test_f31_a_newer_schema_is_refused_with_both_versions(place, store):
    with store.connection() as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 7}")
    with pytest.raises(NewerSchema, match=f"{VERSION + 7}.*{VERSION}"):
        open_store(place)
    assert place.db.exists()


STEP = ("CREATE TABLE more (x INTEGER)", "INSERT INTO more VALUES (1)", "SELECT crash()")


@pytest.mark.faults
def test_f31_a_migration_that_dies_leaves_the_old_schema_and_a_backup(place, store, monkeypatch):
    add(store)
    monkeypatch.setattr(migrations, "VERSION", VERSION + 1)
    with store.connection() as connection:
        with pytest.raises(Exception, match="crash"):
            migrate(connection, place.db, (*migrations.STEPS, STEP))
        assert migrations.version_of(connection) == VERSION
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'more'").fetchall()
        migrate(connection, place.db, (*migrations.STEPS, STEP[:2]))
        assert connection.execute("SELECT x FROM more").fetchone()[0] == 1
    backup = Store(place.root / f"finestra.db.v{VERSION}.backup", place.runs)
    assert backup.record("r1").run.id == "r1"
    backup.close()


@pytest.mark.faults
@pytest.mark.parametrize("damage", [
    lambda p: p.write_bytes(b"\0" * 4096 + p.read_bytes()[4096:]),
    lambda p: p.write_bytes(b"this is no database at all, but long enough to look at" * 100),
    lambda p: p.write_bytes(p.read_bytes()[:4096] + b"\xff" * 40_000),
], ids=["zeroed", "text", "pages"])
def test_f31_a_damaged_index_is_moved_aside_and_rebuilt(place, damage):
    store = Store(place.db, place.runs)
    add(store, tags=["keep"], owner="me")
    add(store, "r2")
    attempt = RunDir(place.runs / "r2").new_attempt()
    attempt.events.write_text(
        '{"type":"metrics","attempt":1,"seq":1,"step":1,"values":{"loss":2.0}}\n')
    store.close()
    for leftover in ("-wal", "-shm"):
        place.db.with_name(place.db.name + leftover).unlink(missing_ok=True)
    damage(place.db)
    rebuilt = open_store(place)
    try:
        rebuilt.quick_check()
    except CorruptIndex:  # deep inside: found at a server's start, or when a page is touched
        rebuilt.close()
        rebuilt = recover(place)
    try:
        assert rebuilt.record("r1").run.tags == ("keep",)
        assert (rebuilt.record("r1").run.owner, rebuilt.record("r1").position) == ("me", 1)
        assert rebuilt.series("r2", ["loss"]) == {"loss": [(1, 2.0)]}
        assert list(place.root.glob("finestra.db.damaged-*"))
    finally:
        rebuilt.close()


def test_an_index_that_was_replaced_is_opened_again(place, store):
    add(store)
    for suffix in ("", "-wal", "-shm"):
        place.db.with_name(place.db.name + suffix).unlink(missing_ok=True)
    fresh = Store(place.db, place.runs)
    with pytest.raises(RunError):
        store.record("r1")
    fresh.close()


def test_a_lock_held_too_long_is_an_error(place, store):
    impatient = Store(place.db, place.runs, busy_s=0.05)
    with store.write(), pytest.raises(Exception, match="locked"), impatient.write():
        pass
    impatient.close()

"""The index over the run folders: the only SQL beside migrations.

Any process may write, in short ``BEGIN IMMEDIATE`` transactions. Every stored change moves the
run's ``changed`` and the global counter, which is what watermarks show.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.migrations import check_version, migrate
from app.runs import Progress, Run, RunError, RunState, check_transition
from trainer.contract.files import write_json
from trainer.contract.identity import Identity
from trainer.contract.rundir import RunDir

BUSY_S = 30.0
_IDLE_CONNECTIONS = 4
# What state.json keeps, so that the index can be rebuilt from the folders.
MIRRORED = ("name", "state", "reason", "objective", "model", "method", "owner", "wanted_device",
            "device", "tags", "notes", "attempt", "resume", "position", "created_at", "queued_at",
            "started_at", "ended_at", "stop_requested")
_JSON_COLUMNS = ("tags", "progress", "latest", "claimer", "supervisor")


class CorruptIndex(ValueError):
    """The database file is damaged; it can be rebuilt from the run folders."""


class IndexUnavailable(OSError):
    """The index cannot be used now: locked too long, disk full, read-only or broken."""


@dataclass(frozen=True)
class Record:
    """A run with what only the scheduler needs."""

    run: Run
    wanted_device: str = "auto"
    resume: str = "auto"
    position: int = 0
    claimer: Identity | None = None
    supervisor: Identity | None = None


def _damaged(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT,
                                                            sqlite3.SQLITE_NOTADB)


class Store:
    """One database file, usable from every thread."""

    def __init__(self, path: Path, runs: Path, *, busy_s: float = BUSY_S) -> None:
        """Connect and migrate.

        Args:
            path: The database file.
            runs: The folder of the run folders; a run's folder has its id as name.
            busy_s: How long a write waits for another process.

        Raises:
            CorruptIndex: The file is not a healthy database.
            NewerSchema: It was written by a newer Finestra.
        """
        self.path, self.runs_folder, self._busy_s = path, runs, busy_s
        self._idle: list[tuple[int, sqlite3.Connection]] = []
        self._lock = threading.Lock()
        with self.connection() as connection:
            if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                raise CorruptIndex(f"'{path}' lies on a file system without shared memory.")
            migrate(connection, path)
            check_version(connection, path)

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            while self._idle:
                self._idle.pop()[1].close()

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection in autocommit mode; CorruptIndex when the file is damaged."""
        held: tuple[int, sqlite3.Connection] | None = None
        try:
            held = self._idle_connection() or self._connect()
            yield held[1]
        except sqlite3.DatabaseError as error:
            if _damaged(error):
                raise CorruptIndex(f"The index '{self.path}' is damaged: {error}.") from error
            if isinstance(error, sqlite3.OperationalError):
                raise IndexUnavailable(getattr(error, "sqlite_errorcode", 0), f"index: {error}",
                                       str(self.path)) from error
            raise
        finally:
            if held is not None:
                self._take_back(held)

    def _inode(self) -> int:
        try:
            return self.path.stat().st_ino
        except FileNotFoundError:
            return 0

    def _idle_connection(self) -> tuple[int, sqlite3.Connection] | None:
        with self._lock:
            while self._idle:
                inode, connection = self._idle.pop()
                # Another process may have moved a damaged file aside and made a new one.
                if inode == self._inode():
                    return inode, connection
                connection.close()
        return None

    def _connect(self) -> tuple[int, sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=self._busy_s, isolation_level=None,
                                     check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = NORMAL")
        return self._inode(), connection

    def _take_back(self, held: tuple[int, sqlite3.Connection]) -> None:
        with self._lock:
            if len(self._idle) < _IDLE_CONNECTIONS and not held[1].in_transaction:
                self._idle.append(held)
                return
        held[1].close()

    @contextmanager
    def write(self) -> Iterator[Writer]:
        """Open a write transaction; it is committed at the end of the block or undone."""
        with self.connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield Writer(connection, self.runs_folder)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has undone it already
                    connection.execute("ROLLBACK")
                raise

    def quick_check(self) -> None:
        """Read the whole file; CorruptIndex when something in it is damaged."""
        with self.connection() as connection:
            answer = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if answer != "ok":
            raise CorruptIndex(f"The index '{self.path}' is damaged: {answer}.")

    def watermark(self, run_id: str | None = None) -> int:
        """Return the change counter of a run (0: no such run), or of everything."""
        with self.connection() as connection:
            if run_id is None:
                row = connection.execute("SELECT value FROM meta WHERE key = 'changes'").fetchone()
            else:
                row = connection.execute("SELECT changed FROM runs WHERE id = ?",
                                         (run_id,)).fetchone()
        return int(row[0]) if row else 0

    def record(self, run_id: str) -> Record:
        """Return a run; RunError('unknown_run') when there is none of that id."""
        with self.connection() as connection:
            return read_record(connection, run_id, self.runs_folder)

    def records(self, states: Sequence[RunState] | None = None) -> list[Record]:
        """Return the runs in these states (all when None) in the order of the queue."""
        where = ""
        values: tuple[str, ...] = ()
        if states is not None:
            where = f"WHERE state IN ({','.join('?' * len(states))})"
            values = tuple(str(state) for state in states)
        with self.connection() as connection:
            rows = connection.execute(f"SELECT * FROM runs {where} ORDER BY position, id",
                                      values).fetchall()
        return [_record(row, self.runs_folder) for row in rows]

    def leases(self) -> dict[str, str]:
        """Return the run id that holds each leased device."""
        with self.connection() as connection:
            return {row[0]: row[1] for row in connection.execute(
                "SELECT device, run_id FROM leases")}

    def offset(self, run_id: str, attempt: int) -> int:
        """Return how many bytes of an attempt's events are stored."""
        with self.connection() as connection:
            return read_offset(connection, run_id, attempt)

    def series(self, run_id: str, names: Sequence[str] | None
               ) -> dict[str, list[tuple[int, float | None]]]:
        """Return the points of each series in the order of steps, each step once."""
        with self.connection() as connection:
            if names is None:
                names = [row[0] for row in connection.execute(
                    "SELECT DISTINCT name FROM metrics WHERE run_id = ? ORDER BY name", (run_id,))]
            return {name: [(row[0], row[1]) for row in connection.execute(
                "SELECT step, value FROM metrics WHERE run_id = ? AND name = ? ORDER BY step",
                (run_id, name))] for name in names}

    def events(self, run_id: str, kind: str, last: int | None = None) -> list[str]:
        """Return the JSON bodies of one type of event, oldest first."""
        with self.connection() as connection:
            rows = connection.execute(
                "SELECT body FROM events WHERE run_id = ? AND type = ? "
                "ORDER BY attempt DESC, at DESC LIMIT ?",
                (run_id, kind, -1 if last is None else last)).fetchall()
        return [row[0] for row in reversed(rows)]

    def skipped(self, run_id: str) -> int:
        """Return how many broken or unknown event lines were passed over."""
        with self.connection() as connection:
            row = connection.execute("SELECT coalesce(sum(skipped), 0) FROM offsets "
                                     "WHERE run_id = ?", (run_id,)).fetchone()
        return int(row[0])


class Writer:
    """What can be done inside one write transaction."""

    def __init__(self, connection: sqlite3.Connection, runs: Path) -> None:
        """Work on a connection that has begun a transaction."""
        self._connection, self._runs = connection, runs

    def record(self, run_id: str) -> Record:
        """Return a run as this transaction sees it."""
        return read_record(self._connection, run_id, self._runs)

    def records(self, state: RunState) -> list[Record]:
        """Return the runs in a state in the order of the queue."""
        rows = self._connection.execute(
            "SELECT * FROM runs WHERE state = ? ORDER BY position, id", (str(state),)).fetchall()
        return [_record(row, self._runs) for row in rows]

    def known_ids(self) -> set[str]:
        """Return the id of every run."""
        return {row[0] for row in self._connection.execute("SELECT id FROM runs")}

    def count(self) -> int:
        """Move the global change counter and return it."""
        row = self._connection.execute(
            "UPDATE meta SET value = value + 1 WHERE key = 'changes' RETURNING value").fetchone()
        return int(row[0])

    def insert(self, run_id: str, columns: dict[str, Any]) -> None:
        """Add a run; unless named, its place is the end of the queue."""
        number = self.count()
        values = _encode({"position": number, **columns, "id": run_id, "changed": number})
        self._connection.execute(
            f"INSERT INTO runs ({','.join(values)}) VALUES ({','.join('?' * len(values))})",
            tuple(values.values()))

    def update(self, run_id: str, **columns: Any) -> Run:
        """Change columns of a run, and state.json where it mirrors one of them."""
        values = _encode({**columns, "changed": self.count()})
        self._connection.execute(
            f"UPDATE runs SET {','.join(f'{name} = ?' for name in values)} WHERE id = ?",
            (*values.values(), run_id))
        if any(name in MIRRORED for name in columns):
            self.mirror(run_id)
        return self.record(run_id).run

    def transition(self, run_id: str, *path: RunState, **columns: Any) -> Run:
        """Move a run along states of TRANSITIONS; RunError('transition') when it cannot go."""
        state = self.record(run_id).run.state
        for following in path:
            check_transition(state, following)
            state = following
        return self.update(run_id, state=str(state), **columns)

    def to_end_of_queue(self, run_id: str) -> None:
        """Give a run the last place."""
        self.update(run_id, position=self.count())

    def mirror(self, run_id: str) -> None:
        """Write state.json; a run whose folder is gone has nothing to write to."""
        row = self._connection.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
        folder = RunDir(self._runs / run_id)
        if folder.path.is_dir():
            values = {name: row[name] for name in MIRRORED}
            write_json(folder.state, {**values, "tags": json.loads(row["tags"])})

    def delete(self, run_id: str) -> None:
        """Remove a run and everything that hangs on it."""
        self._connection.execute("DELETE FROM runs WHERE id = ?", (run_id,))
        self.count()

    def lease(self, device: str, run_id: str) -> None:
        """Give a device to a run; it must be free."""
        self._connection.execute("INSERT INTO leases VALUES (?, ?)", (device, run_id))

    def leased(self) -> set[str]:
        """Return the devices that are taken."""
        return {row[0] for row in self._connection.execute("SELECT device FROM leases")}

    def release(self, run_id: str) -> None:
        """Take every device of a run back."""
        self._connection.execute("DELETE FROM leases WHERE run_id = ?", (run_id,))

    def run_of_key(self, owner: str, key: str) -> str | None:
        """Return the run that was made under an idempotency key."""
        row = self._connection.execute(
            "SELECT run_id FROM idempotency WHERE owner = ? AND key = ?", (owner, key)).fetchone()
        return row[0] if row else None

    def keep_key(self, owner: str, key: str, run_id: str) -> None:
        """Remember which run was made under an idempotency key."""
        self._connection.execute("INSERT INTO idempotency VALUES (?, ?, ?)", (owner, key, run_id))

    def offset(self, run_id: str, attempt: int) -> int:
        """Return how many bytes of an attempt's events are stored."""
        return read_offset(self._connection, run_id, attempt)

    def move_offset(self, run_id: str, attempt: int, offset: int, skipped: int) -> None:
        """Store how far an attempt's events are read, and add to the lines passed over."""
        self._connection.execute(
            "INSERT INTO offsets VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
            "SET offset = excluded.offset, skipped = skipped + excluded.skipped",
            (run_id, attempt, offset, skipped))

    def supersede(self, run_id: str, attempt: int, step: int) -> None:
        """Drop what earlier attempts measured beyond the step this attempt starts from."""
        self._connection.execute(
            "DELETE FROM metrics WHERE run_id = ? AND attempt < ? AND step > ?",
            (run_id, attempt, step))
        self._connection.execute(
            "DELETE FROM events WHERE run_id = ? AND attempt < ? AND step > ? "
            "AND type IN ('sample', 'checkpoint')", (run_id, attempt, step))

    def put_points(self, run_id: str, attempt: int,
                   points: Sequence[tuple[str, int, float | None]]) -> None:
        """Store (name, step, value); a step stands once, the later attempt wins."""
        self._connection.executemany(
            "INSERT INTO metrics VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
            "SET value = excluded.value, attempt = excluded.attempt "
            "WHERE excluded.attempt >= attempt",
            [(run_id, name, step, value, attempt) for name, step, value in points])

    def put_events(self, run_id: str, attempt: int,
                   rows: Sequence[tuple[int, str, int | None, str]]) -> None:
        """Store (byte position, type, step, JSON body); the same position once."""
        self._connection.executemany("INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?, ?)",
                                     [(run_id, attempt, *row) for row in rows])

    def latest(self, run_id: str) -> dict[str, float | None]:
        """Return each series' value at its last step."""
        # With max() SQLite takes the bare columns from the row of the maximum.
        return {row[0]: row[2] for row in self._connection.execute(
            "SELECT name, max(step), value FROM metrics WHERE run_id = ? GROUP BY name",
            (run_id,))}


def read_record(connection: sqlite3.Connection, run_id: str, runs: Path) -> Record:
    """Return a run; RunError('unknown_run') when there is none of that id."""
    row = connection.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
    if row is None:
        raise RunError("unknown_run", f"There is no run '{run_id}'.",
                       "See `finestra runs list` for the ids.")
    return _record(row, runs)


def read_offset(connection: sqlite3.Connection, run_id: str, attempt: int) -> int:
    """Return how many bytes of an attempt's events are stored."""
    row = connection.execute("SELECT offset FROM offsets WHERE run_id = ? AND attempt = ?",
                             (run_id, attempt)).fetchone()
    return int(row[0]) if row else 0


def _encode(columns: dict[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, Identity):
            return value.document()
        return asdict(value) if isinstance(value, Progress) else value

    return {name: json.dumps(plain(value)) if name in _JSON_COLUMNS and value is not None
            else value for name, value in columns.items()}


def _record(row: sqlite3.Row, runs: Path) -> Record:
    run = Run(id=row["id"], name=row["name"], state=RunState(row["state"]), dir=runs / row["id"],
              reason=row["reason"], objective=row["objective"], model=row["model"],
              method=row["method"], owner=row["owner"], device=row["device"],
              tags=tuple(json.loads(row["tags"])), notes=row["notes"], attempt=row["attempt"],
              created_at=row["created_at"], queued_at=row["queued_at"],
              started_at=row["started_at"], ended_at=row["ended_at"],
              progress=Progress(**json.loads(row["progress"])),
              latest=json.loads(row["latest"]), stop_requested=bool(row["stop_requested"]))
    return Record(run=run, wanted_device=row["wanted_device"], resume=row["resume"],
                  position=row["position"],
                  claimer=Identity.read(json.loads(row["claimer"] or "null")),
                  supervisor=Identity.read(json.loads(row["supervisor"] or "null")))

"""The schema of the index, as ordered steps; ``user_version`` counts those already done."""

from __future__ import annotations

import sqlite3
from pathlib import Path

STEPS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
        "INSERT INTO meta VALUES ('changes', 0)",
        """CREATE TABLE runs (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            state TEXT NOT NULL,
            reason TEXT NOT NULL DEFAULT '',
            objective TEXT NOT NULL DEFAULT '',
            model TEXT NOT NULL DEFAULT '',
            method TEXT NOT NULL DEFAULT '',
            owner TEXT NOT NULL DEFAULT 'local',
            wanted_device TEXT NOT NULL DEFAULT 'auto',
            device TEXT NOT NULL DEFAULT '',
            tags TEXT NOT NULL DEFAULT '[]',
            notes TEXT NOT NULL DEFAULT '',
            attempt INTEGER NOT NULL DEFAULT 0,
            resume TEXT NOT NULL DEFAULT 'auto',
            position INTEGER NOT NULL DEFAULT 0,
            created_at REAL NOT NULL,
            queued_at REAL NOT NULL,
            started_at REAL,
            ended_at REAL,
            stop_requested INTEGER NOT NULL DEFAULT 0,
            claimer TEXT,
            supervisor TEXT,
            progress TEXT NOT NULL DEFAULT '{}',
            latest TEXT NOT NULL DEFAULT '{}',
            changed INTEGER NOT NULL DEFAULT 0)""",
        "CREATE INDEX runs_by_state ON runs (state, position)",
        """CREATE TABLE metrics (
            run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
            name TEXT NOT NULL,
            step INTEGER NOT NULL,
            value REAL,
            attempt INTEGER NOT NULL,
            PRIMARY KEY (run_id, name, step)) WITHOUT ROWID""",
        """CREATE TABLE events (
            run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
            attempt INTEGER NOT NULL,
            at INTEGER NOT NULL,
            type TEXT NOT NULL,
            step INTEGER,
            body TEXT NOT NULL,
            PRIMARY KEY (run_id, attempt, at)) WITHOUT ROWID""",
        "CREATE INDEX events_by_type ON events (run_id, type)",
        """CREATE TABLE offsets (
            run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
            attempt INTEGER NOT NULL,
            offset INTEGER NOT NULL DEFAULT 0,
            skipped INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (run_id, attempt)) WITHOUT ROWID""",
        """CREATE TABLE leases (
            device TEXT PRIMARY KEY,
            run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE) WITHOUT ROWID""",
        """CREATE TABLE idempotency (
            owner TEXT NOT NULL,
            key TEXT NOT NULL,
            run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
            PRIMARY KEY (owner, key)) WITHOUT ROWID""",
    ),
)
VERSION = len(STEPS)


class NewerSchema(ValueError):
    """The index was written by a newer Finestra; both versions are named."""


def version_of(connection: sqlite3.Connection) -> int:
    """Return how many steps the database has behind it."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version; NewerSchema when this program is too old for the database."""
    version = version_of(connection)
    if version > VERSION:
        raise NewerSchema(f"The index '{path}' has schema {version}; this Finestra knows schemas "
                          f"up to {VERSION}. Update Finestra, or choose another home.")
    return version


def migrate(connection: sqlite3.Connection, path: Path,
            steps: tuple[tuple[str, ...], ...] = STEPS) -> None:
    """Bring a database to the newest schema in one transaction, after a backup.

    Raises:
        NewerSchema: The database is newer than this program.
    """
    version = version_of(connection)
    if version == len(steps):
        return
    if version < len(steps) and version > 0:
        _back_up(connection, path.with_name(f"{path.name}.v{version}.backup"))
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: another process may have migrated meanwhile.
        version = check_version(connection, path)
        for step in steps[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _back_up(connection: sqlite3.Connection, target: Path) -> None:
    partial = target.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    copy = sqlite3.connect(partial)
    try:
        connection.backup(copy)
    finally:
        copy.close()
    partial.replace(target)

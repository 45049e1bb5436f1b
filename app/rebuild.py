"""Opening the index, and making it again from the run folders when it is damaged or behind."""

from __future__ import annotations

import contextlib
import logging
import math
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

from app.home import Home
from app.ingest import ingest
from app.names import columns_of as of_config
from app.runs import ACTIVE, RunState
from app.store import MIRRORED, CorruptIndex, Store, Writer
from trainer.contract.files import locked, read_json
from trainer.contract.identity import Identity
from trainer.contract.rundir import RunDir, is_safe_name

_log = logging.getLogger(__name__)
NEVER_STARTED = "Never started."
_KINDS: dict[str, type | tuple[type, ...]] = {
    "attempt": int, "position": int, "stop_requested": int, "tags": list,
    **dict.fromkeys(("created_at", "queued_at", "started_at", "ended_at"), (int, float))}


def open_store(home: Home, *, busy_s: float = 30.0) -> Store:
    """Open the index; a damaged one is moved aside and rebuilt from the run folders.

    Raises:
        NewerSchema: It was written by a newer Finestra.
    """
    try:
        return Store(home.db, home.runs, busy_s=busy_s)
    except CorruptIndex:
        return recover(home, busy_s=busy_s)


def recover(home: Home, *, busy_s: float = 30.0) -> Store:
    """Move a damaged index aside, make a new one, and read every run folder into it."""
    with locked(home.root / "index.lock"):  # one process at a time mends the index
        with contextlib.suppress(CorruptIndex):
            store = Store(home.db, home.runs, busy_s=busy_s)
            store.quick_check()
            return store  # another process has mended it
        aside = f"{home.db.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        for suffix in ("-shm", "-wal", ""):
            part = home.db.with_name(home.db.name + suffix)
            if part.exists():
                part.rename(home.db.with_name(aside + suffix))
        _log.warning("The index was damaged; it is kept as %s and made again", aside)
        store = Store(home.db, home.runs, busy_s=busy_s)
        for run_id in index_folders(home, store, orphans=False):
            ingest(store, RunDir(home.runs / run_id))
    return store


def index_folders(home: Home, store: Store, *, orphans: bool = True) -> list[str]:
    """Add the run folders that the index does not know.

    Args:
        home: Where they lie.
        store: The index.
        orphans: Whether a queued run without a row is what a crash left of a submit: it is then
            interrupted, not started.

    Returns:
        The ids that were added.
    """
    added = []
    with store.write() as writer:
        known = writer.known_ids()
        for folder in sorted(home.runs.iterdir()):
            if folder.name in known or not is_safe_name(folder.name) or folder.is_symlink():
                continue
            if _index(writer, RunDir(folder), orphans):
                added.append(folder.name)
    return added


def _index(writer: Writer, run: RunDir, orphans: bool) -> bool:
    """Add one folder; one that cannot be read is left alone and keeps no other from coming."""
    try:
        columns = columns_of(run)
        _insert(writer, run, columns, orphans)
    except (OSError, ValueError, TypeError) as error:
        if run.config.exists():
            _log.warning("'%s' cannot be shown: %s", run.path, error)
        return False
    return True


def _insert(writer: Writer, run: RunDir, columns: dict[str, Any], orphans: bool) -> None:
    if orphans and columns["state"] == RunState.QUEUED and not columns.get("attempt"):
        columns |= {"state": str(RunState.INTERRUPTED), "reason": NEVER_STARTED}
    writer.insert(run.id, columns)
    if RunState(columns["state"]) in ACTIVE and columns.get("device"):
        writer.release(run.id)
        if columns["device"] not in writer.leased():
            writer.lease(columns["device"], run.id)
    writer.mirror(run.id)


def columns_of(run: RunDir) -> dict[str, Any]:
    """Read a run's row from its folder: config.yaml, state.json, process.json."""
    config = run.read_any()
    state = run.read_state()
    made = run.config.stat().st_mtime
    columns: dict[str, Any] = {
        **of_config(config),
        "state": str(RunState.INTERRUPTED), "created_at": made, "queued_at": made}
    columns |= {name: state[name] for name in MIRRORED
                if name in state and _fits(name, state[name])}
    if columns["state"] not in list(RunState):
        columns["state"] = str(RunState.INTERRUPTED)
    last = run.latest()
    if last is not None:
        columns["attempt"] = max(int(columns.get("attempt", 0)), last.number)
        known = read_json(last.process)
        if isinstance(known, dict):
            columns["supervisor"] = Identity.read(known.get("supervisor"))
    return columns


def _fits(name: str, value: Any) -> bool:
    """Tell whether a value of state.json can stand in its column; a file may say anything."""
    if not isinstance(value, _KINDS.get(name, str)) or isinstance(value, bool):
        return False
    if isinstance(value, (int, float)):
        return math.isfinite(value) and 0 <= value < 2**53
    return not isinstance(value, list) or all(isinstance(tag, str) for tag in value)


def move_to_trash(home: Home, run_id: str) -> Path:
    """Rename a run's folder into the trash; the name keeps the id."""
    target = home.trash / f"{run_id}~{secrets.token_hex(3)}"
    folder = home.runs / run_id
    if folder.is_dir():
        folder.rename(target)
    return target


def empty_trash(home: Home, store: Store) -> None:
    """Finish deletes that were cut short: the row first, then the files."""
    for entry in sorted(home.trash.iterdir()):
        run_id = entry.name.rpartition("~")[0]
        with store.write() as writer:
            if run_id in writer.known_ids() and not (home.runs / run_id).exists():
                writer.delete(run_id)
        shutil.rmtree(entry, ignore_errors=True)

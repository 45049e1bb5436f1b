"""From events.jsonl to the index, each event exactly once.

Bytes are read from the stored offset up to the last newline; rows and the new offset are stored
in one transaction, and only if nobody else has moved the offset meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.runs import Progress
from app.store import Store, Writer
from trainer.contract import events as ev
from trainer.contract.rundir import Attempt, RunDir

CHUNK_BYTES = 4_000_000
STORED = ("sample", "choice", "warning", "checkpoint", "data", "resume", "stage", "end")


@dataclass
class Batch:
    """What one chunk of events comes to."""

    end: int
    skipped: int = 0
    progress: Progress | None = None
    resumed_from: int | None = None
    final: dict[str, float | None] = field(default_factory=dict)
    points: list[tuple[str, int, float | None]] = field(default_factory=list)
    rows: list[tuple[int, str, int | None, str]] = field(default_factory=list)


def ingest(store: Store, run: RunDir) -> bool:
    """Store what is new in every attempt of a run, oldest attempt first.

    Returns:
        Whether anything was new.
    """
    changed = False
    for attempt in run.attempts():
        while _ingest_chunk(store, run.id, attempt):
            changed = True
    return changed


def _ingest_chunk(store: Store, run_id: str, attempt: Attempt) -> bool:
    offset = store.offset(run_id, attempt.number)
    start, chunk = read_lines(attempt.events, offset)
    if not chunk:
        return False
    batch = parse(chunk, start, store.record(run_id).run.progress)
    with store.write() as writer:
        if writer.offset(run_id, attempt.number) != offset:
            return True  # another process was faster; look again
        _store(writer, run_id, attempt.number, batch)
    return True


def read_lines(path: Path, offset: int, limit: int = CHUNK_BYTES) -> tuple[int, bytes]:
    """Return (start, whole lines from there); b'' when there is nothing new.

    A file that is not the one that was read up to here (a power loss took its end) is read from
    its beginning: every row is keyed, so reading twice changes nothing.
    """
    try:
        size = path.stat().st_size
        if size == offset:
            return offset, b""
        with path.open("rb") as file:
            file.seek(max(0, offset - 1))
            start = offset if offset == 0 or file.read(1) == b"\n" else 0
            file.seek(start)
            chunk = file.read(limit)
            while chunk and b"\n" not in chunk and (more := file.read(limit)):
                chunk += more
    except FileNotFoundError:
        return offset, b""
    return start, chunk[: chunk.rfind(b"\n") + 1]


def _lines(chunk: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    for line in chunk.splitlines(keepends=True):
        if line.strip():
            yield start, line
        start += len(line)


def parse(chunk: bytes, start: int, progress: Progress) -> Batch:
    """Read whole lines; what is no event is counted and passed over.

    Args:
        chunk: Whole lines.
        start: Byte position of the first of them in the file.
        progress: Where the run was before them.
    """
    batch = Batch(end=start + len(chunk))
    for position, line in _lines(chunk, start):
        try:
            event = ev.from_line(line)
        except ValueError:
            batch.skipped += 1
            continue
        progress = _advance(progress, event)
        batch.progress = progress
        if isinstance(event, ev.MetricsEvent):
            batch.points += [(k, event.step, ev.finite(v)) for k, v in event.values.items()]
        elif event.type in STORED:
            batch.rows.append((position, event.type, getattr(event, "step", None),
                               event.model_dump_json()))
        if isinstance(event, ev.ResumeEvent):
            batch.resumed_from = event.step
        if isinstance(event, ev.EndEvent):
            batch.final = {name: ev.finite(value) for name, value in event.metrics.items()}
    return batch


def _advance(progress: Progress, event: ev.AnyEvent) -> Progress:
    match event:
        case ev.ResumeEvent():
            return Progress(step=event.step, total_steps=progress.total_steps)
        case ev.StageEvent():
            return replace(progress, stage=event.stage, stage_done=0, stage_total=0,
                           stage_unit="")
        case ev.ProgressEvent():
            eta = event.eta_s if event.eta_s is not None else progress.eta_s
            return replace(progress, stage=event.stage, stage_done=event.done, eta_s=eta,
                           stage_total=event.total, stage_unit=event.unit)
        case ev.MetricsEvent():
            eta = event.eta_s if event.eta_s is not None else progress.eta_s
            return replace(progress, step=max(progress.step, event.step), eta_s=eta,
                           total_steps=event.total_steps or progress.total_steps)
        case _:
            return progress


def _store(writer: Writer, run_id: str, attempt: int, batch: Batch) -> None:
    latest = writer.record(run_id).run.latest
    if batch.resumed_from is not None:
        writer.supersede(run_id, attempt, batch.resumed_from)
        latest = writer.latest(run_id)
    writer.put_points(run_id, attempt, batch.points)
    writer.put_events(run_id, attempt, batch.rows)
    writer.move_offset(run_id, attempt, batch.end, batch.skipped)
    if batch.progress is None:
        writer.update(run_id)
        return
    latest |= {name: value for name, _, value in batch.points} | batch.final
    writer.update(run_id, progress=batch.progress, latest=latest)


def last_event(attempt: Attempt, tail_bytes: int = 65_536) -> ev.EndEvent | None:
    """Return the EndEvent at the end of an attempt's events, or None."""
    try:
        with attempt.events.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - tail_bytes))
            tail = file.read()
    except FileNotFoundError:
        return None
    for line in reversed(tail[: tail.rfind(b"\n") + 1].splitlines()):
        try:
            event = ev.from_line(line)
        except ValueError:
            continue
        if isinstance(event, ev.EndEvent):
            return event
    return None

"""What can be taken away: config, log, metrics as CSV; always as an attachment when downloaded."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse, StreamingResponse

from app.api.deps import RunDep, StudioDep
from app.studio import Studio
from trainer.contract.logfile import clean
from trainer.contract.redact import known_secrets, redact
from trainer.contract.rundir import RunDir

router = APIRouter(prefix="/runs/{run_id}")
_CHUNK_BYTES = 1 << 18
Series = Mapping[str, Sequence[tuple[int, float | None]]]


def attachment(name: str) -> dict[str, str]:
    """Return headers that make a browser save the answer instead of showing it.

    Args:
        name: File name made of a run's id and our own words, so it needs no quoting.
    """
    return {"content-disposition": f'attachment; filename="{name}"'}


@router.get("/config")
def config(run: RunDep, studio: StudioDep, download: bool = False) -> PlainTextResponse:
    """Return the complete config as YAML."""
    text = redact(studio.config_yaml(run.id), secrets_of(studio))
    headers = attachment(f"{run.id}.yaml") if download else {}
    return PlainTextResponse(text, headers=headers, media_type="application/yaml")


@router.get("/log")
def log(run: RunDep, studio: StudioDep,
        max_bytes: Annotated[int, Query(ge=1, le=4_000_000)] = 64_000,
        search: Annotated[str, Query(max_length=200)] = "",
        attempt: Annotated[int | None, Query(ge=1)] = None) -> PlainTextResponse:
    """Return the end of the log as plain text, without control characters and secrets."""
    text = studio.log_tail(run.id, max_bytes=max_bytes, search=search, attempt=attempt)
    return PlainTextResponse(text)


def secrets_of(studio: Studio) -> list[str]:
    """Return the values that must not be shown: the environment's and the home's."""
    return [*known_secrets(), *studio.home.read_secrets().values()]


def _whole_log(run_dir: RunDir, secrets: list[str]) -> Iterator[bytes]:
    """Yield the logs of all attempts as clean text, in pieces that end at a line's end."""
    for attempt in run_dir.attempts():
        yield f"===== attempt {attempt.number} =====\n".encode()
        # A log that grew too long was cut: its older part lies beside it.
        for path in (attempt.path / "log.1.txt", attempt.log):
            if path.is_file() and not path.is_symlink():
                for raw in _pieces(path):
                    yield redact(clean(raw), secrets).encode("utf-8")


def _pieces(path: Path) -> Iterator[bytes]:
    rest = b""
    with path.open("rb") as file:
        while block := file.read(_CHUNK_BYTES):
            head, newline, tail = (rest + block).rpartition(b"\n")
            # A line longer than a few chunks is cut rather than held in memory.
            if not newline and len(tail) < 4 * _CHUNK_BYTES:
                rest = tail
                continue
            whole, rest = (head + newline, tail) if newline else (tail, b"")
            yield whole
    if rest:
        yield rest


@router.get("/log/download")
def log_download(run: RunDep, studio: StudioDep) -> StreamingResponse:
    """Stream the whole log of every attempt as a file."""
    return StreamingResponse(_whole_log(RunDir(run.dir), secrets_of(studio)),
                             media_type="text/plain; charset=utf-8",
                             headers=attachment(f"{run.id}-log.txt"))


def to_csv(series: Series) -> str:
    """Write series as one table: a row for each step, an empty cell where nothing was measured."""
    names = sorted(series)
    rows: dict[int, dict[str, float | None]] = {}
    for name in names:
        for step, value in series[name]:
            rows.setdefault(step, {})[name] = value
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", *names])
    for step in sorted(rows):
        values = [rows[step].get(name) for name in names]
        writer.writerow([step, *("" if value is None else repr(value) for value in values)])
    return text.getvalue()


@router.get("/metrics.csv")
def metrics_csv(run: RunDep, studio: StudioDep) -> PlainTextResponse:
    """Return all series as a CSV file."""
    return PlainTextResponse(to_csv(studio.series(run.id)), media_type="text/csv",
                             headers=attachment(f"{run.id}-metrics.csv"))

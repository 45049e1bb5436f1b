"""What a check of data costs: rows a second, memory for 2 GB, the first look, any row again."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.report import ROOT, Number

MILLION = 1_000_000
GB, MB = 10**9, 10**6
_BLOCK = 20_000
REPEATED_EVERY = 1_000


def lines(start: int, count: int) -> Iterator[str]:
    """Yield rows of about 100 bytes; every so many one that stood there before."""
    for number in range(start, start + count):
        if number % REPEATED_EVERY == REPEATED_EVERY - 1:
            number -= REPEATED_EVERY // 2
        yield (f'{{"question": "What is {number} plus {number % 977}, in short?", '
               f'"answer": "It is {number + number % 977}, of course."}}\n')


def write_rows(path: Path, *, rows: int = 0, size: int = 0) -> int:
    """Write so many rows, or rows until the file is so large; return how many they are."""
    count = 0
    with path.open("wb") as file:
        while count < rows or file.tell() < size:
            more = min(_BLOCK, rows - count) if rows else _BLOCK
            file.write("".join(lines(count, more)).encode())
            count += more
    return count


def child(task: str, path: Path, store: Path) -> dict[str, Any]:
    """Do one of ``bench.data_child`` in a process of its own; return what it printed."""
    done = subprocess.run([sys.executable, "-m", "bench.data_child", task, str(path), str(store)],
                          cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{task} of {path.name} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def speed(folder: Path) -> list[Number]:
    """Check a million rows; beside it what only decoding them takes."""
    path = folder / "million.jsonl"
    write_rows(path, rows=MILLION)
    seconds = {task: min(child(task, path, folder / f"{task}{turn}")["cpu_seconds"]
                         for turn in range(3))
               for task in ("check", "orjson", "json")}
    path.unlink()
    rates = {task: MILLION / taken for task, taken in seconds.items()}
    return [Number("data check, a core", f"{rates['check']:,.0f} rows/s", ">= 100,000 rows/s",
                   rates["check"] >= 100_000),
            Number("the same lines by orjson.loads only", f"{rates['orjson']:,.0f} rows/s"),
            Number("the same lines by json.loads only", f"{rates['json']:,.0f} rows/s")]


def large(folder: Path) -> list[Number]:
    """Check 2 GB; then open one of its rows in another process."""
    path, store = folder / "large.jsonl", folder / "reports"
    rows = write_rows(path, size=2 * GB)
    found = child("check", path, store)
    if (found["rows"], found["usable"], found["duplicates"]) != (
            rows, rows, rows // REPEATED_EVERY):
        raise RuntimeError(f"the check of {rows} rows was wrong: {found}")
    memory = found["peak_bytes"] / MB
    seconds = child("row", path, store)["seconds"]
    path.unlink()
    return [Number("check of 2 GB: resident memory", f"{memory:.0f} MB", "<= 600 MB",
                   memory <= 600),
            Number("check of 2 GB: time", f"{found['seconds']:.0f} s for {rows:,} rows, "
                   f"{found['duplicates']:,} duplicates found"),
            Number("row 1,000,000 of 2 GB", f"{seconds:.2f} s", "<= 1 s", seconds <= 1)]


def first_look(folder: Path) -> list[Number]:
    """Look at a file of 100 MB for the first time."""
    path = folder / "hundred.jsonl"
    write_rows(path, size=100 * MB)
    seconds = statistics.median(child("look", path, folder / "none")["seconds"] for _ in range(3))
    path.unlink()
    return [Number("first look at 100 MB", f"{seconds:.2f} s", "<= 1 s", seconds <= 1)]


def measure(folder: Path) -> list[Number]:
    """Measure all of it.

    Raises:
        RuntimeError: A check failed, or did not find what was put there.
    """
    from bench import tokenizing

    numbers: list[Number] = []
    for part in (speed, large, first_look, tokenizing.measure):
        begin = time.monotonic()
        numbers += part(folder)
        print(f"  {part.__name__}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    return numbers

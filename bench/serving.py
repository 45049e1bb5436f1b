"""What the studio's API costs, what engines do behind it, and what merging takes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.serving.route import Route
from bench import engines, merging
from bench.report import ROOT, Number
from bench.servers import free_port
from bench.streams import Load, Plan, compared

PLAN = Plan(streams=32, questions=5, lengths=(60, 180))
CHUNKS_PER_S = 2000
ROUNDS = 3


@contextmanager
def engine(chunks_per_s: float) -> Iterator[Route]:
    """Run the stub engine in a process of its own; yield where it answers."""
    port = free_port()
    with subprocess.Popen([sys.executable, "-m", "bench.stub_engine", str(port),
                           str(chunks_per_s)], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield Route(f"http://127.0.0.1:{port}/v1", "", "stub")
        finally:
            process.terminate()


def stubs(folder: Path, chunks_per_s: float, rounds: int) -> tuple[Load, Load]:
    """Load the stub straight and through the studio, in turns; every chunk has to come."""
    with engine(chunks_per_s) as route:
        straight, through = compared(folder / f"serving-{chunks_per_s:.0f}", route, PLAN, rounds)
    for seed in range(rounds):
        wanted = sum(map(sum, PLAN.draw(seed)))
        if {straight.chunks[seed], through.chunks[seed]} != {wanted}:
            raise RuntimeError(f"{straight.chunks[seed]} and {through.chunks[seed]} chunks came "
                               f"of {wanted}")
    return straight, through


def api(folder: Path) -> list[Number]:
    """Measure throughput and time to first token at the rate of the goal, and the most there is."""
    straight, through = stubs(folder, CHUNKS_PER_S, ROUNDS)
    first, later = straight.first_s * 1000, through.first_s * 1000
    most, passed = (load.rate for load in stubs(folder, 1e6, 1))
    share = through.rate / straight.rate
    return [
        Number(f"{PLAN.streams} streams straight to the engine", f"{straight.rate:,.0f} chunks/s"),
        Number(f"{PLAN.streams} streams through the API", f"{through.rate:,.0f} chunks/s"),
        Number("through / straight", f"{share:.1%}", ">= 95 %", share >= 0.95),
        Number("first token, straight", f"{first:.1f} ms"),
        Number("first token, through", f"{later:.1f} ms"),
        Number("added to the first token", f"{later - first:.1f} ms", "<= 10 ms",
               later - first <= 10),
        Number("most that the engine streams", f"{most:,.0f} chunks/s"),
        Number("most that passes through the API", f"{passed:,.0f} chunks/s"),
    ]


def measure(folder: Path) -> list[Number]:
    """Measure everything of the section; how busy the machine was meanwhile stands first."""
    before = os.getloadavg()[0]
    numbers = api(folder) + engines.measure(folder) + merging.measure(folder)
    load = f"{before:.1f} before, {os.getloadavg()[0]:.1f} after, {os.cpu_count()} cores"
    return [Number("processes that wanted to run, on average", load), *numbers]

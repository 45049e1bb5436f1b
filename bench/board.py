"""How fast the board starts, and what it weighs."""

from __future__ import annotations

import statistics
from pathlib import Path

import httpx
import psutil

from bench.report import Number
from bench.servers import Server, bare, studio


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process and its children in MB."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return sum(member.memory_info().rss for member in family) / 1e6


def has_torch(pid: int) -> bool:
    """Tell whether a library of torch is mapped into a process."""
    return any("libtorch" in Path(region.path).name
               for region in psutil.Process(pid).memory_maps())


def weigh(server: Server) -> tuple[float, bool]:
    """Fetch the pages, then return (MB, whether torch is loaded)."""
    for page in ("", "train", "run?id=none"):
        httpx.get(server.url + page, timeout=30, trust_env=False)
    return rss_mb(server.pid), has_torch(server.pid)


def measure(folder: Path, rounds: int) -> list[Number]:
    """Start both servers in turns, ``rounds`` times."""
    ours, theirs, weights, loaded = [], [], [], False
    for number in range(rounds):
        with bare(folder) as server:
            theirs.append(server.first_page_s)
        with studio(folder / f"board-{number}") as server:
            ours.append(server.first_page_s)
            weight, torch = weigh(server)
            weights.append(weight)
            loaded = loaded or torch
    mine, yardstick = statistics.median(ours), statistics.median(theirs)
    return [
        Number("board: first page", f"{mine:.2f} s"),
        Number("bare Gradio, one textbox: first page", f"{yardstick:.2f} s"),
        Number("board / bare Gradio", f"{mine / yardstick:.2f}", "<= 1.6",
               mine / yardstick <= 1.6),
        Number("board: resident memory", f"{max(weights):.0f} MB", "<= 300 MB",
               max(weights) <= 300),
        Number("board: torch loaded", "yes" if loaded else "no", "no", not loaded),
    ]

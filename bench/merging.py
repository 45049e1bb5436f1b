"""What merging an adapter takes of memory, beside the largest file of the base."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.report import ROOT, Number

MAX_SHARD = "64MB"


def measure(folder: Path) -> list[Number]:
    """Make a model of several files, lay a random adapter over it, merge both in a process."""
    made = child("make", folder / "merging")
    peak = child("merge", folder / "merging")["peak"]
    bound = 2 * made["shard"] + 1_000_000_000
    return [
        Number("merging: the model", f"{made['bytes'] / 1e6:.0f} MB in {made['files']} files"),
        Number("merging: peak memory", f"{peak / 1e6:.0f} MB",
               f"<= {bound / 1e6:.0f} MB (2 files + 1 GB)", peak <= bound),
    ]


def child(task: str, folder: Path) -> dict[str, Any]:
    """Do one task in a process of its own; RuntimeError with its last words when it fails."""
    done = subprocess.run([sys.executable, "-m", "bench.merge_child", task, str(folder), MAX_SHARD],
                          cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"merging could not be measured: {done.stderr[-1500:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found

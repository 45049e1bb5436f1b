"""Training speed beside a bare TRL script and LLaMA-Factory: the same rows, order and length.

LLaMA-Factory holds the base as it is stored, in bfloat16; TRL and Finestra on a CPU hold it in
float32 unless told otherwise. So there are two races, one for each format.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.report import ROOT, Number
from trainer.contract.config import RunConfig
from trainer.contract.events import MetricsEvent, from_line
from trainer.contract.places import share
from trainer.contract.rundir import RunDir

ROWS, BATCH = 512, 8
FIRST_COUNTED = 5
SOURCE = ROOT.parent / "shared" / "data" / "real" / "gsm8k_train.jsonl"
OTHER = "FINESTRA_LLAMAFACTORY_PYTHON"
Steps = dict[int, float]
Side = Callable[[], tuple[Steps, float]]


def config(source: Path, *, grouped: bool, dtype: str) -> RunConfig:
    """Return our run: one epoch, in the file's order or, as by default, grouped by length."""
    return RunConfig.model_validate({
        "name": "bench", "model": {"dtype": dtype},
        "data": {"train": [str(source)], "max_length": 512, "shuffle": grouped},
        "tuner": {"r": 8, "lora_alpha": 16},
        "training": {"num_train_epochs": 1, "per_device_train_batch_size": BATCH,
                     "learning_rate": 2e-4, "eval_steps": None, "save_steps": None},
        "evaluation": {"samples": 0}})


def run(folder: Path, source: Path, *, grouped: bool = False, dtype: str = "auto",
        module: str = "trainer") -> tuple[RunDir, float, str]:
    """Train once; returns (the run's folder, when its process began, what it printed)."""
    place = RunDir(folder / f"run-{time.monotonic_ns()}")
    place.create(config(source, grouped=grouped, dtype=dtype), {})
    begin = time.time()
    done = subprocess.run([sys.executable, "-m", module, str(place.path)], cwd=ROOT,
                          env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the run failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return place, begin, done.stdout


def environment() -> dict[str, str]:
    """Return the environment of all sides: offline, and as many threads as there are cores."""
    kept = {name: value for name, value in os.environ.items()
            if name != "PYTHONDONTWRITEBYTECODE"}
    cores = str(len(os.sched_getaffinity(0)))
    return {**kept, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": cores}


def ours(folder: Path, source: Path, dtype: str) -> tuple[Steps, float]:
    """Return (when each step ended, when the process began) of a run of ours."""
    place, begin, _ = run(folder, source, dtype=dtype)
    return steps_of(place), begin


def by_default(folder: Path, source: Path) -> tuple[Steps, float]:
    """Return (when each step ended, share of the time in our callbacks) of a run as by default."""
    place, _, printed = run(folder, source, grouped=True, module="bench.train_child")
    last: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    return steps_of(place), float(last["share"])


def steps_of(place: RunDir) -> Steps:
    """Return when each step of a run ended, by its events."""
    attempt = place.latest()
    assert attempt is not None
    events = map(from_line, attempt.events.read_bytes().splitlines())
    return {event.step: event.time for event in events
            if isinstance(event, MetricsEvent) and "loss" in event.values}


def script(python: str, name: str, model: Path, source: Path) -> tuple[Steps, float]:
    """Return (when each step ended, when the process began) of a yardstick."""
    begin = time.time()
    done = subprocess.run([python, str(ROOT / "bench" / name), str(model), str(source)],
                          env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("step ")]
    return {int(step): float(at) for _, step, at in lines}, begin


def starter_in_float32(folder: Path) -> Path:
    """Return a copy of the starter that says of itself that it is held in float32."""
    copy = folder / "starter-float32"
    shutil.copytree(share() / "assets" / "starter", copy)
    described = json.loads((copy / "config.json").read_text("utf-8"))
    (copy / "config.json").write_text(json.dumps({**described, "dtype": "float32"}), "utf-8")
    return copy


def speed(steps: Steps) -> float:
    """Return samples a second from the step FIRST_COUNTED on."""
    last = max(steps)
    return BATCH * (last - FIRST_COUNTED) / (steps[last] - steps[FIRST_COUNTED])


def races(folder: Path, source: Path) -> dict[str, dict[str, Side]]:
    """Return who runs against whom: by the format of the base, then by name."""
    starter, plain = share() / "assets" / "starter", starter_in_float32(folder)
    found: dict[str, dict[str, Side]] = {
        "float32": {"Finestra": lambda: ours(folder, source, "float32"),
                    "bare TRL": lambda: script(sys.executable, "bare_trl.py", plain, source)},
        "bfloat16": {"Finestra": lambda: ours(folder, source, "bfloat16")}}
    if python := os.environ.get(OTHER):
        name = "llamafactory_training.py"
        found["float32"]["LLaMA-Factory"] = lambda: script(python, name, plain, source)
        found["bfloat16"]["LLaMA-Factory"] = lambda: script(python, name, starter, source)
    return found


def measure(folder: Path, rounds: int) -> list[Number]:
    """Measure all sides in turns, so many times.

    Raises:
        RuntimeError: The questions are not there, or a side failed.
    """
    if not SOURCE.is_file():
        raise RuntimeError(f"There is no {SOURCE.name} under ../shared/data/real.")
    source = folder / "rows.jsonl"
    source.write_text("".join(SOURCE.read_text("utf-8").splitlines(keepends=True)[:ROWS]), "utf-8")
    lines = [Number("processes of each side", str(rounds))]
    for dtype, sides in races(folder, source).items():
        lines += run_race(dtype, sides, rounds)
    steps, overhead = by_default(folder, source)
    return [*lines, Number("samples a second, Finestra as by default (grouped by length)",
                           f"{speed(steps):.2f}"),
            Number("our callbacks and events", f"{overhead:.2%}", "<= 2 %", overhead <= 0.02)]


def run_race(dtype: str, sides: dict[str, Side], rounds: int) -> list[Number]:
    """Let the sides run in turns; returns the medians of their speeds and first steps."""
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    firsts: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            steps, begin = side()
            assert max(steps) == ROWS // BATCH, f"{name} made {max(steps)} steps"
            speeds[name].append(speed(steps))
            firsts[name].append(steps[1] - begin)
    return numbers(dtype, {name: statistics.median(found) for name, found in speeds.items()},
                   {name: statistics.median(found) for name, found in firsts.items()})


def numbers(dtype: str, speeds: dict[str, float], firsts: dict[str, float]) -> list[Number]:
    """Return the table's lines of one race: ours is to be no slower than the others."""
    own, first = speeds["Finestra"], firsts["Finestra"]
    found = [Number(f"{dtype}: samples a second, {name}", f"{value:.2f}",
                    *(("", None) if name == "Finestra" else (f"<= {own:.2f}", value <= own)))
             for name, value in speeds.items()]
    if "LLaMA-Factory" not in speeds:
        found.append(Number(f"{dtype}: LLaMA-Factory", "not measured here"))
    return found + [
        Number(f"{dtype}: process start to first step, {name}", f"{value:.1f} s",
               *(("", None) if name == "Finestra" else (f">= {first:.1f} s", value >= first)))
        for name, value in firsts.items()]

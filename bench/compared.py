"""Training speed beside a bare TRL script and LLaMA-Factory: the same rows, order and length."""

from __future__ import annotations

import json
import os
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


def config(source: Path, *, grouped: bool) -> RunConfig:
    """Return our run: one epoch, in the file's order or, as by default, grouped by length."""
    return RunConfig.model_validate({
        "name": "bench", "data": {"train": [str(source)], "max_length": 512, "shuffle": grouped},
        "tuner": {"r": 8, "lora_alpha": 16},
        "training": {"num_train_epochs": 1, "per_device_train_batch_size": BATCH,
                     "learning_rate": 2e-4, "eval_steps": None, "save_steps": None},
        "evaluation": {"samples": 0}})


def run(folder: Path, source: Path, *, grouped: bool = False,
        module: str = "trainer") -> tuple[RunDir, float, str]:
    """Train once; returns (the run's folder, when its process began, what it printed)."""
    place = RunDir(folder / f"run-{time.monotonic_ns()}")
    place.create(config(source, grouped=grouped), {})
    begin = time.time()
    done = subprocess.run([sys.executable, "-m", module, str(place.path)], cwd=ROOT,
                          env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the run failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return place, begin, done.stdout


def environment() -> dict[str, str]:
    """Return the environment of all sides: offline, and as many threads as there are cores."""
    cores = str(len(os.sched_getaffinity(0)))
    return {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": cores}


def ours(folder: Path, source: Path) -> tuple[Steps, float]:
    """Return (when each step ended, when the process began) of a run of ours."""
    place, begin, _ = run(folder, source)
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


def script(python: str, name: str, source: Path) -> tuple[Steps, float]:
    """Return (when each step ended, when the process began) of a yardstick."""
    model = share() / "assets" / "starter"
    begin = time.time()
    done = subprocess.run([python, str(ROOT / "bench" / name), str(model), str(source)],
                          env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("step ")]
    return {int(step): float(at) for _, step, at in lines}, begin


def speed(steps: Steps) -> float:
    """Return samples a second from the step FIRST_COUNTED on."""
    last = max(steps)
    return BATCH * (last - FIRST_COUNTED) / (steps[last] - steps[FIRST_COUNTED])


def measure(folder: Path, rounds: int) -> list[Number]:
    """Measure all sides in turns, so many times.

    Raises:
        RuntimeError: The questions are not there, or a side failed.
    """
    if not SOURCE.is_file():
        raise RuntimeError(f"There is no {SOURCE.name} under ../shared/data/real.")
    source = folder / "rows.jsonl"
    source.write_text("".join(SOURCE.read_text("utf-8").splitlines(keepends=True)[:ROWS]), "utf-8")
    sides: dict[str, Callable[[], tuple[Steps, float]]] = {
        "Finestra": lambda: ours(folder, source),
        "bare TRL": lambda: script(sys.executable, "bare_trl.py", source)}
    if python := os.environ.get(OTHER):
        sides["LLaMA-Factory"] = lambda: script(python, "llamafactory_training.py", source)
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    firsts: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            steps, begin = side()
            assert max(steps) == ROWS // BATCH, f"{name} made {max(steps)} steps"
            speeds[name].append(speed(steps))
            firsts[name].append(steps[1] - begin)
    steps, overhead = by_default(folder, source)
    return [Number("processes of each side", str(rounds)),
            *numbers(speeds, firsts, speed(steps), overhead)]


def numbers(speeds: dict[str, list[float]], firsts: dict[str, list[float]],
            grouped: float, overhead: float) -> list[Number]:
    """Return the table's lines from what was measured."""
    rate = {name: statistics.median(values) for name, values in speeds.items()}
    first = {name: statistics.median(values) for name, values in firsts.items()}
    found = [Number("samples a second, Finestra", f"{rate['Finestra']:.2f}")]
    for name in ("bare TRL", "LLaMA-Factory"):
        if name not in rate:
            found.append(Number(f"samples a second, {name}", "not measured here"))
            continue
        found.append(Number(f"samples a second, {name}", f"{rate[name]:.2f}",
                            f"<= {rate['Finestra']:.2f}", rate[name] <= rate["Finestra"]))
    found.append(Number("samples a second, Finestra as by default (grouped by length)",
                        f"{grouped:.2f}"))
    found += [Number(f"process start to first step, {name}", f"{value:.1f} s",
                     *((f">= {first['Finestra']:.1f} s", value >= first["Finestra"])
                       if name != "Finestra" else ()))
              for name, value in first.items()]
    found.append(Number("our callbacks and events", f"{overhead:.2%}", "<= 2 %", overhead <= 0.02))
    return found

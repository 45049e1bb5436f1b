"""Following a run in the terminal: progress on standard error until it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from app.runs import ENDED, Run
from app.studio import Studio

POLL_S = 0.4


def follow(studio: Studio, run_id: str) -> Iterator[Run]:
    """Keep the queue going and yield the run at each look until it has ended."""
    while True:
        studio.tick()
        studio.ingest(run_id)
        run = studio.run(run_id)
        yield run
        if run.state in ENDED:
            return
        time.sleep(POLL_S)


def clock(seconds: float) -> str:
    """Write a duration as 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def words(run: Run) -> str:
    """Say in a few words where a run is."""
    now = run.progress
    parts = [str(run.state)] if run.state != "running" else [now.stage or "starting"]
    if now.stage_total and now.stage not in ("training", "done"):
        parts.append(f"{now.stage_done:,}/{now.stage_total:,} {now.stage_unit}")
    for name in ("loss", "eval_loss"):
        if (value := run.latest.get(name)) is not None:
            parts.append(f"{name} {value:.4f}")
    if now.eta_s and run.state == "running":
        parts.append(f"{clock(now.eta_s)} left")
    return " · ".join(parts)


def watch(studio: Studio, run_id: str) -> Run:
    """Draw progress until the run has ended; without a terminal, a line at each change of stage."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        return _print_lines(studio, run_id)
    columns = (BarColumn(bar_width=30), TextColumn("{task.completed:.0f}/{task.total}"),
               TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("queued", total=None)
        for run in follow(studio, run_id):
            _draw(progress, task, run)
    return run


def _draw(progress: Progress, task: TaskID, run: Run) -> None:
    progress.update(task, completed=run.progress.step, total=run.progress.total_steps or None,
                    description=words(run))


def _print_lines(studio: Studio, run_id: str) -> Run:
    said = ("", -1)
    for run in follow(studio, run_id):
        tenth = int(run.progress.fraction * 10)
        now = (f"{run.state} {run.progress.stage}", tenth)
        if now != said:
            said = now
            print(f"{run.progress.step}/{run.progress.total_steps or '?'}  {words(run)}",
                  file=sys.stderr, flush=True)
    return run

"""The main job in one command: train the starter on the sample data, show what it learned.

``python -m app.demo [--home DIR]`` ends with 0 only if more than 80 % of the held-out questions
are answered exactly after training.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from app.cli_follow import follow
from app.runs import Run, RunState
from app.studio import Studio
from trainer.contract.config import load_yaml
from trainer.contract.places import share

GOAL = 0.8
STAGES = {
    "loading": "loading the starter", "reading": "reading the data",
    "tokenizing": "tokenizing", "baseline": "asking the held-out questions before training",
    "training": "training", "evaluating": "asking the held-out questions",
    "saving": "saving", "done": "done",
}


def describe(run: Run) -> str:
    """Return in a few words what a run is doing."""
    if run.state is RunState.RUNNING and run.progress.stage:
        words = STAGES.get(run.progress.stage, run.progress.stage)
        loss = run.latest.get("loss")
        at_training = run.progress.stage == "training" and loss is not None
        return f"{words}, loss {loss:.3f}" if at_training else words
    return str(run.state)


def show(progress: Progress, task: TaskID, run: Run) -> None:
    """Draw one state of a run: the steps while it trains, else how far the stage is."""
    now = run.progress
    done, total = now.step, now.total_steps
    if now.stage not in {"training", "saving", "done"} and now.stage_total:
        done, total = now.stage_done, now.stage_total
    progress.update(task, description=describe(run), completed=done, total=total or None)


def watch(studio: Studio, run_id: str, console: Console) -> Run:
    """Show a run's progress until it has ended; return it as it ended."""
    columns = (BarColumn(bar_width=28), TextColumn("{task.completed:.0f}/{task.total}"),
               TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("queued", total=None)
        said = ""
        for run in follow(studio, run_id):
            show(progress, task, run)
            if not console.is_terminal and describe(run).split(",")[0] != said:
                said = describe(run).split(",")[0]
                console.print(f"  {said}")
    return run


def exact_match(studio: Studio, run_id: str) -> tuple[float, float]:
    """Return the share of held-out questions answered exactly, before and after training.

    Raises:
        ValueError: The run did not measure it twice.
    """
    points = studio.series(run_id, ["exact_match"]).get("exact_match", [])
    values = [(step, value) for step, value in points if value is not None]
    if len(values) < 2 or values[0][0] != 0:
        raise ValueError("The run has not measured exact match before and after training.")
    return values[0][1], values[-1][1]


def run_demo(studio: Studio, console: Console) -> int:
    """Run the quickstart; return the exit status.

    Raises:
        ValueError: The recipe is refused, or the run did not measure what the demo shows.
    """
    started = time.monotonic()
    recipe = share() / "templates" / "recipes" / "quickstart.yaml"
    created = studio.create(load_yaml(recipe.read_text(encoding="utf-8")))
    console.print(f"Run {created.id}: a small model learns to answer questions about its world.",
                  highlight=False, soft_wrap=True)
    ended = watch(studio, created.id, console)
    if ended.state is not RunState.COMPLETED:
        console.print(f"The run ended as {ended.state}: {ended.reason}\n\n"
                      f"{studio.log_tail(created.id, max_bytes=4000)}", markup=False)
        return 1
    before, after = exact_match(studio, created.id)
    console.print(f"\nHeld-out exact match before training: {before:6.1%}"
                  f"\nHeld-out exact match after training:  {after:6.1%}"
                  f"\nTime: {time.monotonic() - started:.0f} s\n", highlight=False)
    if after <= GOAL:
        console.print(f"That is not more than {GOAL:.0%}: something is wrong.")
        return 1
    console.print(f"Look at it and talk to it:  make run FINESTRA_HOME={studio.home.root}",
                  highlight=False, soft_wrap=True)
    return 0


def main() -> int:
    """Read the command line and run the demo."""
    parser = argparse.ArgumentParser(prog="python -m app.demo", description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(".finestra/demo"),
                        help="where the run is kept (default: %(default)s)")
    home: Path = parser.parse_args().home
    try:
        studio = Studio.open(home)
        try:
            return run_demo(studio, Console())
        finally:
            studio.close()
    except ValueError as problem:
        print(f"The demo cannot run: {problem}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nThe run goes on by itself. Look at it: "
              f"make run FINESTRA_HOME={home}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())

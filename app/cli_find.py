"""``finestra find-lr``: sweep over learning rates, draw what came out, propose one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from app.cli_output import note, print_json
from app.documents import outcome_document
from app.runs import Run, RunState

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
WIDTH, ROWS = 40, 24


def find_lr(config: Annotated[Path, typer.Argument(help="The run config, a YAML file.")],
            overrides: Annotated[list[str] | None, typer.Argument(
                metavar="[KEY=VALUE]...", help="For example lr_finder.highest=0.1.")] = None,
            as_json: Json = False) -> None:
    """Propose a learning rate: a short run of its own, whose weights are not kept."""
    from app.cli import follow_run, read_config
    from app.studio import Studio

    values = read_config(config, [*(overrides or []), "lr_finder.enabled=true"])
    values["name"] = f"{values.get('name', 'run')} find-lr"[:100]
    studio = Studio.open()
    try:
        run = follow_run(studio, studio.create(values))
        _show(run, outcome_document(studio, run), read_sweep(Path(run.dir)), as_json)
    finally:
        studio.close()


def read_sweep(folder: Path) -> dict[str, Any]:
    """Return what the finder wrote into a run's folder; {} when it did not come to that."""
    from trainer.contract.files import read_json
    from trainer.contract.rundir import RunDir

    found = read_json(RunDir(folder).eval / "lr_finder.json")
    return found if isinstance(found, dict) else {}


def _show(run: Run, outcome: dict[str, Any], sweep: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json({**outcome, "lr_finder": sweep or None})
    elif sweep:
        Console(highlight=False).print(draw(sweep))
        print(f"training.learning_rate={sweep['proposed']:g}")
    elif error := outcome["error"]:
        note(f"{run.state}: {error['message']} {error['advice']}".rstrip())
    if run.state is not RunState.COMPLETED:
        raise typer.Exit(1)


def draw(sweep: dict[str, Any]) -> Table:
    """Return the smoothed loss over the rate as a table with bars; the proposal is marked."""
    points = thin(sweep["points"], ROWS)
    losses = [point["smoothed"] for point in points]
    least, span = min(losses), (max(losses) - min(losses)) or 1.0
    chosen = min(range(len(points)), key=lambda i: abs(
        math.log(points[i]["rate"] / sweep["proposed"])))
    table = Table("learning rate", "loss", "", box=None)
    for index, point in enumerate(points):
        bar = "█" * max(1, round(WIDTH * (point["smoothed"] - least) / span))
        mark = f"  ◀ {sweep['proposed']:g}" if index == chosen else ""
        table.add_row(f"{point['rate']:.2g}", f"{point['smoothed']:.4f}", bar + mark)
    return table


def thin(points: Sequence[dict[str, float]], most: int) -> list[dict[str, float]]:
    """Return at most so many points, evenly chosen, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("find-lr")(find_lr)

"""``finestra evaluations``: what all evaluations have found, together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from app.cli_evaluate_show import STYLES, print_matrix, refuse_files, write_tables
from app.cli_output import console, note, print_json
from app.cli_runs import Json, find, opened
from app.evaluations.reading import Kept, forgetting, matrix, number
from app.runs import Run
from app.studio import Studio

app = typer.Typer(no_args_is_help=True, help="Look at what all evaluations have found, together.")
Ids = Annotated[list[str] | None, typer.Option(
    "--run", metavar="ID", help="An evaluation's id, or how it begins or ends; several times. "
    "All of them where none is named.")]
NOTHING = "Nothing was evaluated yet. Begin: finestra evaluate --model MODEL --data DATASET"


@app.command()
def scores(run: Ids = None,
           csv: Annotated[Path | None, typer.Option(help="Write the scores as CSV.")] = None,
           md: Annotated[Path | None, typer.Option(help="Write them as Markdown.")] = None,
           force: Annotated[bool, typer.Option("--force", help="Replace these files.")] = False,
           as_json: Json = False) -> None:
    """Print the newest score of every model at everything that was measured."""
    files = {"csv": csv, "md": md}
    refuse_files(files, force=force)
    with opened() as (studio, _):
        runs = _evaluations(studio, run)
    found = matrix(runs)
    written = write_tables(runs, files)
    if as_json:
        print_json({**found.document(), "files": [str(path) for path in written]})
        return
    if not found.cells:
        console().print(NOTHING)
    print_matrix(found)
    for path in written:
        note(f"written: {path}")


@app.command("forgetting")
def forgotten(model: Annotated[str, typer.Argument(help="A trained model, as evaluations name it; "
                                                        "a run by a part of its id or its name.")],
              base: Annotated[str, typer.Option(help="What it was trained from, as evaluations "
                                                     "name it.")] = "starter",
              run: Ids = None, as_json: Json = False) -> None:
    """Print what was measured before and after training, what was lost most first."""
    from app.cli_evaluate import whole_name

    with opened() as (studio, _):
        model, base = whole_name(studio, model), whole_name(studio, base)
        found = forgetting(_evaluations(studio, run), model, base)
    if as_json:
        print_json({"model": model, "base": base, "kept": [one.document() for one in found]})
        return
    console().print(_table(found) if found else
                    f"Nothing was measured of both '{model}' and '{base}'. Evaluate them together: "
                    f"finestra evaluate --model {base} --model {model} --benchmark hellaswag",
                    markup=False)


def _evaluations(studio: Studio, ids: list[str] | None) -> list[Run]:
    """Return the evaluations that are named, else all of them."""
    if ids:
        return [find(studio, one) for one in ids]
    return [one for one in studio.runs() if one.objective == "evaluate"]


def _table(found: list[Kept]) -> Table:
    """Return a line for each score; changes with their 95 % intervals."""
    table = Table(box=None, pad_edge=False)
    for title in ("dataset", "metric", "before", "after", "change, 95 %", "p", "verdict"):
        table.add_column(title, overflow="fold")
    for one in found:
        change = number(one.difference, one, sign=True)
        if one.low is not None and one.high is not None:
            change += f" ({number(one.low, one, sign=True)} to {number(one.high, one, sign=True)})"
        chance = one.p_adjusted if one.p_adjusted is not None else one.p_value
        table.add_row(Text(one.dataset), Text(one.metric), number(one.before, one),
                      number(one.after, one), change, "" if chance is None else f"{chance:.2g}",
                      Text(one.verdict, STYLES.get(one.verdict, "")))
    return table

"""``finestra data``: what is registered, and whether a dataset is sound."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from app.cli_output import console, note, print_json
from app.home import Home
from app.sources import Catalog
from trainer.contract import RunConfig
from trainer.data import registry
from trainer.data.check import MAX_PROBLEMS, check

app = typer.Typer(no_args_is_help=True, help="Look at datasets.")
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
SHOWN = 20
MAX_LENGTH = RunConfig(name="check").data.max_length


@app.command("list")
def list_registered(as_json: Json = False) -> None:
    """List the datasets that a config may name."""
    choices = Catalog(Home.open()).list()
    if as_json:
        print_json({"datasets": [asdict(choice) for choice in choices]})
        return
    table = Table(box=None, pad_edge=False)
    for title in ("name", "rows", "shape", "for", "problem"):
        table.add_column(title)
    for choice in choices:
        table.add_row(choice.name, "" if choice.rows is None else f"{choice.rows:,}", choice.kind,
                      ", ".join(choice.objectives), choice.problem)
    console().print(table)


@app.command("check")
def check_source(source: Annotated[str, typer.Argument(help="A registry name or a path.")],
                 objective: Annotated[str | None, typer.Option(
                     help="Whether it fits this objective: sft, dpo.")] = None,
                 model: Annotated[str, typer.Option(
                     help="Whose tokens to count: a folder, a run's id, a hub id.")] = "starter",
                 max_length: Annotated[int, typer.Option(
                     min=1, help="Rows of more tokens are counted as too long.")] = MAX_LENGTH,
                 as_json: Json = False) -> None:
    """Read a whole dataset and name every row that cannot be used."""
    home = Home.open()
    rest = home.tmp / f"problems-{Path(source).name[:40]}.jsonl"
    spec = registry.load(home.data).resolve(source)
    report = check(spec, objective=objective, limit=MAX_PROBLEMS, problems_file=rest)
    if as_json:
        # Here, since every other command would wait for the tokenizer's import too.
        from app.token_lengths import token_lengths

        tokens = token_lengths(home, spec, report, model=model, max_length=max_length)
        print_json({**report.document(), "tokens": tokens})
    else:
        print(f"{report.usable:,} of {report.rows:,} rows can be used; shape {report.shape.kind} "
              f"({report.shape.reason})")
        for problem in report.problems[:SHOWN]:
            note(f"{problem.severity}: {problem.message}")
        if len(report.problems) > SHOWN:
            note(f"... {sum(report.problem_counts.values()) - SHOWN:,} more; --json shows them")
    if any(problem.severity == "error" for problem in report.problems):
        raise typer.Exit(1)

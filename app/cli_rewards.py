"""``finestra rewards``: consent to a user's own reward function."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from app.cli_output import print_json
from trainer.contract.consent import digest

app = typer.Typer(help="What scores answers while a model trains.", no_args_is_help=True)


@app.callback()
def rewards() -> None:
    """What scores answers while a model trains."""


@app.command()
def consent(
        file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True,
                                             help="A Python file with a function reward().")],
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
        ) -> None:
    """Print what a config says to let a file run as it is now; a changed file asks again."""
    path, found = file.resolve(), digest(file)
    if as_json:
        print_json({"name": "python", "path": str(path), "sha256": found})
        return
    entry = f"[{{name: python, path: {path}, sha256: {found}}}]"
    typer.echo(f"SHA-256 {found}")
    typer.echo("It will run with your rights. When you have read it, put this into the config, or "
               "behind `finestra train`:")
    typer.echo("  " + shlex.quote(f"rollout.rewards={entry}"))

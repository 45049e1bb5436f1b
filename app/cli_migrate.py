"""``finestra import`` and ``finestra script``: moving in, and moving out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli_output import note, print_json
from trainer.contract import ConfigError, Problem

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def import_file(
        file: Annotated[Path, typer.Argument(help="A training file of LLaMA-Factory (YAML, "
                                             "JSON).")],
        overrides: Annotated[list[str] | None, typer.Argument(
            metavar="[KEY=VALUE]...", help="What stood behind the file on the command line.")
        ] = None,
        output: Annotated[Path | None, typer.Option(
            "--output", "-o", help="Write the config here instead of printing it.")] = None,
        as_json: Json = False) -> None:
    """Make a run config of a LLaMA-Factory file, with a word on every key."""
    import yaml

    from app.migrate import import_llamafactory

    found = import_llamafactory(read_text(file), folder=file.resolve().parent,
                                overrides=overrides or ())
    text = yaml.safe_dump(found.values, sort_keys=False, allow_unicode=True, width=100)
    if output is not None:
        write_text(output, text)
    if as_json:
        print_json(found.document())
    else:
        for row in found.report + found.defaults:
            note(f"{row.action:>8}  {row.key}: {row.reason}")
        for problem in found.problems:
            note(f"error: {problem}")
        if output is None:
            print(text, end="")
        else:
            note(f"written: {output}")
    if found.problems:
        raise typer.Exit(1)


def script(run_or_config: Annotated[str, typer.Argument(
               metavar="RUN_OR_CONFIG", help="A run's id, or a config file.")],
           output: Annotated[Path | None, typer.Option(
               "--output", "-o", help="Write the script here instead of printing it.")] = None,
           as_json: Json = False) -> None:
    """Write a Python script that trains the same with TRL alone, without Finestra."""
    from app.script import write_script
    from app.studio import Studio
    from trainer.contract.config import load_yaml, parse

    studio = Studio.open()
    try:
        path = Path(run_or_config)
        config = (parse(load_yaml(read_text(path))) if path.suffix in (".yaml", ".yml", ".json")
                  else parse(load_yaml(studio.config_yaml(studio.run(run_or_config).id))))
        found = write_script(config, home=studio.home.root, runs=studio.home.runs)
    finally:
        studio.close()
    if output is not None:
        write_text(output, found.text)
    if as_json:
        print_json({"script": found.text, "differs": found.differs,
                    "path": str(output) if output else None})
        return
    for text in found.differs:
        note(f"differs: {text}")
    if output is None:
        print(found.text, end="")
    else:
        note(f"written: {output}")


def read_text(path: Path) -> str:
    """Read a file that the user names.

    Raises:
        ConfigError: It cannot be read, or is not UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError([Problem(field="", code="config_unreadable",
                                   message=f"The config '{path}' cannot be read: {why}.",
                                   advice="Check the path.",
                                   params={"name": str(path)})]) from None


def write_text(path: Path, text: str) -> None:
    """Write a file that the user names; an OSError names that file, not a temporary one."""
    from trainer.contract.files import write_atomic

    try:
        write_atomic(path, text.encode())
    except OSError as error:
        error.filename = str(path)
        raise


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command("import")(import_file)
    app.command("script")(script)

"""The command line: the same engine and the same queue as the board; no server needed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app import (
    cli_chat,
    cli_data,
    cli_evaluate,
    cli_evaluations,
    cli_export,
    cli_find,
    cli_keys,
    cli_migrate,
    cli_models,
    cli_rewards,
    cli_runs,
)
from app.cli_output import EXPECTED, error_document, note, print_error, print_json
from app.documents import outcome_document
from app.runs import Run, RunState

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="Finestra: a fine-tuning studio.")
app.add_typer(cli_runs.app, name="runs")
app.add_typer(cli_data.app, name="data")
app.add_typer(cli_models.app, name="models")
app.add_typer(cli_evaluations.app, name="evaluations")
app.add_typer(cli_rewards.app, name="rewards")
app.add_typer(cli_keys.keys, name="keys")
app.add_typer(cli_keys.endpoints, name="endpoints")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
INTERRUPTED = 130


@app.callback()
def choose_home(home: Annotated[Path | None, typer.Option(
        help="Folder of runs, index and data (FINESTRA_HOME, ~/.finestra).")] = None) -> None:
    """Finestra: a fine-tuning studio."""
    if home is not None:
        expanded = os.path.expanduser(home)
        os.environ["FINESTRA_HOME"] = expanded if expanded.startswith("~") else \
            os.path.realpath(expanded)


@app.command()
def serve(host: Annotated[str, typer.Option(help="Address to bind.")] = "127.0.0.1",
          port: Annotated[int, typer.Option(help="Port to bind; 0 takes a free one.",
                                            min=0, max=65535)] = 7860,
          home: Annotated[Path | None, typer.Option(help="Folder of runs and index.")] = None,
          root_path: Annotated[str, typer.Option(help="Path under a proxy.")] = "",
          allowed_host: Annotated[list[str] | None, typer.Option(
              help="A further name the server may be called by.")] = None,
          data_root: Annotated[list[Path] | None, typer.Option(
              help="A further folder whose files the pages may name.")] = None) -> None:
    """Open the studio in the browser; runs go on when it is closed."""
    from app.server import serve as serve_studio

    serve_studio(host, port, home, root_path=root_path, allowed_hosts=tuple(allowed_host or ()),
                 data_roots=tuple(data_root or ()))


@app.command()
def train(config: Annotated[Path, typer.Argument(help="The run config, a YAML file.")],
          overrides: Annotated[list[str] | None, typer.Argument(
              metavar="[KEY=VALUE]...", help="For example training.learning_rate=1e-4.")] = None,
          detach: Annotated[bool, typer.Option(help="Queue it and return.")] = False,
          dry_run: Annotated[bool, typer.Option(help="Check everything, start nothing.")] = False,
          anywhere: Annotated[bool, typer.Option(
              help="With --dry-run: only what is wrong on every machine counts.")] = False,
          as_json: Json = False) -> None:
    """Train as a config says, and follow the run until it has ended."""
    from app.studio import Studio

    values = read_config(config, overrides or [])
    studio = Studio.open()
    try:
        if dry_run:
            show_dry_run(studio.dry_run(values), anywhere, as_json)
            return
        run = studio.create(values)
        run = run if detach else follow_run(studio, run)
        show_outcome(studio, run, detach, as_json)
    finally:
        studio.close()


def read_config(path: Path, overrides: list[str]) -> dict[str, Any]:
    """Read a config file and lay overrides over it.

    Raises:
        ConfigError: It cannot be read, is not YAML, or an override is not ``key=value``.
    """
    from trainer.contract.config import apply_overrides, load_yaml

    return apply_overrides(load_yaml(cli_migrate.read_text(path)), overrides)


def follow_run(studio: Any, run: Run) -> Run:
    """Follow a run; Ctrl-C leaves it alone and says how to stop it."""
    from app.cli_follow import watch

    note(f"run {run.id} ({run.dir})")
    try:
        return watch(studio, run.id)
    except KeyboardInterrupt:
        note(f"\nDetached; the run goes on.\n  follow it:  finestra runs show {run.id}\n"
             f"  stop it:    finestra runs stop {run.id}")
        found: Run = studio.run(run.id)
        return found


def show_outcome(studio: Any, run: Run, detached: bool, as_json: bool) -> None:
    """Say how a run ended, and end with a status that says the same."""
    if as_json:
        print_json(outcome_document(studio, run))
    else:
        print_outcome(studio, run)
    end(run, detached)


def print_outcome(studio: Any, run: Run) -> None:
    """Say to people how a run ended."""
    document = outcome_document(studio, run)
    if document["error"]:
        note(f"{run.state}: {document['error']['message']} {document['error']['advice']}".rstrip())
        note(f"log: finestra runs log {run.id}")
    else:
        note(f"{run.state}: {run.dir}")


def end(run: Run, detached: bool) -> None:
    """End with a status that says how a run ended; return where that was as it should be."""
    if run.state is RunState.COMPLETED or (detached and run.state is not RunState.FAILED):
        return
    raise typer.Exit(1 if run.state in ("failed", "stopped", "interrupted") else INTERRUPTED)


def show_dry_run(found: Any, anywhere: bool, as_json: bool) -> None:
    """Say what is known before a start; status 1 when something is in the way."""
    counted = [p for p in found.problems if not anywhere or p.scope == "config"]
    if as_json:
        first = error_document(counted[0].code, counted[0].message, field=counted[0].field,
                               advice=counted[0].advice)["error"] if counted else None
        print_json({**found.document(), **({"error": first} if first else {})})
    else:
        for problem in found.problems:
            note(f"{'error' if problem in counted else 'elsewhere'}: {problem}")
        for choice in found.choices:
            note(f"{choice.field} = {choice.value}  ({choice.reason})")
        if found.estimate is not None:
            for part in found.estimate.parts:
                note(f"{part.label:>16} {part.bytes / 2**20:>12,.1f} MiB  {part.reason}")
            note(f"{'together':>16} {found.estimate.total_bytes / 2**20:>12,.1f} MiB")
            note(f"{'steps':>16} {found.estimate.steps or '?':>12}  "
                 f"{found.estimate.steps_reason}")
    if counted:
        raise typer.Exit(1)


cli_find.register(app)
cli_export.register(app)
cli_evaluate.register(app)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Look at what a run needs: home, index, packages, devices, starter."""
    from app.doctor import examine

    checks = examine()
    if as_json:
        print_json({"checks": [check.document() for check in checks],
                    "ok": all(check.ok for check in checks)})
    else:
        for check in checks:
            print(f"{'ok ' if check.ok else 'BAD'}  {check.name}: {check.detail}"
                  + (f"  {check.advice}" if check.advice and not check.ok else ""))
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


cli_migrate.register(app)
cli_chat.register(app)


def main() -> None:
    """Run the command line; expected errors are told, not traced."""
    as_json = "--json" in sys.argv
    try:
        status = app(standalone_mode=False)
    except typer.exceptions.TyperException as error:
        if as_json:
            print_json(error_document("usage", error.format_message(),
                                      advice="See `finestra --help`."))
        else:
            note(f"{error.format_message()}\nSee `finestra --help`.")
        sys.exit(error.exit_code)
    except EXPECTED as error:
        print_error(error, as_json)
        sys.exit(1)
    except (KeyboardInterrupt, typer.Abort):
        note("interrupted")
        sys.exit(INTERRUPTED)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()

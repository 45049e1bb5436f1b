"""``finestra runs``: look at runs and act on them."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.table import Table

from app.cli_output import console, note, print_json
from app.documents import metrics_document, outcome_document, show_document
from app.runs import ENDED, Run, RunError, RunState
from app.studio import Studio
from trainer.contract.config import apply_overrides, flat, load_yaml

app = typer.Typer(no_args_is_help=True, help="Look at runs and act on them.")
Id = Annotated[str, typer.Argument(metavar="ID", help="A run's id, or how it begins or ends.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@contextlib.contextmanager
def opened(catch_up: str | None = None) -> Iterator[tuple[Studio, Run | None]]:
    """Open the studio, settle what ended, and find a run by a part of its id."""
    studio = Studio.open()
    try:
        studio.tick()
        run = find(studio, catch_up) if catch_up is not None else None
        if run is not None:
            studio.ingest(run.id)
            run = studio.run(run.id)
        yield studio, run
    finally:
        studio.close()


def find(studio: Studio, text: str) -> Run:
    """Return the run of that id, or the only one whose id begins or ends so, or of that name.

    Raises:
        RunError: There is none, or more than one.
    """
    runs = studio.runs()
    for matches in ([r for r in runs if r.id == text],
                    [r for r in runs if r.id.startswith(text) or r.id.endswith(text)],
                    [r for r in runs if r.name == text]):
        if len(matches) == 1:
            return matches[0]
        if matches and text:
            some = ", ".join(run.id for run in matches[:5])
            raise RunError("ambiguous_run", f"'{text}' may be {len(matches)} runs: {some}.",
                           "Write more of the id.")
    return studio.run(text)


@app.command("list")
def list_runs(state: Annotated[str | None, typer.Option(help="Only in this state.")] = None,
              search: Annotated[str, typer.Option(help="Only those that hold this text.")] = "",
              tag: Annotated[str, typer.Option(help="Only with this tag.")] = "",
              as_json: Json = False) -> None:
    """List runs, newest first."""
    if state is not None and state not in list(RunState):
        raise RunError("unknown_state", f"There is no state '{state}'.",
                       f"Choose one of {', '.join(RunState)}.")
    with opened() as (studio, _):
        studio.ingest()
        runs = studio.runs(state=state, search=search, tag=tag)
    if as_json:
        print_json({"runs": [run.document() for run in runs]})
        return
    table = Table(box=None, pad_edge=False)
    for title in ("id", "name", "state", "step", "loss", "device", "made"):
        table.add_column(title)
    for run in runs:
        loss = run.latest.get("loss")
        table.add_row(run.id, run.name, str(run.state),
                      f"{run.progress.step}/{run.progress.total_steps or '?'}",
                      "" if loss is None else f"{loss:.4f}", run.device,
                      time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created_at)))
    console().print(table if runs else "No runs yet. Start one: finestra train CONFIG.yaml")


@app.command()
def show(run_id: Id, as_json: Json = False) -> None:
    """Show one run."""
    with opened(run_id) as (studio, run):
        assert run is not None
        document = show_document(studio, run)
    if as_json:
        print_json(document)
        return
    progress = document["progress"]
    print(f"{run.id}  {run.name}\n{run.state}{': ' + run.reason if run.reason else ''}\n"
          f"step {progress['step']}/{progress['total_steps'] or '?'}  stage {progress['stage']}  "
          f"attempt {run.attempt}  device {run.device or '-'}\n{run.dir}")
    for name, value in sorted(document["metrics"].items()):
        print(f"  {name} = {'not a number' if value is None else f'{value:.6g}'}")


@app.command()
def metrics(run_id: Id, as_json: Json = False) -> None:
    """Print every series of a run, each step once."""
    with opened(run_id) as (studio, run):
        assert run is not None
        document = metrics_document(studio, run)
    if as_json:
        print_json(document)
        return
    for name, points in document["series"].items():
        for step, value in points:
            print(f"{name}\t{step}\t{'' if value is None else value}")


@app.command()
def log(run_id: Id,
        search: Annotated[str, typer.Option(help="Only lines that hold this text.")] = "",
        attempt: Annotated[int | None, typer.Option(help="An earlier attempt.")] = None,
        max_bytes: Annotated[int, typer.Option(help="How much of the end.")] = 64_000,
        as_json: Json = False) -> None:
    """Print the end of a run's log."""
    with opened(run_id) as (studio, run):
        assert run is not None
        text = studio.log_tail(run.id, search=search, attempt=attempt, max_bytes=max_bytes)
    if as_json:
        print_json({"id": run.id, "log": text})
    else:
        print(text)


@app.command()
def stop(run_id: Id,
         wait: Annotated[bool, typer.Option(help="Return when it has ended.")] = True,
         as_json: Json = False) -> None:
    """Stop a run at the next step, with a checkpoint; 0 unless it fails on the way."""
    from app.cli_follow import watch

    with opened(run_id) as (studio, run):
        assert run is not None
        run = studio.stop(run.id)
        if wait and run.state not in ENDED:
            run = watch(studio, run.id)
        _print_outcome(studio, run, as_json)
    if run.state is RunState.COMPLETED:
        note("It was just finishing: there was nothing left to stop.")
    if run.state in (RunState.FAILED, RunState.INTERRUPTED):
        raise typer.Exit(1)


@app.command()
def resume(run_id: Id,
           checkpoint: Annotated[str, typer.Option(
               help="'auto', 'none', or a name such as checkpoint-40.")] = "auto",
           wait: Annotated[bool, typer.Option(help="Follow it until it has ended.")] = False,
           as_json: Json = False) -> None:
    """Put an ended run into the queue again; it goes on from a checkpoint."""
    from app.cli_follow import watch

    with opened(run_id) as (studio, run):
        assert run is not None
        run = studio.resume(run.id, checkpoint=checkpoint)
        run = watch(studio, run.id) if wait else run
        _print_outcome(studio, run, as_json)
        if wait and run.state != "completed":
            raise typer.Exit(1)


def _print_outcome(studio: Studio, run: Run, as_json: bool) -> None:
    if as_json:
        print_json(outcome_document(studio, run))
    else:
        note(f"{run.id} {run.state}{': ' + run.reason if run.reason else ''}")


@app.command()
def clone(run_id: Id,
          overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...")] = None,
          start: Annotated[bool, typer.Option(help="Queue it.")] = False,
          as_json: Json = False) -> None:
    """Print a run's config under a new name, or queue it."""
    import yaml

    with opened(run_id) as (studio, run):
        assert run is not None
        values = apply_overrides(studio.clone_values(run.id), overrides or [])
        if start:
            _print_outcome(studio, studio.create(values), as_json)
        elif as_json:
            print_json({"config": values})
        else:
            print(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100), end="")


@app.command()
def delete(run_id: Annotated[str, typer.Argument(metavar="ID", help="The run's whole id.")],
           yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
           as_json: Json = False) -> None:
    """Delete a run that has ended, with its checkpoints and its results."""
    with opened(run_id) as (studio, run):
        assert run is not None
        if run.id != run_id:
            raise RunError("whole_id", f"'{run_id}' is not a whole id, and deleting is final.",
                           f"Say the whole id, such as {run.id}.")
        if not yes:
            if not sys.stdin.isatty():
                raise RunError("not_confirmed", f"'{run.id}' and its files would be lost.",
                               "Say --yes to delete it.")
            typer.confirm(f"Delete {run.id} ({run.name}) with all its files?", abort=True, err=True)
        studio.delete(run.id)
    if as_json:
        print_json({"id": run.id, "deleted": True})
    else:
        note(f"{run.id} deleted")


@app.command()
def compare(run_ids: Annotated[list[str], typer.Argument(metavar="ID...")],
            as_json: Json = False) -> None:
    """Show in what runs differ, and their latest metrics side by side."""
    with opened() as (studio, _):
        studio.ingest()
        runs = [find(studio, text) for text in run_ids]
        configs = {run.id: flat(load_yaml(studio.config_yaml(run.id))) for run in runs}
    fields = list(dict.fromkeys(key for values in configs.values() for key in values))
    differences = {key: {id_: values.get(key) for id_, values in configs.items()}
                   for key in fields}
    differing = {key: values for key, values in differences.items()
                 if len({repr(value) for value in values.values()}) > 1}
    names = sorted({name for run in runs for name in run.latest})
    latest = {name: {run.id: run.latest.get(name) for run in runs} for name in names}
    if as_json:
        print_json({"runs": [run.document() for run in runs], "differences": differing,
                    "metrics": latest})
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for run in runs:
        table.add_column(run.id)
    for key, row in (differing | latest).items():
        table.add_row(key, *(str(row[run.id]) for run in runs))
    console().print(table)

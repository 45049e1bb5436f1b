"""``finestra models``: what is here, what there is, download, delete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from app.cli_data_show import plain, progress_bar
from app.cli_output import console, note, print_json
from trainer.contract.models import ModelError

if TYPE_CHECKING:
    from app.models import ModelLibrary
    from app.models_delete import Losses
    from app.models_needs import Need

app = typer.Typer(no_args_is_help=True, help="Look at models, download and delete them.")

_PIPE_WIDTH = 200
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Name = Annotated[str, typer.Argument(help="A model of `finestra models list`.")]
Search = Annotated[str, typer.Option(help="Words that the name, family or licence holds.")]
Family = Annotated[str, typer.Option(help="A model type of Transformers, such as qwen3.")]
Fits = Annotated[str, typer.Option(help="Only what can be trained here by: lora, qlora, full.")]
Licence = Annotated[str, typer.Option(help="For example apache-2.0.")]


@contextmanager
def _library() -> Iterator[ModelLibrary]:
    from app.studio import Studio

    studio = Studio.open()
    try:
        yield studio.library
    finally:
        studio.close()


@app.command("list")
def list_here(search: Search = "", family: Family = "", fits: Fits = "", licence: Licence = "",
              as_json: Json = False) -> None:
    """List the models on this machine: bases, what runs made, and who uses them."""
    from app.models import Filter

    with _library() as library:
        found = library.here(Filter(search, family, _method(fits), licence))
        room = library.room()
    if as_json:
        print_json({"models": [one.document() for one in found], "device": room.document()})
        return
    _table(("model", "what", "size", "weights", "licence", "used by", room.name, "problem"), [
        (one.model.name, one.model.what, _gib(one.model.size_bytes),
         _weights(one.model.facts.parameters), one.model.licence,
         ", ".join(user.name for user in one.model.used_by[:3]), _needs(one.needs),
         one.model.facts.problem[1] if one.model.facts.problem else "") for one in found])


@app.command("catalogue")
def list_catalogue(
        search: Search = "", family: Family = "", fits: Fits = "", licence: Licence = "",
        access: Annotated[str, typer.Option(help="open, or gated: asks to accept terms.")] = "",
        as_json: Json = False) -> None:
    """List well-known bases, and by which methods they can be trained here."""
    from app.models import Filter

    if access not in ("", "open", "gated"):
        raise ModelError("model_option", f"--access is 'open' or 'gated', not '{access}'.")
    with _library() as library:
        found = library.catalogue(Filter(search, family, _method(fits), licence, access))
        room = library.room()
    if as_json:
        print_json({"models": [one.document() for one in found], "device": room.document()})
        return
    _table(("model", "kind", "weights", "context", "licence", "gated", room.name, "here"), [
        (one.model.id, one.model.kind, _weights(one.model.parameters),
         f"{one.model.context:,}" if one.model.context else "", one.model.licence or "",
         {True: "yes", False: "", None: "?"}[one.model.gated],
         one.model.obstacle or _needs(one.needs), "yes" if one.here else "") for one in found])


@app.command("show")
def show(name: Name, as_json: Json = False) -> None:
    """Show one model on this machine, and what deleting it would cost."""
    with _library() as library:
        document = {**library.one(name).document(), "losses": library.losses(name).document()}
    if as_json:
        print_json(document)
        return
    _table(("", ""), [(key, _said(value)) for key, value in document.items()])


@app.command("download")
def download(source: Annotated[str, typer.Argument(
        help="owner/name[@revision], ms:owner/name for ModelScope, or a folder.")],
        as_json: Json = False) -> None:
    """Bring a model here and check it; started again, it goes on where it ended."""
    with _library() as library, progress_bar("downloading") as told:
        job = library.download(source)
        try:
            while (job := library.jobs.wait(job.id, 0.2)).active:
                told.bytes(int(job.done), int(job.total))
        except KeyboardInterrupt:
            library.cancel(job.id)
            job = library.jobs.wait(job.id, 60)
    if job.state != "done":
        raise ModelError(*(job.error or (
            "cancelled", "The download was cancelled.",
            "What has come in is kept: started again, it goes on from there.")))
    if as_json:
        print_json({"name": job.result["name"], "source": job.name, "size_bytes": job.total})
    else:
        note(f"{job.result['name']} is here.")


@app.command("delete")
def delete(name: Name, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
           as_json: Json = False) -> None:
    """Delete a model; of a run's result the run with it. Says first what depends on it."""
    with _library() as library:
        found = library.losses(name)
        if found.forbidden is None and not yes:
            if as_json:
                raise ModelError("not_confirmed", f"'{name[:200]}' is not deleted unasked.",
                                 "Add --yes.")
            note(lost_words(found))
            typer.confirm("Delete it?", abort=True, err=True)
        found = library.delete(name)
    if as_json:
        print_json({"deleted": found.document()})
    else:
        note(f"{found.name} is deleted.")


def lost_words(found: Losses) -> str:
    """Say what deleting a model would cost."""
    lines = [f"{found.name}: {_gib(found.size_bytes)}"]
    lines += [f"  adapter that stands on it: {one.name}" for one in found.adapters]
    lines += [f"  run that names it: {user.id} ({user.state})" for user in found.ended]
    return "\n".join(lines)


def _method(name: str) -> str:
    from trainer.contract.catalogue import METHODS

    if name and name not in METHODS:
        raise ModelError("model_option", f"'{name}' is no method.",
                         f"Choose one of: {', '.join(METHODS)}.")
    return name


def _gib(size_bytes: float) -> str:
    return f"{size_bytes / 2**30:,.1f} GiB" if size_bytes >= 2**28 else (
        f"{size_bytes / 2**20:,.1f} MiB")


def _weights(count: int) -> str:
    return f"{count / 1e9:.3g} B" if count >= 1e9 else f"{count / 1e6:.3g} M" if count else ""


def _needs(needs: Sequence[Need]) -> str:
    """Return the methods that fit, with what each takes."""
    return ", ".join(f"{need.method} {_gib(need.bytes)}" for need in needs if need.fits)


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_said(inner)}" for key, inner in value.items() if inner)
    if isinstance(value, list):
        return "\n".join(_said(inner) for inner in value)
    return "" if value is None else str(value)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False)
    for number, head in enumerate(heads):
        table.add_column(head, no_wrap=not number)
    for row in rows:
        table.add_row(*map(plain, row))
    out = console()
    if not out.is_terminal:
        out.width = _PIPE_WIDTH
    out.print(table)

"""``finestra chats``: conversations that are kept."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from app.cli_data_show import plain
from app.cli_output import console, note, print_json
from app.home import Home
from app.recordfile import RecordError

if TYPE_CHECKING:
    from app.chats.book import Book

app = typer.Typer(no_args_is_help=True, help="Look at conversations, take them away.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="A conversation of `finestra chats list`.")]
_PIPE_WIDTH = 200


def _book() -> Book:
    from app.chats.book import Book

    return Book(Home.open())


@app.command("list")
def list_chats(search: Annotated[str, typer.Option(help="Text that it holds.")] = "",
               limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
               as_json: Json = False) -> None:
    """List the conversations, newest first."""
    found, damaged = _book().list(search)
    words = " ".join(search.split()).casefold()
    if as_json:
        print_json({"chats": [one.document(words) for one in found[:limit]], "total": len(found),
                    "damaged": [{"id": one.id, "reason": one.reason} for one in damaged]})
        return
    table = Table(box=None, pad_edge=False)
    for title in ("id", "changed", "models", "turns", "title", "text"):
        table.add_column(title, no_wrap=title == "id")
    for one in found[:limit]:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.updated_at))
        cells = (one.id, when, ", ".join(one.lanes), str(one.turns), one.title,
                 one.snippet(words))
        table.add_row(*map(plain, cells))
    out = console()
    if not out.is_terminal:
        out.width = _PIPE_WIDTH
    out.print(table)
    for one in damaged:
        note(f"damaged: {one.reason}")


@app.command("show")
def show(chat_id: Id, as_json: Json = False) -> None:
    """Show a conversation: the branch that is shown, or with --json everything."""
    from app.chats.blind import document
    from app.chats.rows import export
    from app.cli_chat_talk import clean

    chat = _book().load(chat_id)
    if as_json:
        print_json(document(chat))
    else:
        sys.stdout.write(clean(export([chat], "markdown")))


@app.command("export")
def export_chats(
        output: Annotated[Path, typer.Argument(help="A file that ends with .md, .json or .jsonl.")],
        ids: Annotated[list[str] | None, typer.Argument(
            metavar="[ID]...", help="Which; all when none is named.")] = None,
        as_json: Json = False) -> None:
    """Write conversations to a file: to read, as a whole, or as rows to train on."""
    from app.cli_chat_talk import write_export

    home, book = Home.open(), _book()
    with home.audited("export_chats", ",".join(ids or []), "local"):
        found = [book.load(one) for one in ids or [entry.id for entry in book.list()[0]]]
        write_export(output, found)
    if as_json:
        print_json({"path": str(output), "chats": len(found)})
    else:
        note(f"{len(found)} conversations are in {output}.")


@app.command("delete")
def delete(chat_id: Id, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
           as_json: Json = False) -> None:
    """Delete a conversation with its votes; datasets made of it stay."""
    home, book = Home.open(), _book()
    chat = book.load(chat_id)
    if not yes:
        if as_json:
            raise RecordError("not_confirmed", f"'{chat_id}' is not deleted unasked.",
                              "Add --yes.")
        note(f"{chat.title or chat_id}: {len(chat.turns)} turns")
        typer.confirm("Delete it?", abort=True, err=True)
    with home.audited("delete_chat", chat_id, "local"):
        book.delete(chat_id)
    if as_json:
        print_json({"deleted": chat_id})
    else:
        note(f"{chat_id} is deleted.")


@app.command("dataset")
def dataset(name: Annotated[str, typer.Argument(help="Its name among the datasets.")],
            ids: Annotated[list[str] | None, typer.Argument(
                metavar="[ID]...", help="Which conversations; all when none is named.")] = None,
            preferences: Annotated[bool, typer.Option(
                "--preferences", help="Pairs from votes, in place of conversations.")] = False,
            as_json: Json = False) -> None:
    """Make a dataset of conversations, or of the votes in them."""
    from app.chats.datasets import make_dataset
    from app.chats.requests import DatasetBody
    from app.studio import Studio

    studio = Studio.open()
    try:
        wanted = DatasetBody(name=name[:64], ids=ids or None,
                             kind="preferences" if preferences else "conversations")
        made = make_dataset(studio, _book(), wanted)
    finally:
        studio.close()
    if as_json:
        print_json(made)
    else:
        note(f"'{made['name']}' has {made['rows']:,} rows; {made['left_out']:,} were left out.")

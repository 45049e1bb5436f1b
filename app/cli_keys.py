"""``finestra keys`` and ``finestra endpoints``: who may ask at /v1, and who else may answer."""

from __future__ import annotations

import datetime
import os
import sys
from typing import Annotated

import typer
from rich.table import Table

from app.apikeys import DEFAULT_SCOPES, SCOPES, KeyRing
from app.cli_output import console, note, print_json
from app.home import Home
from app.recordfile import RecordError
from app.serving.endpoints import EndpointBook

keys = typer.Typer(no_args_is_help=True, help="Keys with which programs ask at /v1.")
endpoints = typer.Typer(no_args_is_help=True,
                        help="OpenAI-compatible servers whose models may answer here.")
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def _when(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


@keys.command()
def create(name: Annotated[str, typer.Argument(help="What it is for.")] = "api",
           scope: Annotated[list[str] | None, typer.Option(
               help=f"What it may do, of {', '.join(SCOPES)}; may be given several times "
                    f"({DEFAULT_SCOPES[0]}).")] = None,
           as_json: Json = False) -> None:
    """Make a key and show it, this once."""
    key, secret = KeyRing(Home.open()).create(name, scope or DEFAULT_SCOPES)
    if as_json:
        print_json({"key": secret, **key.document(None)})
        return
    note(f"'{key.name}' may: {'; '.join(SCOPES[one] for one in key.scopes)}. "
         "It is shown only this once:")
    print(secret)


@keys.command("list")
def list_keys(as_json: Json = False) -> None:
    """List the keys; their secrets are kept nowhere."""
    found = KeyRing(Home.open()).documents()
    if as_json:
        print_json({"keys": found})
        return
    table = Table(box=None, pad_edge=False)
    for title in ("id", "name", "ends with", "scopes", "made", "last used", "revoked"):
        table.add_column(title)
    for key in found:
        table.add_row(key["id"], key["name"], key["hint"], " ".join(key["scopes"]),
                      _when(key["created_at"]), _when(key["last_used_at"]),
                      _when(key["revoked_at"]))
    console().print(table)


@keys.command()
def revoke(key: Annotated[str, typer.Argument(metavar="KEY", help="Its id or name.")],
           as_json: Json = False) -> None:
    """Let a key open nothing from now on."""
    found = KeyRing(Home.open()).revoke(key)
    if as_json:
        print_json(found.document(None))
    else:
        note(f"'{found.name}' opens nothing any more.")


@endpoints.command()
def add(name: Annotated[str, typer.Argument(help="What its models' names begin with.")],
        base_url: Annotated[str, typer.Argument(help="Such as http://127.0.0.1:11434/v1.")],
        model: Annotated[list[str], typer.Option(
            help="A model that may be asked for; may be given several times.")],
        key_from: Annotated[str, typer.Option(
            help="The environment variable that holds its key, or - for standard input.")] = "",
        as_json: Json = False) -> None:
    """Save an endpoint; its models answer as NAME/MODEL."""
    saved = EndpointBook(Home.open()).add(name, base_url, model, key=_read_key(key_from))
    if as_json:
        print_json(saved.document())
    else:
        note("Saved. Ask for " + ", ".join(f"{saved.name}/{one}" for one in saved.models))


def _read_key(source: str) -> str:
    """Return the key from where it is; an argument would be seen in the list of processes."""
    if source == "-":
        return sys.stdin.readline().strip()
    if source and source not in os.environ:
        raise RecordError("no_key", f"The environment has no '{source}'.",
                          "Give the name of the variable that holds the key, or - to type it.")
    return os.environ[source].strip() if source else ""


@endpoints.command("list")
def list_endpoints(as_json: Json = False) -> None:
    """List the saved endpoints."""
    found = EndpointBook(Home.open()).all()
    if as_json:
        print_json({"endpoints": [one.document() for one in found]})
        return
    table = Table(box=None, pad_edge=False)
    for title in ("name", "address", "key", "models"):
        table.add_column(title)
    for one in found:
        table.add_row(one.name, one.base_url, "yes" if one.key else "", " ".join(one.models))
    console().print(table)


@endpoints.command()
def remove(name: Annotated[str, typer.Argument(help="Its name.")], as_json: Json = False) -> None:
    """Forget an endpoint and its key."""
    EndpointBook(Home.open()).remove(name)
    if as_json:
        print_json({"removed": name})
    else:
        note(f"'{name}' is forgotten.")

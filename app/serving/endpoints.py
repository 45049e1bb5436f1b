"""Servers that somebody else runs and an admin has saved: the only ones that are ever asked.

A saved endpoint may be plain http and on a private address (Ollama on this machine): the admin
wrote it down, no request can (rule R6).
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from urllib.parse import urlsplit

from app.home import Home
from app.recordfile import RecordError, RecordFile
from app.serving.route import Served
from trainer.engines.endpoints import FILE_NAME, Endpoint, find_endpoint, parse_endpoint
from trainer.engines.errors import EngineError
from trainer.engines.route import Route

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
_KEY = re.compile(r"[\x21-\x7e]{0,4096}")


class EndpointBook:
    """The endpoints of a home; safe to use from several threads and processes."""

    def __init__(self, home: Home) -> None:
        """Look at nothing yet."""
        self._file = RecordFile(home, FILE_NAME)

    def all(self) -> list[Endpoint]:
        """Return the saved endpoints by name; RecordError for a damaged file."""
        return sorted(map(parse_endpoint, self._file.read()), key=lambda one: one.name)

    def add(self, name: str, base_url: str, models: Sequence[str], *, key: str = "",
            who: str = "local") -> Endpoint:
        """Save an endpoint.

        Raises:
            RecordError: The name is taken, or something of it cannot be used.
        """
        with self._file.changing("add_endpoint", name, who) as records:
            if any(record["name"] == name for record in records):
                raise RecordError("endpoint_exists", f"There is an endpoint '{name}' already.",
                                  "Choose another name, or remove that one first.")
            found = Endpoint(name=_good_name(name), base_url=_good_url(base_url),
                             key=_good_key(key), models=_good_models(models),
                             created_at=time.time(), created_by=who)
            records.append({**vars(found), "models": list(found.models)})
        return found

    def remove(self, name: str, *, who: str = "local") -> None:
        """Forget an endpoint and its key; RecordError('unknown_endpoint') when there is none."""
        with self._file.changing("remove_endpoint", name, who) as records:
            left = [record for record in records if record["name"] != name]
            if len(left) == len(records):
                raise RecordError("unknown_endpoint", f"There is no endpoint '{name}'.",
                                  "List them with `finestra endpoints list`.")
            records[:] = left


class EndpointBackend:
    """Lets the models of saved endpoints answer, as 'ENDPOINT/MODEL'."""

    def __init__(self, book: EndpointBook) -> None:
        """Keep the book; it is looked at again with every question."""
        self._book = book

    def served(self) -> list[Served]:
        """Return every model of every endpoint."""
        return [Served(f"{one.name}/{model}", "endpoint", f"{model} ({one.name})",
                       int(one.created_at))
                for one in self._saved() for model in one.models]

    @asynccontextmanager
    async def using(self, name: str) -> AsyncIterator[Route]:
        """Say where to ask.

        Raises:
            EngineError: No saved endpoint has a model of that name ('unknown_model').
        """
        found = find_endpoint(self._saved(), name)
        if found is None:
            raise EngineError("unknown_model", f"There is no model '{name}'.")
        yield Route(found[0].base_url, found[0].key, found[1])

    def _saved(self) -> list[Endpoint]:
        try:
            return self._book.all()
        except RecordError as error:
            raise EngineError(error.code, str(error), error.advice) from None


def _good_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise RecordError("bad_name", f"'{name[:80]}' cannot be an endpoint's name.",
                          "Use up to 64 letters, digits, dots, dashes and underscores.")
    return name


def _good_key(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise RecordError("bad_key", "The key has characters that no HTTP header can carry.",
                          "Copy it again, without line breaks.")
    return key


def _good_models(models: Sequence[str]) -> tuple[str, ...]:
    wrong = [model for model in models if not _MODEL.fullmatch(model)]
    if wrong or not models:
        what = f"'{wrong[0][:80]}' cannot be a model's name." if wrong else "No model is named."
        raise RecordError("bad_model", what, "Name each model that may be asked for as that "
                          "server does; its /models has the list.")
    return tuple(dict.fromkeys(models))


def _good_url(text: str) -> str:
    """Return the address without a slash at its end.

    Raises:
        RecordError: It is no plain http(s) address with a path, or holds a password.
    """
    advice = "Write it like https://host/v1 or http://127.0.0.1:11434/v1."
    try:
        parts = urlsplit(text.strip())
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        raise RecordError("bad_url", f"'{text[:200]}' is no address.", advice) from None
    if parts.username is not None or parts.password is not None:
        raise RecordError("bad_url", "An address cannot hold a name or password.",
                          "Give the key by itself.")
    plain = text.isascii() and text.isprintable() and not set(text) & set(" \\?#")
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_ok or not plain:
        raise RecordError("bad_url", f"'{text[:200]}' is no http or https address.", advice)
    if not parts.path.strip("/"):
        raise RecordError("bad_url", f"'{text[:200]}' has no path.", advice)
    if _is_nowhere(parts.hostname):
        raise RecordError("bad_url", f"No model answers at '{parts.hostname}'.", advice)
    return text.strip().rstrip("/")


def _is_nowhere(host: str) -> bool:
    """Tell whether an address is one at which clouds keep credentials, or no server's at all."""
    try:
        literal = ip_address(host)
    except ValueError:
        return False
    address = getattr(literal, "ipv4_mapped", None) or literal
    return bool(address.is_link_local or address.is_multicast or address.is_unspecified)

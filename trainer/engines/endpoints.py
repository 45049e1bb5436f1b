"""Servers that somebody else runs and an admin has saved, as the home's file has them.

They are the only ones that are ever asked (rule R6): a saved endpoint may be plain http and on a
private address, since no request can name one. Keys stay in the file and in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.contract.files import read_json
from trainer.contract.problems import RecordError

FILE_NAME = "endpoints.json"


@dataclass(frozen=True)
class Endpoint:
    """A saved server.

    Attributes:
        name: What its models' names begin with.
        base_url: What ``/chat/completions`` is put behind.
        key: '' where none is wanted; never shown.
        models: The names that may be asked for, as that server knows them.
        created_at: Unix seconds.
        created_by: Who saved it.
    """

    name: str
    base_url: str
    key: str = field(repr=False)
    models: tuple[str, ...]
    created_at: float
    created_by: str

    def document(self) -> dict[str, Any]:
        """Return what may be shown."""
        return {"name": self.name, "base_url": self.base_url, "has_key": bool(self.key),
                "models": list(self.models), "created_at": self.created_at,
                "created_by": self.created_by}


def parse_endpoint(record: Mapping[str, Any]) -> Endpoint:
    """Read what was saved of an endpoint; RecordError('damaged_file') when it is something else."""
    try:
        return Endpoint(**{**record, "models": tuple(record["models"])})
    except (TypeError, KeyError):
        raise _damaged() from None


def read_endpoints(home: Path) -> list[Endpoint]:
    """Return the saved endpoints of a home.

    Raises:
        RecordError: The file is damaged ('damaged_file').
        OSError: It cannot be read.
    """
    path = home / FILE_NAME
    if not path.is_file():
        return []
    records = read_json(path)
    if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
        raise _damaged()
    return [parse_endpoint(one) for one in records]


def find_endpoint(endpoints: Iterable[Endpoint], name: str) -> tuple[Endpoint, str] | None:
    """Return the endpoint of a name 'ENDPOINT/MODEL', and the model as its server knows it."""
    first, _, model = name.partition("/")
    return next(((one, model) for one in endpoints
                 if one.name == first and model in one.models), None)


def _damaged() -> RecordError:
    return RecordError("damaged_file", f"'{FILE_NAME}' in the home folder cannot be read.",
                       "Restore it from a backup, or delete it and add them again.")

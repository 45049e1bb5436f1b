"""Versions of an added dataset: whatever changes its rows keeps the file that was there before.

They stand under ``_versions`` of the dataset's entry, oldest first, the last one in use; a
dataset that was never changed has none. LLaMA-Factory reads ``file_name`` and passes over them.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.data.reading.entry import SOURCES, DatasetEntry
from trainer.data.reading.rows import DatasetError

if TYPE_CHECKING:
    from trainer.data.catalog.hub_store import Wanted
    from trainer.data.catalog.registry import Registry, Values

KEY = "_versions"
_SOURCE_KEYS = (*SOURCES, "file_name", "subset", "split", "folder", "num_samples", "_revision")


@dataclass(frozen=True)
class Version:
    """One state of a dataset. ``source``: the entry's keys that say where its rows lie."""

    number: int
    source: dict[str, Any]
    note: str
    made_at: str
    current: bool = False

    def document(self) -> dict[str, Any]:
        """Return the version as scripts see it."""
        return {"version": self.number, "note": self.note, "made_at": self.made_at,
                "current": self.current, "source": self.source}


def versions(registry: Registry, name: str) -> list[Version]:
    """Return a dataset's versions, oldest first; one that was never changed has one."""
    return _versions(registry.values(name))


def _versions(values: Values) -> list[Version]:
    kept = values.get(KEY)
    records = [record for record in (kept if isinstance(kept, list) else [])
               if isinstance(record, dict) and isinstance(record.get("source"), dict)]
    if not records:
        records = [{"source": _source(values), "note": "as it was added", "made_at": ""}]
    return [Version(number, record["source"], str(record.get("note", "")),
                    str(record.get("made_at", "")), current=number == len(records))
            for number, record in enumerate(records, start=1)]


def _source(values: Values) -> dict[str, Any]:
    return {key: values[key] for key in _SOURCE_KEYS if key in values}


def entry_of_version(registry: Registry, name: str, number: int) -> DatasetEntry:
    """Return the entry of a kept version, with the mapping that the dataset has now.

    Raises:
        DatasetError: There is no such version (``unknown_version``).
    """
    values = registry.values(name)
    found = {version.number: version for version in _versions(values)}
    if number not in found:
        raise DatasetError("unknown_version", f"The dataset '{name}' has no version {number}.",
                           f"It has versions 1 to {len(found)}.")
    return DatasetEntry.model_validate({**_without_source(values), **found[number].source})


def _without_source(values: Values) -> Values:
    return {key: value for key, value in values.items() if key not in _SOURCE_KEYS}


def new_version(registry: Registry, name: str, path: Path, note: str) -> DatasetEntry:
    """Make a file the newest version of a dataset of the user's; the older ones stay.

    Args:
        registry: The registry.
        name: The dataset.
        path: The new rows; a file that lies elsewhere is copied into the registry's folder.
        note: What was done, for people.

    Raises:
        DatasetError: The dataset is unknown or one of the shared samples.
    """
    stored = _into(registry.user_dir, path)
    return _append(registry, name, {"file_name": stored.name}, note)


def restore(registry: Registry, name: str, number: int) -> DatasetEntry:
    """Make an old version the newest one again; nothing is lost by it.

    Raises:
        DatasetError: There is no such version, or the dataset is not the user's.
    """
    entry_of_version(registry, name, number)
    source = _versions(registry.values(name))[number - 1].source
    return _append(registry, name, source, f"version {number} again")


def _append(registry: Registry, name: str, source: dict[str, Any], note: str) -> DatasetEntry:
    with registry.changing() as all_values:
        values = registry.own_values(name, all_values)
        records = [{"source": version.source, "note": version.note, "made_at": version.made_at}
                   for version in _versions(values)]
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        records.append({"source": source, "note": note, "made_at": made_at})
        all_values[name] = {**source, **_without_source(values), KEY: records}
    return registry.entry(name)


def _into(folder: Path, path: Path) -> Path:
    """Return the file's place in the registry's folder; copied there under a name of ours."""
    if path.parent.resolve() == folder.resolve():
        return path
    stored = folder / f"{secrets.token_hex(8)}{''.join(path.suffixes[-2:])}"
    shutil.copyfile(path, stored)
    return stored


def remove(registry: Registry, name: str) -> list[Path]:
    """Take a dataset of the user's out of the registry and delete the files that are only its.

    Files outside the registry's folder were only named and stay; a copy of a hub's dataset goes
    with the last dataset that is made of it.

    Returns:
        What was deleted.

    Raises:
        DatasetError: It is unknown or one of the shared samples.
    """
    from trainer.data.catalog.hub_store import HubStore

    with registry.changing() as values:
        own = registry.own_values(name, values)
        del values[name]
        rest = [v for v in values.values() if isinstance(v, dict)]
    for wanted in _wanted([own]) - _wanted(rest):
        HubStore(registry.user_dir).remove(wanted)
    gone = sorted(_files(registry.user_dir, [own]) - _files(registry.user_dir, rest))
    for path in gone:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return gone


def _files(folder: Path, entries: Sequence[Values]) -> set[Path]:
    """Return the files and folders right inside the registry's folder that entries name."""
    named: Iterable[Any] = (version.source.get("file_name") for values in entries
                            for version in _versions(values))
    return {folder / name for name in named if isinstance(name, str)
            and name not in ("", ".", "..") and os.path.basename(name) == name
            and not name.startswith(".") and name != "dataset_info.json"}


def _wanted(entries: Sequence[Values]) -> set[Wanted]:
    """Return what entries and their versions ask of hubs; broken ones ask nothing."""
    from trainer.data.catalog.registry import parse_entry, wanted_of

    found: set[Wanted] = set()
    for values in entries:
        for version in _versions(values):
            with suppress(DatasetError):
                entry = parse_entry("", {**_without_source(values), **version.source}, Path())
                found |= {wanted} if (wanted := wanted_of("", entry)) else set()
    return found

"""Adding datasets: one file, one folder of shards, a hub dataset, or all of LLaMA-Factory's."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

from trainer.data.catalog.hub_names import HubId
from trainer.data.catalog.registry import (
    FILE_NAME,
    Fetching,
    Registry,
    check_name,
    parse_entry,
    read_registry,
    wanted_of,
)
from trainer.data.checking.check import shape_of
from trainer.data.reading.entry import DatasetEntry, fields_of_mapping
from trainer.data.reading.rows import DatasetError
from trainer.data.reading.sources import ENDINGS, DatasetSpec, locate
from trainer.data.shapes.mapping import shape_from_mapping

Allowed = Callable[[Path], bool]


def plain_name(file_name: str) -> str:
    """Return a dataset's name made of a file's: letters of any script and digits stay."""
    stem = file_name
    while Path(stem).suffix.lower() in ENDINGS:
        stem = Path(stem).stem
    letters = "".join(c if c.isalnum() or c in "._" else "-" for c in normalize("NFKC", stem))
    return re.sub(r"-{2,}", "-", letters).strip("-._")[:48].rstrip("-._") or "data"


def add_file(registry: Registry, path: Path, name: str, *, rename: bool = False,
             copy: bool = True, mapping: Mapping[str, str] | None = None) -> str:
    """Register a file or a folder of shards; return the name under which it is registered.

    Args:
        registry: Where to; it has to have a user's folder.
        path: The file or folder. It is never changed.
        name: The dataset's name.
        rename: Make a free, plain name of ``name`` instead of refusing one that is not.
        copy: Copy it into the registry's folder under a name of our choice; else only name it.
        mapping: What its columns mean; None lets the rows be looked at.

    Raises:
        DatasetError: It is empty, of no known format or shape, or the name is taken.
    """
    spec = locate(path, name=name)
    fields = mapped_fields(mapping)
    _require_shape(spec, fields)
    name = plain_name(name) if rename else name
    check_name(name)
    if not copy:
        return registry.add(name, _entry_of({"file_name": str(spec.path), **fields}), rename=rename)
    stored = registry.user_dir / f"{secrets.token_hex(8)}{_ending(spec.path)}"
    registry.user_dir.mkdir(parents=True, exist_ok=True)
    try:
        _copy(spec.path, stored)
        return registry.add(name, _entry_of({"file_name": stored.name, **fields}), rename=rename)
    except BaseException:
        _delete(stored)
        raise


def mapped_fields(mapping: Mapping[str, str] | None, kind: str | None = None) -> dict[str, Any]:
    """Return the fields of an entry for a mapping, for ``Registry.update_entry`` too.

    Raises:
        DatasetError: ``mapping``: it names a key that does not exist, or too little.
    """
    if not mapping:
        return {}
    shape = shape_from_mapping(mapping, kind)
    return fields_of_mapping(shape.mapping.document(), kind=shape.kind,
                             classes=shape.mapping.classes)


def _entry_of(values: Mapping[str, Any]) -> DatasetEntry:
    return DatasetEntry.model_validate({k: v for k, v in values.items() if v is not None})


def _require_shape(spec: DatasetSpec, fields: Mapping[str, Any]) -> None:
    """Refuse rows that nothing can be made of, before anything is stored."""
    shape = shape_of(replace(spec, entry=_entry_of({"file_name": spec.path.name, **fields})))
    if shape.kind == "unknown":
        raise DatasetError("unknown_shape", f"The rows of '{spec.path.name}' have no known shape: "
                           f"{shape.reason}.",
                           "Rename its columns, or say what they mean: --map prompt=question "
                           "--map response=answer.")


def _ending(path: Path) -> str:
    return "" if path.is_dir() else "".join(s for s in path.suffixes[-2:] if s.lower() in ENDINGS)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def add_hub(registry: Registry, found: HubId, name: str, *, part: Mapping[str, str | None],
            mapping: Mapping[str, str] | None = None, fetching: Fetching | None = None) -> str:
    """Fetch a hub dataset and register it; return the name under which it is registered.

    Args:
        registry: Where to.
        found: Which dataset.
        name: The dataset's name here; numbered when it is taken.
        part: ``subset``, ``split`` and ``folder``, as far as they are chosen.
        mapping: What its columns mean; None lets the rows be looked at.
        fetching: Who watches, and who may end it.

    Raises:
        DatasetError: It cannot be fetched, or its rows have no known shape.
    """
    key = "ms_hub_url" if found.hub == "ms" else "hf_hub_url"
    chosen = {k: v for k, v in part.items() if v}
    entry = _entry_of({key: found.repo, **chosen, **mapped_fields(mapping),
                       "_revision": found.revision})
    wanted = wanted_of(name, entry)
    assert wanted is not None, "the entry names a hub"
    watched = fetching or Fetching()
    path = registry.copy_of(wanted, Fetching(True, watched.progress, watched.cancel))
    _require_shape(locate(path, name=name), mapped_fields(mapping))
    return registry.add(plain_name(name), entry, rename=True)


def add_folder(registry: Registry, folder: Path, *,
               allowed: Allowed | None = None) -> list[tuple[str, str]]:
    """Register every dataset of a LLaMA-Factory ``data`` folder where it lies.

    Nothing is written there. A name that is taken becomes ``name-2``.

    Args:
        registry: Where to.
        folder: The folder that holds ``dataset_info.json``.
        allowed: Whether a file may be named (pages ask this); None allows all.

    Returns:
        (name here, '') of each dataset, or (name there, why it cannot be used).

    Raises:
        DatasetError: There is no ``dataset_info.json``, or it cannot be read.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise DatasetError("no_dataset_info", f"There is no '{FILE_NAME}' in '{folder}'.",
                           "Name the 'data' folder of LLaMA-Factory.")
    found = []
    for name, values in read_registry(path).items():
        if name.startswith("_"):
            continue
        try:
            entry = _entry_from(folder.resolve(), name, parse_entry(name, values, path), allowed)
            found.append((registry.add(_usable(name), entry, rename=True), ""))
        except DatasetError as error:
            found.append((name, str(error)))
    return found


def _usable(name: str) -> str:
    """Return a name as it may be here: LLaMA-Factory allows any."""
    try:
        check_name(name)
    except DatasetError:
        return plain_name(name)
    return name


def _entry_from(folder: Path, name: str, entry: DatasetEntry,
                allowed: Allowed | None) -> DatasetEntry:
    """Return an entry that can stand in another folder; DatasetError when it is of no use."""
    if wanted_of(name, entry) is not None:
        return entry
    path = Path(os.path.normpath(folder / str(entry.file_name)))
    if allowed is not None and not allowed(path.resolve()):
        raise DatasetError("path", f"'{path}' may not be named from a page.",
                           "Add it on the command line, or allow its folder with --data-root.")
    locate(path, name=name)
    return entry.model_copy(update={"file_name": str(path)})

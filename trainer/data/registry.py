"""The registry of datasets: LLaMA-Factory's ``dataset_info.json``, the shared one and the user's.

When an entry has a ``columns`` object, every column that it does not name is null; the same holds
for ``tags``. Relative file names are relative to the registry's own folder.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from trainer.contract.files import write_json
from trainer.contract.places import share
from trainer.data.entry import DatasetEntry
from trainer.data.rows import DatasetError, listed
from trainer.data.sources import DatasetSpec, locate

FILE_NAME = "dataset_info.json"


@dataclass(frozen=True)
class _Listed:
    """An entry as read, and the folder of the registry that it came from."""

    folder: Path
    origin: Literal["shared", "user"]
    values: object


def load(user_dir: Path | None) -> Registry:
    """Read the shared registry and the user's.

    Args:
        user_dir: ``<home>/data``; None for the shared one alone. It need not exist yet.

    Raises:
        DatasetError: A registry file is not a JSON object (code ``registry_broken``).
    """
    return Registry(share() / "data", user_dir)


class Registry:
    """Datasets by name; an entry of the user's hides a shared one of the same name."""

    def __init__(self, shared_dir: Path, user_dir: Path | None) -> None:
        self._shared_dir, self._user_dir = shared_dir, user_dir
        self._entries: dict[str, _Listed] = {}
        self._reload()

    def _reload(self) -> None:
        folders: list[tuple[Path, Literal["shared", "user"]]] = [(self._shared_dir, "shared")]
        if self._user_dir is not None:
            folders.append((self._user_dir, "user"))
        self._entries = {name: _Listed(folder, origin, values) for folder, origin in folders
                         for name, values in _read(folder / FILE_NAME).items()}

    def names(self) -> list[str]:
        """Return every name, in the order of the files, shared ones first."""
        return list(self._entries)

    def entry(self, name: str) -> DatasetEntry:
        """Return one entry; DatasetError when it is unknown or malformed."""
        if name not in self._entries:
            raise self._unknown(name)
        found = self._entries[name]
        try:
            return DatasetEntry.model_validate(found.values)
        except ValidationError as error:
            raise _malformed(name, found.folder / FILE_NAME, error) from None

    def resolve(self, name_or_path: str) -> DatasetSpec:
        """Find the file that a name or a path stands for.

        Args:
            name_or_path: A registry name, or a path (``~`` and relative paths are allowed).

        Raises:
            DatasetError: Unknown name, missing or empty file, or a source or format that cannot
                be read.
        """
        if name_or_path not in self._entries:
            return self._resolve_path(name_or_path)
        found, entry = self._entries[name_or_path], self.entry(name_or_path)
        if entry.file_name is None:
            raise _other_source(name_or_path, entry)
        return locate(found.folder / entry.file_name, name=name_or_path, origin=found.origin,
                      entry=entry)

    def _resolve_path(self, text: str) -> DatasetSpec:
        if "://" in text:
            raise DatasetError("unsupported_source",
                               f"'{text}' is an address; addresses are not supported yet.",
                               "Download it and name the file.")
        path = Path(os.path.expanduser(text))
        if not text.strip() or not os.path.lexists(path):
            raise self._unknown(text)
        return locate(path, name=path.name)

    def _unknown(self, text: str) -> DatasetError:
        looks_like_path = text.startswith((".", "/", "~")) or "." in Path(text).name
        if looks_like_path:
            return DatasetError("missing_file", f"There is no file '{text}'.",
                                "Check the path, or name a dataset of the registry: "
                                f"{listed(self.names())}.")
        close = get_close_matches(text, self.names(), n=3, cutoff=0.5)
        hint = f"Did you mean {listed(close)}? " if close else ""
        hub = " Hub datasets are not supported yet: download it and name the file." \
            if text.count("/") == 1 else ""
        return DatasetError("unknown_dataset", f"There is no dataset '{text}'.",
                            f"{hint}Known names: {listed(self.names(), 40)}.{hub}")

    def add(self, name: str, entry: DatasetEntry) -> None:
        """Write an entry into the user's registry, atomically.

        Raises:
            DatasetError: The name is taken or not usable, or there is no user registry.
        """
        if self._user_dir is None:
            raise DatasetError("registry_read_only", "There is no folder for added datasets.",
                               "Open the registry with a home folder.")
        _check_name(name)
        self._user_dir.mkdir(parents=True, exist_ok=True)
        with _locked(self._user_dir):
            self._reload()
            if name in self._entries:
                raise DatasetError("name_taken", f"There is already a dataset '{name}'.",
                                   "Choose another name.")
            path = self._user_dir / FILE_NAME
            values = _read(path)
            values[name] = entry.model_dump(exclude_defaults=True, exclude_unset=True)
            write_json(path, values)
            self._reload()


def _read(path: Path) -> dict[str, object]:
    """Read a registry file; {} when there is none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError, RecursionError) as error:
        raise DatasetError("registry_broken", f"The registry {path} cannot be read: {error}.",
                           "Correct it, or move it away.") from None
    if not isinstance(values, dict):
        raise DatasetError("registry_broken", f"The registry {path} is not a JSON object.",
                           "It maps names to entries: {\"name\": {\"file_name\": ...}}.")
    return values


def _malformed(name: str, path: Path, error: ValidationError) -> DatasetError:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    return DatasetError("registry_entry", f"The entry '{name}' of {path} is not valid: "
                        f"{where or 'the entry'}: {text}.",
                        "Correct the entry; its format is LLaMA-Factory's dataset_info.json.")


def _other_source(name: str, entry: DatasetEntry) -> DatasetError:
    kind, value = entry.other_source()
    if not kind:
        return DatasetError("registry_entry", f"The entry '{name}' has no 'file_name'.",
                            "Add the name of its file.")
    return DatasetError("unsupported_source",
                        f"The dataset '{name}' comes from {kind} '{value}', which is not "
                        "supported yet.", "Download it and name the file.")


def _check_name(name: str) -> None:
    fine = (0 < len(name) <= 64 and not name.startswith(".") and name == name.strip()
            and all(c.isalnum() or c in "._- " for c in name))
    if not fine:
        raise DatasetError("dataset_name", f"'{name}' cannot be the name of a dataset.",
                           "Use up to 64 letters, digits, '.', '_', '-' and spaces.")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock so that two writers do not lose each other's entries."""
    with open(folder / f".{FILE_NAME}.lock", "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

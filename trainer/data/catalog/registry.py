"""The registry of datasets: LLaMA-Factory's ``dataset_info.json``, the shared one and the user's.

When an entry has a ``columns`` object, every column that it does not name is null; the same holds
for ``tags``. Relative file names are relative to the registry's own folder. Keys that begin with
``_`` are ours or remarks of people; they are kept when an entry is changed.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from trainer.contract.config import DatasetUse
from trainer.contract.files import locked, write_json
from trainer.contract.places import share
from trainer.data.catalog import hub
from trainer.data.catalog.hub_names import entry_hub_id, parse_hub_id
from trainer.data.catalog.hub_store import Wanted
from trainer.data.reading.entry import DatasetEntry
from trainer.data.reading.rows import DatasetError, listed
from trainer.data.reading.sources import DatasetSpec, format_of, locate

FILE_NAME = "dataset_info.json"
Values = dict[str, Any]


@dataclass(frozen=True)
class _Listed:
    """An entry as read, and the folder of the registry that it came from."""

    folder: Path
    origin: Literal["shared", "user"]
    values: object


@dataclass(frozen=True)
class Fetching:
    """Whether a hub dataset that is not here may be fetched, who watches, and who may end it.

    ``progress`` is told (bytes done, bytes in all; 0 when unknown).
    """

    allowed: bool = False
    progress: Callable[[int, int], None] | None = None
    cancel: threading.Event | None = None


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
        """Read both folders' registries."""
        self._shared_dir, self._user_dir = shared_dir, user_dir
        self._entries: dict[str, _Listed] = {}
        self.reload()

    def reload(self) -> None:
        """Read the files again."""
        folders: list[tuple[Path, Literal["shared", "user"]]] = [(self._shared_dir, "shared")]
        if self._user_dir is not None:
            folders.append((self._user_dir, "user"))
        self._entries = {name: _Listed(folder, origin, values) for folder, origin in folders
                         for name, values in read_registry(folder / FILE_NAME).items()}

    @property
    def user_dir(self) -> Path:
        """The folder of added datasets; DatasetError when the registry was opened without one."""
        if self._user_dir is None:
            raise DatasetError("registry_read_only", "There is no folder for added datasets.",
                               "Open the registry with a home folder.")
        return self._user_dir

    def names(self) -> list[str]:
        """Return every name, in the order of the files, shared ones first."""
        return list(self._entries)

    def origin(self, name: str) -> Literal["shared", "user"]:
        """Return whether an entry is the user's; DatasetError when it is unknown."""
        return self._listed(name).origin

    def values(self, name: str) -> Values:
        """Return an entry as its file has it, with our own keys."""
        values = self._listed(name).values
        return dict(values) if isinstance(values, dict) else {}

    def entry(self, name: str) -> DatasetEntry:
        """Return one entry; DatasetError when it is unknown or malformed."""
        found = self._listed(name)
        return parse_entry(name, found.values, found.folder / FILE_NAME)

    def _listed(self, name: str) -> _Listed:
        if name not in self._entries:
            raise self._unknown(name)
        return self._entries[name]

    def resolve(self, name_or_path: str, *, fetch: bool | Fetching = False) -> DatasetSpec:
        """Find the file that a name, a path or a hub id stands for.

        Args:
            name_or_path: A registry name, also of a kept version (``name@2``); a path (``~`` and
                relative ones are allowed); or a hub id (``owner/name``, ``owner/name@revision``,
                ``ms:owner/name``).
            fetch: Whether a hub dataset that is not on this machine is fetched.

        Raises:
            DatasetError: Unknown name, missing or empty file, a source or format that cannot be
                read, or a hub dataset that is not here (``hub_not_here``).
        """
        if not name_or_path.strip():
            raise self._unknown(name_or_path)
        return self.resolve_use(DatasetUse(name=name_or_path), fetch=fetch)

    def resolve_use(self, use: DatasetUse, *, fetch: bool | Fetching = False) -> DatasetSpec:
        """Find what one dataset of a mixture stands for; ``resolve`` says the rest.

        ``subset``, ``split`` and ``revision`` of the use come before what the registry says.
        """
        fetching = fetch if isinstance(fetch, Fetching) else Fetching(fetch)
        plain, _, version = use.name.rpartition("@")
        if use.name in self._entries:
            return self._resolve_entry(use.name, self.entry(use.name), use, fetching)
        if plain in self._entries and version.isdecimal():
            entry = self._version(plain, int(version))
            return self._resolve_entry(plain, entry, use, fetching)
        if not _is_path(use.name) and (found := parse_hub_id(use.name)):
            wanted = _with_use(Wanted(found), use)
            return locate(self.copy_of(wanted, fetching), name=use.name)
        _refuse_hub_fields(use)
        return self._resolve_path(use.name)

    def _version(self, name: str, number: int) -> DatasetEntry:
        from trainer.data.catalog.versions import entry_of_version

        return entry_of_version(self, name, number)

    def _resolve_entry(self, name: str, entry: DatasetEntry, use: DatasetUse,
                       fetching: Fetching) -> DatasetSpec:
        found = self._entries[name]
        if wanted := wanted_of(name, entry):
            path = self.copy_of(_with_use(wanted, use), fetching)
        else:
            _refuse_hub_fields(use)
            assert entry.file_name is not None, "an entry names a hub or a file"
            path = found.folder / entry.file_name
        return locate(path, name=name, origin=found.origin, entry=entry)

    def copy_of(self, wanted: Wanted, fetching: Fetching) -> Path:
        """Return where a hub dataset lies; DatasetError when it is not here and cannot come."""
        if self._user_dir is not None:
            if fetching.allowed:
                return hub.fetch(wanted, self._user_dir, progress=fetching.progress,
                                 cancel=fetching.cancel)
            if copy := hub.find(wanted, self._user_dir):
                return copy.path
        raise hub.not_here(wanted)

    def _resolve_path(self, text: str) -> DatasetSpec:
        if "://" in text:
            raise DatasetError("unsupported_source",
                               f"'{text}' is an address; files are not fetched from addresses.",
                               "Download it and name the file, or name a dataset on a hub as "
                               "owner/name.")
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
        return DatasetError("unknown_dataset", f"There is no dataset '{text}'.",
                            f"{hint}Known names: {listed(self.names(), 40)}.")

    def add(self, name: str, entry: DatasetEntry, *, rename: bool = False) -> str:
        """Write an entry into the user's registry, atomically; return the name it has there.

        Args:
            name: The new name.
            entry: What to write.
            rename: Take ``name-2``, ``name-3``... when the name is taken.

        Raises:
            DatasetError: The name is taken or not usable, or there is no user registry.
        """
        check_name(name)
        with self.changing() as values:
            taken = {*self._entries, *values}
            if name in taken and not rename:
                raise DatasetError("name_taken", f"There is already a dataset '{name}'.",
                                   "Choose another name.")
            name = free_name(name, taken)
            values[name] = entry.document()
        return name

    def update_entry(self, name: str, **fields: Any) -> DatasetEntry:
        """Change some fields of an entry of the user's: columns, tags, formatting, ranking...

        A field that is None is taken out; a changed one replaces the old one whole.

        Raises:
            DatasetError: It is unknown or one of the shared samples, or the entry would not be
                valid.
        """
        with self.changing() as values:
            old = self.own_values(name, values)
            new = {k: v for k, v in {**old, **fields}.items() if v is not None}
            entry = parse_entry(name, new, self.user_dir / FILE_NAME)
            values[name] = {**{k: v for k, v in new.items() if k.startswith("_")},
                            **entry.document()}
        return entry

    def own_values(self, name: str, values: Values) -> Values:
        """Return an entry of the user's registry as it is written there.

        Raises:
            DatasetError: There is none; a shared sample is not changed.
        """
        if name in values and isinstance(values[name], dict):
            return dict(values[name])
        if name in self._entries:
            raise DatasetError("shared_dataset", f"'{name}' comes with Finestra and stays as it "
                               "is.", "Add a copy under another name and change that.")
        raise self._unknown(name)

    @contextmanager
    def changing(self) -> Iterator[Values]:
        """Hold the lock, give the user's entries to be changed, write them, read them again."""
        folder = self.user_dir
        folder.mkdir(parents=True, exist_ok=True)
        # Two writers must not lose each other's entries.
        with locked(folder / f".{FILE_NAME}.lock"):
            self.reload()
            values = read_registry(folder / FILE_NAME)
            yield values
            write_json(folder / FILE_NAME, values)
            self.reload()


def parse_entry(name: str, values: object, path: Path) -> DatasetEntry:
    """Read an entry of a registry file.

    Raises:
        DatasetError: It is not valid (``registry_entry``); the key is named.
    """
    try:
        return DatasetEntry.model_validate(values)
    except ValidationError as error:
        raise _malformed(name, path, error) from None


def wanted_of(name: str, entry: DatasetEntry) -> Wanted | None:
    """Return what an entry asks of a hub, or None when it names a file.

    Raises:
        DatasetError: Its source is one that is not read, or there is none.
    """
    kind, value = entry.other_source()
    if kind == "hf_hub_url" and entry.ms_hub_url and _prefers_modelscope():
        kind, value = "ms_hub_url", entry.ms_hub_url
    if kind in ("hf_hub_url", "ms_hub_url"):
        found = entry_hub_id("ms" if kind.startswith("ms") else "hf", value, entry.revision)
        split = entry.split if "split" in entry.model_fields_set else None
        return Wanted(found, entry.subset, split, entry.folder)
    if kind:
        raise _other_source(name, kind, value)
    if entry.file_name is None:
        raise DatasetError("registry_entry", f"The entry '{name}' has no 'file_name'.",
                           "Add the name of its file.")
    return None


def _prefers_modelscope() -> bool:
    return os.environ.get("USE_MODELSCOPE_HUB", "0").lower() in ("1", "true")


def _with_use(wanted: Wanted, use: DatasetUse) -> Wanted:
    revision = use.revision or wanted.id.revision
    if revision != wanted.id.revision:
        wanted = Wanted(entry_hub_id(wanted.id.hub, wanted.id.repo, revision), wanted.subset,
                        wanted.split, wanted.folder)
    return Wanted(wanted.id, use.subset or wanted.subset, use.split or wanted.split,
                  wanted.folder)


def _refuse_hub_fields(use: DatasetUse) -> None:
    named = [key for key in ("subset", "split", "revision") if getattr(use, key)]
    if named:
        raise DatasetError("not_on_a_hub", f"'{use.name}' is a file and has no {named[0]}.",
                           f"Leave out {listed(named)}.")


def _is_path(text: str) -> bool:
    """Tell whether a text names a file that is here, or could only mean one."""
    if not text.strip() or "\0" in text:
        return True
    try:
        format_of(Path(text))
    except DatasetError:
        return os.path.lexists(os.path.expanduser(text))
    return True


def free_name(name: str, taken: set[str]) -> str:
    """Return the name, or the first of ``name-2``, ``name-3``... that is free."""
    number, found = 1, name
    while found in taken:
        number += 1
        tail = f"-{number}"
        found = f"{name[:64 - len(tail)]}{tail}"
    return found


def read_registry(path: Path) -> Values:
    """Read a registry file; {} when there is none, DatasetError when it is broken."""
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


def _other_source(name: str, kind: str, value: str) -> DatasetError:
    why = {"script_url": "a program of others, which is never run",
           "om_hub_url": "a dataset on Modelers", "cloud_file_name": "a file in a cloud's storage"}
    return DatasetError("unsupported_source", f"The dataset '{name}' comes from {kind} '{value}': "
                        f"{why[kind]}; that is not read.", "Download it and name the file.")


def check_name(name: str) -> None:
    """Refuse what cannot be the name of an added dataset (``dataset_name``)."""
    fine = (0 < len(name) <= 64 and not name.startswith(".") and name == name.strip()
            and all(c.isalnum() or c in "._- " for c in name))
    if not fine:
        raise DatasetError("dataset_name", f"'{name}' cannot be the name of a dataset.",
                           "Use up to 64 letters, digits, '.', '_', '-' and spaces.")

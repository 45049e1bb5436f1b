"""What changes datasets: adding, mapping, fixing, splitting, restoring, deleting; all audited."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.datajobs import Job
from app.sources import copy_name
from trainer.data import DatasetError
from trainer.data.catalog import adding
from trainer.data.catalog import versions as kept
from trainer.data.catalog.fixups import FixReport, entry_for, keep_rows
from trainer.data.catalog.hub_names import parse_hub_id
from trainer.data.checking.check import convert_rows
from trainer.data.reading.entry import DatasetEntry
from trainer.data.reading.rows import RowProblem
from trainer.data.reading.sources import DatasetSpec, locate, outside
from trainer.data.shapes.mapping import shape_from_mapping
from trainer.data.shapes.messages import Example

if TYPE_CHECKING:
    from app.datasets import DataService

EFFECT_ROWS = 3
_MAPPED = ("columns", "tags", "formatting", "ranking", "_kind", "_classes")
Audited = Callable[[str, str, str], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Fixes:
    """What is left out of the next version of a dataset; see ``trainer.data.catalog.fixups``."""

    drop_bad: bool = True
    deduplicate: str = "none"
    near_threshold: float = 0.85
    filters: Mapping[str, Any] = field(default_factory=dict)

    def params(self) -> dict[str, Any]:
        """Return what a data worker is told."""
        return {"drop_bad": self.drop_bad, "deduplicate": self.deduplicate,
                "near_threshold": self.near_threshold, "filters": dict(self.filters)}


class DataChanges:
    """Changes the datasets of a home; each leaves one line in the audit log, also when it fails."""

    def __init__(self, service: DataService, audited: Audited) -> None:
        """Change what ``service`` shows.

        Args:
            service: The datasets.
            audited: Makes the context that leaves the line: (action, dataset, who).
        """
        self._service, self._audited = service, audited
        self._home = service.home

    # Adding

    def add_file(self, path: Path, name: str, *, who: str = "local", rename: bool = False,
                 any_shape: bool = False) -> str:
        """Copy a file into the home and register it under a file name of our choice.

        Args:
            path: The file.
            name: The dataset's name.
            who: Who asks.
            rename: Make a free, plain name of ``name`` instead of refusing one that is not.
            any_shape: Also take rows whose columns have to be named first.

        Raises:
            DatasetError: It is empty, of no known format or shape, or the name is taken.
        """
        with self._audited("add_dataset", name, who):
            try:
                return adding.add_file(self._service.registry(), path, name, rename=rename)
            except DatasetError as error:
                if error.code != "unknown_shape" or not any_shape:
                    raise
            return self._store(locate(path, name=name), name, rename)

    def _store(self, spec: DatasetSpec, name: str, rename: bool) -> str:
        """Copy a file into the home and register it, whatever its rows look like."""
        stored = self._home.data / copy_name(spec)
        try:
            shutil.copyfile(spec.path, stored)
            return self._service.registry().add(
                adding.plain_name(name) if rename else name,
                DatasetEntry(file_name=stored.name), rename=rename)
        except BaseException:
            stored.unlink(missing_ok=True)
            raise

    def add_path(self, path: str, name: str = "", *, who: str = "local") -> str:
        """Register a file or a folder where it lies; it is not copied and never changed.

        Raises:
            DatasetError: It lies outside the roots, cannot be read, or the name is taken.
        """
        with self._audited("add_dataset", name or path, who):
            if not self._service.allowed(path):
                raise _outside(path)
            place = Path(os.path.expanduser(path)).resolve()
            spec = locate(place, name=name or place.name)
            if outside(spec, self._service.roots) is not None:
                raise _outside(path)
            return self._service.registry().add(
                name or adding.plain_name(place.name), DatasetEntry(file_name=str(place)),
                rename=not name)

    def add_hub(self, source: str, name: str = "", *, subset: str = "", split: str = "",
                revision: str = "", who: str = "local") -> str:
        """Register a dataset of a hub and begin to fetch it.

        Raises:
            DatasetError: It is no hub id, or the name is taken.
        """
        with self._audited("add_dataset", name or source, who):
            found = parse_hub_id(source)
            if found is None:
                raise DatasetError("hub_id", f"'{source[:120]}' is not the name of a dataset on a "
                                   "hub.", "Such names are owner/name, or owner/name@revision.")
            key = "ms_hub_url" if found.hub == "ms" else "hf_hub_url"
            given = {key: found.repo, "subset": subset or None, "split": split or None,
                     "revision": revision or found.revision}
            entry = DatasetEntry(**{k: v for k, v in given.items() if v})
            chosen = self._service.registry().add(
                name or adding.plain_name(found.repo.rpartition("/")[2]), entry, rename=not name)
        self._service.fetch(chosen)
        return chosen

    def add_folder(self, folder: str, *, who: str = "local") -> list[tuple[str, str]]:
        """Register every dataset of a LLaMA-Factory ``data`` folder.

        Returns:
            (name, '' or why it could not be added) of each.

        Raises:
            DatasetError: It lies outside the roots, or has no ``dataset_info.json``.
        """
        with self._audited("add_dataset_folder", folder, who):
            if not self._service.allowed(folder):
                raise _outside(folder)
            return adding.add_folder(
                self._service.registry(), Path(os.path.expanduser(folder)).resolve(),
                allowed=lambda path: self._service.allowed(str(path)))

    # Mapping

    def effect(self, name: str, mapping: Mapping[str, str]) -> list[Example | RowProblem]:
        """Return the first rows as a mapping would have them; nothing is saved.

        Raises:
            DatasetError: The mapping names what does not exist, or the file cannot be read.
        """
        shape = shape_from_mapping(mapping)
        return list(convert_rows(self._service.spec(name), shape, max_samples=EFFECT_ROWS))

    def map(self, name: str, mapping: Mapping[str, str] | None, *, who: str = "local") -> str:
        """Save what the columns mean; None lets the rows be recognised again.

        A shared sample stays as it is: a copy of it is added and mapped.

        Returns:
            The name of the dataset that has the mapping.

        Raises:
            DatasetError: The mapping cannot be read.
        """
        with self._audited("map_dataset", name, who):
            fields = dict.fromkeys(_MAPPED) | adding.mapped_fields(mapping)
            chosen = self._own(name)
            self._service.registry().update_entry(chosen, **fields)
            return chosen

    def _own(self, name: str) -> str:
        """Return a dataset of the user's: itself, or a copy of a shared one."""
        known = self._service.registry()
        if known.origin(name) == "user":
            return name
        spec = self._service.spec(name)
        stored = self._home.data / copy_name(spec)
        shutil.copyfile(spec.path, stored)
        try:
            entry = (spec.entry or DatasetEntry()).model_copy(update={"file_name": stored.name})
            return known.add(name, entry, rename=True)
        except BaseException:
            stored.unlink(missing_ok=True)
            raise

    # New versions

    def fix(self, name: str, fixes: Fixes, *, who: str = "local") -> Job:
        """Begin to write a new version without what ``fixes`` says; the old one is kept.

        Of a shared sample a new dataset is made; the work's result has its name.
        """
        with self._audited("fix_dataset", name, who):
            spec = self._service.spec(name)
            return self._service.jobs.start("fix", name, {
                "home": str(self._home.root), "source": name, "folder": str(self._home.data),
                **fixes.params()}, then=lambda told: self._fixed(spec, told))

    def _fixed(self, spec: DatasetSpec, told: dict[str, Any]) -> dict[str, Any]:
        """Register what a fix has written, unless nothing was left out."""
        path, dropped = Path(told["path"]), told.get("dropped") or {}
        if not dropped:
            path.unlink(missing_ok=True)
            return {**told, "name": spec.name}
        report = FixReport(path, told["rows_in"], told["rows_out"], Counter(dropped))
        return {**told, "name": self._keep(spec, path, report.note())}

    def _keep(self, spec: DatasetSpec, path: Path, note: str) -> str:
        """Register new rows of a dataset; the file goes when that fails."""
        try:
            return keep_rows(self._service.registry(), spec, path, note)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def split(self, name: str, size: float, seed: int = 42, *, who: str = "local") -> Job:
        """Begin to split a dataset: it keeps the larger part, ``NAME-eval`` gets the other.

        Args:
            name: The dataset.
            size: Rows for the evaluation set, or a share below 1.
            seed: What decides which rows those are.
            who: Who asks.
        """
        with self._audited("split_dataset", name, who):
            spec = self._service.spec(name)
            return self._service.jobs.start("split", name, {
                "home": str(self._home.root), "source": name, "size": size, "seed": seed,
                "folder": str(self._home.data)}, then=lambda told: self._parted(spec, told))

    def _parted(self, spec: DatasetSpec, told: dict[str, Any]) -> dict[str, Any]:
        """Register both parts of a split."""
        held = Path(told["eval_path"])
        try:
            other = self._service.registry().add(
                f"{adding.plain_name(spec.name)[:59]}-eval", entry_for(spec, held), rename=True)
        except BaseException:
            held.unlink(missing_ok=True)
            raise
        note = f"without the {told['eval_rows']:,} rows of {other}"
        return {**told, "eval": other, "train": self._keep(spec, Path(told["train_path"]), note)}

    def cancel(self, job: Job, *, who: str = "local") -> Job:
        """End a piece of work."""
        with self._audited("cancel_data_work", job.name, who):
            return self._service.jobs.cancel(job.id)

    def versions(self, name: str) -> list[kept.Version]:
        """Return the versions of a dataset, oldest first; the last one is in use."""
        return kept.versions(self._service.registry(), name)

    def restore(self, name: str, number: int, *, who: str = "local") -> None:
        """Make an older version the newest one again."""
        with self._audited("restore_dataset", name, who):
            kept.restore(self._service.registry(), name, number)

    def delete(self, name: str, *, who: str = "local") -> None:
        """Take a dataset away with its versions; files outside the home stay.

        Raises:
            DatasetError: It is unknown or comes with Finestra, or a run that has not ended uses it.
        """
        with self._audited("delete_dataset", name, who):
            if busy := self._service.active_users(name):
                raise DatasetError("dataset_in_use", f"'{name}' is used by {', '.join(busy)}, "
                                   "which has not ended.", "Stop it, or wait until it has ended.")
            for job in self._service.jobs.of(name):
                if job.active:
                    self._service.jobs.cancel(job.id)
            kept.remove(self._service.registry(), name)
            self._service.jobs.forget(name)


def _outside(path: str) -> DatasetError:
    return DatasetError("path_outside_roots", f"'{path[:200]}' lies outside the folders that "
                        "pages may use.",
                        "Add the file on the page, or start the server with --data-root.")

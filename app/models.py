"""ModelLibrary: what pages, REST and command line know of models, and the work on them.

Bases and results on this machine, a catalogue of well-known ones, what each needs to be trained
here, downloads in the background, and deleting with a word on what depends on it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.datajobs import DataJobs, Job
from app.devices import Device
from app.home import Home
from app.models_delete import Losses, delete_files, engine_labels, loaded_names, losses
from app.models_fetch import fetch, is_folder
from app.models_needs import Need, Needs, Room, needs_of_catalogue, room_of
from app.models_remote import parse_model
from app.models_shelf import OnDisk, Shelf
from app.models_stream import Meter
from app.runs import Run, RunError
from trainer.contract.catalogue import CatalogueModel, load_catalogue
from trainer.contract.models import ModelError

FETCH = "fetch_model"


@dataclass(frozen=True)
class Filter:
    """Which models are wanted; '' takes all.

    Attributes:
        search: Words that the name, family or licence holds, all of them.
        family: A model type of Transformers.
        fits: A method that must fit this machine: lora, qlora or full.
        licence: As the catalogue writes it.
        access: 'open' or 'gated'.
        kind: base, instruct, reasoning or vision.
    """

    search: str = ""
    family: str = ""
    fits: str = ""
    licence: str = ""
    access: str = ""
    kind: str = ""

    def takes(self, text: str, family: str, licence: str, needs: Sequence[Need]) -> bool:
        """Tell whether what both lists have in common is wanted."""
        words = self.search.casefold().split()
        held = f"{text} {family} {licence}".casefold()
        return (all(word in held for word in words) and self.family in ("", family)
                and self.licence in ("", licence)
                and (not self.fits or any(n.fits for n in needs if n.method == self.fits)))


@dataclass(frozen=True)
class Offer:
    """One model of the catalogue as it stands here."""

    model: CatalogueModel
    needs: tuple[Need, ...]
    here: bool

    def document(self) -> dict[str, Any]:
        """Return it as REST and ``--json`` show it."""
        found = self.model.model_dump()
        return {**found, "modelscope": self.model.modelscope_id,
                "parameters": self.model.parameters, "here": self.here,
                "obstacle": self.model.obstacle,
                "memory": [need.document() for need in self.needs]}


@dataclass(frozen=True)
class Kept:
    """One model on this machine, with what training it needs."""

    model: OnDisk
    needs: tuple[Need, ...]

    def document(self) -> dict[str, Any]:
        """Return it as REST and ``--json`` show it."""
        return {**self.model.document(), "memory": [need.document() for need in self.needs]}


class Fetcher:
    """Does a download in its job's own thread: what it does is wait for a network."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def call(self, op: str, params: dict[str, Any], *, timeout_s: float = 0,
             progress: Callable[[dict[str, Any]], None] | None = None,
             cancel: threading.Event | None = None) -> dict[str, Any]:
        """Bring a model here; ModelError and OSError say why that failed."""
        def tell(done: int, total: int) -> None:
            if progress is not None:
                progress({"done": done, "total": total})

        meter = Meter(tell, cancel or threading.Event())
        token = self._home.read_secrets().get("HF_TOKEN", "")
        return {"name": fetch(params["source"], self._home.models, meter, token=token)}

    def close(self) -> None:
        """Nothing is left open."""


class ModelLibrary:
    """The models of a home; thread-safe.

    ``engines`` returns further names that are loaded, besides those of the engines' leases: a
    lease names the base and not its adapters. The server sets it.
    """

    def __init__(self, home: Home, runs: Callable[[], list[Run]],
                 devices: Callable[[], Sequence[Device]], *,
                 allowed: Callable[[str], bool], delete_run: Callable[[str, str], None]) -> None:
        """Nothing is read yet.

        Args:
            home: Where models lie.
            runs: Returns all runs.
            devices: Returns the devices of this machine.
            allowed: Tells whether pages may name a path (rule R5).
            delete_run: Deletes a run with its results: (id, who).
        """
        self._home, self._runs, self._devices = home, runs, devices
        self._allowed, self._delete_run = allowed, delete_run
        self._shelf, self._needs, self._lock = Shelf(home), Needs(), threading.Lock()
        self.jobs = DataJobs(lambda op: Fetcher(home))
        self.engines: Callable[[], Collection[str]] = lambda: ()
        self._deleted = 0

    def close(self) -> None:
        """End all downloads; what came in is kept."""
        self.jobs.close()

    def mark(self) -> tuple[int, int]:
        """Return what is another after a model was deleted here, or came to the studio's folder.

        Results of runs do not count: they change with their runs.
        """
        try:
            changed_ns = self._home.models.stat().st_mtime_ns
        except OSError:
            changed_ns = 0
        return self._deleted, changed_ns

    # What there is

    def room(self) -> Room:
        """Return the device that models are held against."""
        return room_of(self._devices())

    def all(self) -> list[OnDisk]:
        """Return the models on this machine, bases first."""
        with self._lock:
            return self._shelf.list(self._runs())

    def here(self, wanted: Filter | None = None) -> list[Kept]:
        """Return the models on this machine that a filter takes, whatever its access and kind."""
        wanted, room = wanted or Filter(), self.room()
        kept = [Kept(one, self._needs.of(str(one.path), one.facts, room)) for one in self.all()]
        return [one for one in kept if wanted.takes(
            f"{one.model.name} {one.model.label} {one.model.base}", one.model.facts.family,
            one.model.licence, one.needs)]

    def one(self, name: str) -> Kept:
        """Return one model; ModelError 'unknown_model' when there is none of that name."""
        found = _named(name, self.all())
        return Kept(found, self._needs.of(str(found.path), found.facts, self.room()))

    def catalogue(self, wanted: Filter | None = None) -> list[Offer]:
        """Return the well-known bases that a filter takes, the newest first."""
        wanted, room = wanted or Filter(), self.room()
        there = {one.name.casefold() for one in self.all() if one.facts.problem is None}
        offers = [Offer(model, needs_of_catalogue(model, room), model.id.casefold() in there)
                  for model in sorted(load_catalogue(), key=lambda one: -one.released)]
        return [offer for offer in offers if wanted.takes(
            offer.model.id, offer.model.family, offer.model.licence or "", offer.needs)
            and wanted.kind in ("", offer.model.kind) and _accessible(offer.model, wanted.access)]

    # Downloading

    def download(self, source: str, *, who: str = "local", web: bool = False) -> Job:
        """Begin to bring a model here, or return the download that is at it.

        Args:
            source: A hub id, ``ms:`` before those of ModelScope, a model's page, or a folder.
            who: Who asks.
            web: Pages and REST name only folders under the roots.

        Raises:
            ModelError: It is no name of a model, or a folder that may not be named.
        """
        source = source.strip()
        with self._home.audited("download_model", source, who):
            name = self._source_name(source, web)
            return self.jobs.start(FETCH, name, {"source": name})

    def _source_name(self, source: str, web: bool) -> str:
        if not is_folder(source):
            return str(parse_model(source))
        if web and not self._allowed(source):
            raise ModelError("model_outside_roots", f"'{source[:200]}' lies outside the folders "
                             "that pages may use.", "Use the command line, or start the server "
                             "with --data-root.")
        return os.path.abspath(os.path.expanduser(source))

    def cancel(self, identity: str, *, who: str = "local") -> Job:
        """End a download; what came in is kept."""
        job = self.jobs.get(identity)
        with self._home.audited("cancel_download", job.name, who):
            return self.jobs.cancel(identity)

    # Deleting

    def losses(self, name: str) -> Losses:
        """Say what deleting a model would cost, and whether it may be.

        Raises:
            ModelError: There is none of that name ('unknown_model').
        """
        shelf = self.all()
        one = _named(name, shelf)
        engines = {*engine_labels(self._home), *self.engines()}
        loaded = loaded_names(engines, self._runs(), self._shelf.uses)
        found = losses(one, shelf, loaded)
        if found.forbidden is None and any(job.active and job.name.partition("@")[0] == one.name
                                           for job in self.jobs.of()):
            return replace(found, forbidden=(
                "model_downloading", f"'{one.label}' is being downloaded.", "Cancel that first."))
        return found

    def delete(self, name: str, *, who: str = "local") -> Losses:
        """Delete a model; of a run's result the run with it.

        Returns:
            What was lost.

        Raises:
            ModelError: There is none ('unknown_model'), or it does not lie in the studio's folders.
            RunError: A run, an engine or a download has it in use.
        """
        with self._home.audited("delete_model", name, who):
            found = self.losses(name)
            one = _named(name, self.all())
            if found.forbidden is not None:
                kind = ModelError if one.origin in ("shipped", "elsewhere") else RunError
                raise kind(*found.forbidden)
            if one.origin == "run":
                self._delete_run(one.name, who)
            else:
                delete_files(one, self._home)
            self._deleted += 1
            return found


def _named(name: str, shelf: Sequence[OnDisk]) -> OnDisk:
    for one in shelf:
        if name in (one.name, str(one.path)):
            return one
    raise ModelError("unknown_model", f"There is no model '{name[:200]}' on this machine.",
                     "List them: finestra models list.")


def _accessible(model: CatalogueModel, access: str) -> bool:
    return not access or model.gated is (access == "gated")

"""DataService: what pages, REST and preflight know of datasets, and the long work on them.

Reading a dataset that is not small happens in a child (``app.datajobs``); what it found is kept
under ``<home>/cache`` and found again after a restart.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.datajobs import DataJobs, Job, Worker, job_id
from app.datasetviews import DatasetChoice, ProblemPage, ReportView, group_problems
from app.home import Home
from app.runs import ENDED, Run
from trainer.contract.config import DatasetUse, load_yaml
from trainer.contract.places import share
from trainer.contract.problems import ConfigError
from trainer.contract.rundir import RunDir
from trainer.data import DatasetError, DatasetSpec
from trainer.data.catalog import registry
from trainer.data.catalog.registry import Registry
from trainer.data.catalog.versions import versions
from trainer.data.checking.check import first_look
from trainer.data.checking.report import DataReport
from trainer.data.checking.reports import ReportStore
from trainer.data.children.workers import DataWorker, Limits
from trainer.data.reading.readers import read
from trainer.data.reading.rows import Row
from trainer.data.shapes.objectives import objectives_of
from trainer.data.templates.sandbox import TemplateError

SMALL_BYTES = 4_000_000
COLUMN_ROWS, COLUMNS = 50, 300


def make_worker(op: str) -> Worker:
    """Return the keeper of a child for an operation; only one that fetches is given tokens."""
    return DataWorker(Limits(keep_secrets=op == "fetch"))


def _state_of(spec: DatasetSpec) -> str:
    """Return what a file's content and its meaning are known by."""
    return repr((spec.stamp(), spec.entry))


class DataService:
    """The datasets of a home; thread-safe."""

    def __init__(self, home: Home, runs: Callable[[], Iterable[Run]], *,
                 roots: Sequence[Path] = (),
                 worker: Callable[[str], Worker] = make_worker) -> None:
        """Look at ``home``; nothing is read and no child started yet.

        Args:
            home: Where datasets, their registry and the cache lie.
            runs: Returns the runs, for what uses a dataset.
            roots: Further folders whose files pages may name.
            worker: Makes the keepers of children (tests).
        """
        self.home, self._runs = home, runs
        self.reports = ReportStore(home.root / "cache" / "reports")
        self.jobs = DataJobs(worker)
        self.roots = [p.resolve() for p in (home.data, home.models, home.runs, share() / "assets",
                                            share() / "data", *roots)]
        self._make_worker, self._lock = worker, threading.Lock()
        self._viewer: Worker | None = None
        self._looked: dict[object, ReportView] = {}
        self._specials: dict[tuple[str, str], list[str]] = {}
        self._used: dict[str, tuple[str, ...]] = {}

    def close(self) -> None:
        """End all work and all children."""
        self.jobs.close()
        with self._lock:
            viewer, self._viewer = self._viewer, None
        if viewer is not None:
            viewer.close()

    def allowed(self, name: str) -> bool:
        """Tell whether pages may name a path: it lies under a root, links followed (rule R5)."""
        try:
            path = Path(os.path.expanduser(name)).resolve()
        except (OSError, RuntimeError, ValueError):
            return False
        return any(path.is_relative_to(root) for root in self.roots)

    # What there is

    def registry(self) -> Registry:
        """Read the registry anew."""
        return registry.load(self.home.data)

    def spec(self, name: str) -> DatasetSpec:
        """Return what a registered name stands for; also ``name@2``, a version that is kept.

        Pages and REST name registered datasets only, never paths (rule R5).

        Raises:
            DatasetError: It is unknown, or its file cannot be read.
        """
        known = self.registry()
        self._require_known(known, name)
        return known.resolve(name)

    @staticmethod
    def _require_known(known: Registry, name: str) -> None:
        plain, _, version = name.rpartition("@")
        if name not in known.names() and not (plain in known.names() and version.isdecimal()):
            raise DatasetError("unknown_dataset", f"There is no dataset '{name[:80]}'.",
                               "See the list of datasets.")

    def all(self) -> list[DatasetChoice]:
        """Return the datasets, the user's first; a broken one says what is wrong."""
        known = self.registry()
        used = self._users()
        found = [self._choice(known, name, used.get(name, ())) for name in known.names()]
        return sorted(found, key=lambda one: one.origin == "shared")

    def choice(self, name: str) -> DatasetChoice:
        """Return one dataset of the list; DatasetError when there is none of that name."""
        known = self.registry()
        self._require_known(known, name)
        return self._choice(known, name, self._users().get(name, ()))

    def _choice(self, known: Registry, name: str,
                used_by: tuple[tuple[str, str], ...]) -> DatasetChoice:
        origin, spec = known.origin(name), None
        try:
            spec = known.resolve(name)
            report = self.stored(spec) or self.first_look(spec)
        except DatasetError as error:
            own = spec and self.own_file(spec)
            words = str(error).replace(own, name) if own else str(error)
            return DatasetChoice(name, None, "unknown", (), origin, words, used_by=used_by,
                                 code=error.code)
        return DatasetChoice(
            name, report.rows if report.complete else None, report.kind,
            tuple(objectives_of(report.kind)), origin, size_bytes=spec.size(),
            bad_rows=report.bad_rows if report.complete else None,
            file_name="" if self.own_file(spec) else spec.file_name,
            used_by=used_by, versions=len(versions(known, name)) - 1)

    def _users(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """Return for each dataset the (id, name) of the runs that name it, the newest first."""
        found: dict[str, tuple[tuple[str, str], ...]] = {}
        for run in self._runs():
            for name in self._names_of(run):
                found[name] = (*found.get(name, ()), (run.id, run.name))
        return found

    def _names_of(self, run: Run) -> tuple[str, ...]:
        """Return the datasets that a run's config names; it never changes."""
        if run.id not in self._used:
            try:
                values = load_yaml(RunDir(run.dir).config.read_text(encoding="utf-8")).get("data")
            except (OSError, ConfigError):
                return ()
            data = values if isinstance(values, dict) else {"eval": values}
            uses = [use for split in ("train", "eval") for use in data.get(split) or ()]
            self._used[run.id] = tuple(dict.fromkeys(
                str(use.get("name") if isinstance(use, dict) else use) for use in uses))
        return self._used[run.id]

    # Reports

    def stored(self, spec: DatasetSpec) -> ReportView | None:
        """Return what a whole check found of the file as it is now; None when there was none."""
        report = self.reports.find(spec)
        return None if report is None else self._view(spec, report)

    def _view(self, spec: DatasetSpec, report: DataReport) -> ReportView:
        return ReportView.of_report(report, file_name=self.own_file(spec), name=spec.name)

    def own_file(self, spec: DatasetSpec) -> str:
        """Return the name of a dataset's file where that is one of ours; '' where it is not."""
        return spec.file_name if spec.path.parent == self.home.data else ""

    def first_look(self, spec: DatasetSpec) -> ReportView:
        """Return what the first rows say, within a second; small files are read whole.

        Raises:
            DatasetError: The file cannot be read.
        """
        if spec.size() <= SMALL_BYTES:
            return self._view(spec, self.reports.check(spec))
        key = (*spec.stamp(), spec.entry)
        if key not in self._looked:
            self._looked[key] = self._view(spec, first_look(spec))
        return self._looked[key]

    def report(self, name: str) -> tuple[ReportView, Job | None]:
        """Return what is known of a dataset now, and the check that is under way.

        Where a whole check of the file as it is now has not been made, one is started; one that
        was cancelled or failed is not made again by itself.

        Raises:
            DatasetError: It is unknown, or cannot be read.
        """
        spec = self.spec(name)
        if (found := self.stored(spec)) is not None:
            return found, None
        look = self.first_look(spec)
        if look.complete:
            return look, None
        job = self._last(name, "check")
        if job is None or (not job.active and job.key != _state_of(spec)):
            job = self.check(name)
        partial = job.result.get("report") if job.active else None
        return (self._growing(spec, partial) if partial else look), job

    def _growing(self, spec: DatasetSpec, partial: Mapping[str, Any]) -> ReportView:
        """Return what a check has found so far."""
        return ReportView.of(partial, complete=False).said_of(self.own_file(spec), spec.name)

    def _last(self, name: str, op: str) -> Job | None:
        found = [job for job in self.jobs.of(name) if job.op == op]
        return found[-1] if found else None

    def check(self, name: str, *, again: bool = False) -> Job:
        """Start a whole check, or return the one at work; DatasetError for an unknown name.

        Args:
            name: The dataset.
            again: Read the file even though a report of it is kept.
        """
        spec = self.spec(name)
        if again and not any(job.active and job.op == "check" for job in self.jobs.of(name)):
            self.reports.forget(spec)
            self._looked.pop((*spec.stamp(), spec.entry), None)
        return self.jobs.start("check", name, {"home": str(self.home.root), "source": name},
                               key=_state_of(spec))

    def reading(self, use: DatasetUse) -> Job:
        """Return the whole check of data that a config names; one that failed is made once."""
        part = {key: getattr(use, key) for key in ("subset", "split", "revision")}
        params = {"home": str(self.home.root), "source": use.name,
                  **({"use": part} if any(part.values()) else {})}
        last = self._last(use.name, "check")
        if last is not None and last.error is not None and last.id == job_id(
                "check", use.name, params):
            return last
        return self.jobs.start("check", use.name, params)

    def fetch(self, name: str) -> Job:
        """Start fetching a hub dataset that is registered under a name."""
        return self.jobs.start("fetch", name, {"home": str(self.home.root), "source": name})

    def problems(self, name: str, offsets: Mapping[str, int] | None = None, *,
                 limit: int = 20) -> list[ProblemPage]:
        """Return the bad rows by code, the worst first, a page of each.

        Args:
            name: The dataset.
            offsets: Where the page of a code begins, 0 when left out.
            limit: Rows of a page.
        """
        view, _ = self.report(name)
        return group_problems(view, offsets or {}, limit)

    def working(self) -> dict[str, Job]:
        """Return the newest job of each dataset that is being worked on."""
        return {job.name: job for job in self.jobs.of() if job.active}

    def columns(self, name: str) -> list[str]:
        """Return the columns of a dataset's first rows, whatever they mean."""
        rows = read(self.spec(name), max_samples=COLUMN_ROWS)
        return list(dict.fromkeys(key for row in rows if isinstance(row, Row)
                                  for key in row.values))[:COLUMNS]

    def active_users(self, name: str) -> list[str]:
        """Return the names of the runs that use a dataset and have not ended."""
        return [run.name for run in self._runs()
                if run.state not in ENDED and name in self._names_of(run)]

    # Asking a warm child

    def ask(self, op: str, params: Mapping[str, Any], *, timeout_s: float = 30.0) -> dict[str, Any]:
        """Do a short operation in the child that stays warm for the pages.

        Raises:
            DatasetError: What the operation refuses, or the child died.
            TemplateError: The template cannot be used.
        """
        with self._lock:
            if self._viewer is None:
                self._viewer = self._make_worker("preview")
            viewer = self._viewer
        return viewer.call(op, dict(params), timeout_s=timeout_s)

    def specials(self, folder: Path, template: str) -> list[str]:
        """Return the special tokens of a model; [] when its template cannot be used."""
        key = (str(folder), template)
        if key not in self._specials:
            try:
                told = self.ask("describe", {"model_folder": str(folder), "template": template})
            except (DatasetError, TemplateError):
                return []
            self._specials[key] = list(told["special_tokens"])
        return self._specials[key]

"""Whether a dataset that a config names can be read, before its run is queued."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from app.choices import Choice
from app.datajobs import Job
from app.datasets import SMALL_BYTES, DataService
from trainer.contract import Problem
from trainer.contract.config import DatasetUse
from trainer.data import DatasetError, DatasetSpec
from trainer.data.catalog.registry import Registry
from trainer.data.checking.report import DataReport

Origin = Literal["cli", "web"]
FEW_ROWS = 20_000
_OFFLINE = ("1", "true", "yes", "on")
# Why there is no report: what is in the way, or what will be fetched.
Without = Problem | Choice


@dataclass(frozen=True)
class DatasetReader:
    """Reads the datasets of one part of a config.

    A file that is not small and was never read is read in a child; until then it is a problem for
    the web, while the command line waits for it.

    Attributes:
        where: The field that names them.
    """

    data: DataService
    known: Registry
    origin: Origin
    where: str

    def read(self, use: DatasetUse, limit: int | None) -> tuple[DatasetSpec, DataReport] | Without:
        """Return what a dataset is with the report of its first ``limit`` rows or of all."""
        spec: DatasetSpec | None = None
        try:
            spec = self.known.resolve_use(use)
            small = spec.size() <= SMALL_BYTES or (limit is not None and limit <= FEW_ROWS)
            if self.origin == "cli" or small:
                return spec, self.data.reports.check(spec, max_samples=limit)
            report = self.data.reports.find(spec)
            return self._reading(use, self.data.reading(use)) if report is None else (spec, report)
        except DatasetError as error:
            return self.refused(use, error, spec)

    def refused(self, use: DatasetUse, error: DatasetError, spec: DatasetSpec | None) -> Without:
        """Say why a dataset cannot be used; a path that nobody named is not told."""
        if error.code != "hub_not_here":
            own_file = self.data.own_file(spec) if spec else ""
            message = error.message.replace(own_file, use.name) if own_file else error.message
            return self.problem(error.code, message, error.advice, use.name)
        if os.environ.get("HF_HUB_OFFLINE", "").lower() not in _OFFLINE:
            return Choice(self.where, use.name, "fetched from the hub at the start")
        return self.problem(
            "data_offline", f"'{use.name}' is not on this machine, and the hub is switched off "
            "(HF_HUB_OFFLINE).", "Choose other data, or switch the hub on.", use.name,
            scope="network")

    def _reading(self, use: DatasetUse, job: Job) -> Problem:
        """Say how far the first reading of a large file is, or how it ended."""
        if job.error is not None:
            code, message, advice = job.error
            return self.problem(code, message, advice, use.name)
        percent = f"{100 * job.fraction:.0f} %"
        return self.problem(
            "still_reading", f"'{use.name}' is still being read ({percent}).",
            "Start is possible as soon as every row was looked at.", use.name, scope="machine",
            percent=percent)

    def problem(self, code: str, message: str, advice: str, name: str, *,
                scope: Literal["config", "machine", "network"] = "config", **params: str
                ) -> Problem:
        """Return a problem of a dataset, at the field that names it."""
        return Problem(field=self.where, code=code, message=message, advice=advice, scope=scope,
                       params={"name": name, **params})

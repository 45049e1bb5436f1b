"""Work on datasets that pages start in a worker: checking, fetching, fixing, splitting."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer.contract.config.data import DatasetUse, FilterConfig
from trainer.data.catalog import registry
from trainer.data.catalog.fixups import Fixes, Watching, apply
from trainer.data.catalog.registry import Fetching
from trainer.data.catalog.splitting import split_rows
from trainer.data.checking.check import check as check_file
from trainer.data.checking.check import shape_of
from trainer.data.checking.report import DataReport
from trainer.data.checking.reports import ReportStore
from trainer.data.checking.rowfinder import reports_folder
from trainer.data.tokens.request import Say, Source, every

Params = Mapping[str, Any]
Result = dict[str, Any]
PARTIAL_S = 1.0


def check(params: Params, say: Say) -> Result:
    """Check a whole dataset; with a home the report, its index and its problems are kept there.

    Raises:
        DatasetError: The dataset cannot be read, or its shape is not known.
    """
    source = Source.of(params)
    spec = source.spec()
    shape = source.shape(spec) if source.mapping else None

    def progress(rows: int, done: int, total: int) -> None:
        say(rows=rows, bytes_done=done, bytes_total=total)

    objective, most = params.get("objective"), params.get("max_samples")
    if source.home is None:
        return _told(check_file(spec, objective=objective, max_samples=most, shape=shape,
                                progress=progress))
    store = ReportStore(reports_folder(source.home), partial=_Grows(say))
    return _told(store.check(spec, objective=objective, max_samples=most, shape=shape,
                             progress=progress))


def _told(report: DataReport) -> Result:
    """Return the report with its first problems; the others are in the store."""
    return {"report": replace(report, problems=report.problems[:20]).document()}


class _Grows:
    """Sends a report while it grows, about once a second, with the first problems of each kind."""

    def __init__(self, say: Say) -> None:
        self._say, self._next = say, 0.0

    def __call__(self, report: DataReport) -> None:
        if time.monotonic() < self._next:
            return
        first = [problem for kind in report.shown.values() for problem in kind]
        self._say(report=replace(report, problems=first, problems_file="").document())
        self._next = time.monotonic() + PARTIAL_S


def fetch(params: Params, say: Say) -> Result:
    """Fetch a hub dataset; returns where it lies.

    Raises:
        DatasetError: It cannot be fetched.
    """
    source = Source.of(params)
    tick = every(say)
    known = registry.load(source.home / "data" if source.home else None)
    use = DatasetUse(name=source.source, subset=source.subset, split=source.split,
                     revision=source.revision)
    spec = known.resolve_use(use, fetch=Fetching(
        True, lambda done, total: tick(bytes_done=done, bytes_total=total)))
    return {"path": str(spec.path), "bytes": spec.size()}


def fix(params: Params, say: Say) -> Result:
    """Write what is left of a dataset to a new file in ``folder``; nothing is registered.

    Raises:
        DatasetError: Nothing is left, or the dataset cannot be read.
    """
    spec = Source.of(params).spec()
    defaults = Fixes()
    fixes = Fixes(
        bool(params.get("drop_bad", defaults.drop_bad)),
        params.get("deduplicate") or defaults.deduplicate,
        float(params.get("near_threshold") or defaults.near_threshold),
        FilterConfig.model_validate(params.get("filters") or {}))
    return apply(spec, shape_of(spec), fixes, folder=Path(params["folder"]),
                 watching=_watching(say)).document()


def split(params: Params, say: Say) -> Result:
    """Write a dataset as two new files in ``folder``; nothing is registered.

    Raises:
        DatasetError: One part would be empty, or the dataset cannot be read.
    """
    spec = Source.of(params).spec()
    return split_rows(spec, float(params["size"]), int(params.get("seed") or 42),
                      folder=Path(params["folder"]), watching=_watching(say)).document()


def _watching(say: Say) -> Watching:
    return Watching(lambda rows, done, total: say(rows=rows, bytes_done=done, bytes_total=total))

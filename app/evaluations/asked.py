"""The rows that an evaluation asks: whether they can be read, and how many there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.choices import Choice
from app.dataread import DatasetReader, Origin
from app.datasets import DataService
from trainer.contract.config import DatasetUse
from trainer.contract.kinds.evaluate import BY_LIKELIHOOD, EvaluateConfig
from trainer.contract.problems import Problem
from trainer.data.catalog.registry import Registry
from trainer.data.checking.report import DataReport

# They say something of an answer alone; all others hold it against what would be right.
WITHOUT_REFERENCE = ("regex", "json", "python", *BY_LIKELIHOOD)


@dataclass
class Rows:
    """What was found of an evaluation's data.

    Attributes:
        counts: Rows of each dataset that are asked; None where that is not known.
        characters: Of a row on average, question and reference together.
    """

    problems: list[Problem] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    counts: list[int | None] = field(default_factory=list)
    characters: float = 0.0

    @property
    def total(self) -> int | None:
        """How many rows there are; None where that is not known."""
        known = [count for count in self.counts if count is not None]
        return sum(known) if len(known) == len(self.counts) else None


@dataclass(frozen=True)
class Data:
    """Holds the data of a config against what is there; bad rows are skipped and counted."""

    service: DataService
    config: EvaluateConfig
    known: Registry
    origin: Origin

    def look(self) -> Rows:
        """Return problems, choices and numbers of rows."""
        found, read = Rows(), []
        names: set[str] = set()
        for at, use in enumerate(_uses(self.config)):
            where = f"data.{at}"
            if (key := f"{use.name}/{use.subset or ''}/{use.split or ''}") in names:
                found.problems.append(_problem(where, "data_twice", f"The dataset '{use.name}' is "
                                               "named twice.", "Name it once.", use.name))
                continue
            names.add(key)
            limit, count = self._limit(use), None
            told = DatasetReader(self.service, self.known, self.origin, where).read(use, limit)
            if isinstance(told, Problem):
                found.problems.append(told)
            elif isinstance(told, Choice):
                found.choices.append(told)
            else:
                _, report = told
                count = min(report.usable, limit or report.usable)
                found.problems += _unanswerable(use, where, report, count)
                found.choices.append(Choice(
                    where, f"{use.name}: {report.shape.kind}",
                    f"{report.shape.reason}; {_said(report, count)}"))
                found.problems += self._references(use, where, report)
                read.append((count, report))
            found.counts.append(count)
        rows = sum(count for count, _ in read)
        if rows:
            found.characters = sum(count * report.characters / max(1, report.rows)
                                   for count, report in read) / rows
        return found

    def _limit(self, use: DatasetUse) -> int | None:
        limits = [limit for limit in (self.config.max_samples, use.max_samples) if limit]
        return min(limits, default=None)

    def _references(self, use: DatasetUse, where: str, report: DataReport) -> Iterator[Problem]:
        """Refuse metrics that compare with right answers where there are none."""
        shape = report.shape
        if shape.kind != "prompt_only" or shape.mapping.columns.reference:
            return
        for at, metric in enumerate(self.config.metrics):
            if metric.name not in WITHOUT_REFERENCE:
                yield _problem(
                    f"metrics.{at}", "no_reference", f"The metric '{metric.name}' needs right "
                    f"answers, and '{use.name}' has none.", "Name the column that has them as "
                    "'reference', or choose a judge.", use.name)


def _uses(config: EvaluateConfig) -> list[DatasetUse]:
    return [use if isinstance(use, DatasetUse) else DatasetUse(name=use) for use in config.data]


def _said(report: DataReport, count: int) -> str:
    rows = f"{count:,} of {report.rows:,} rows" if count < report.rows else f"{count:,} rows"
    return f"{rows}; {report.bad_rows:,} cannot be asked and are skipped" if report.bad_rows \
        else rows


def _unanswerable(use: DatasetUse, where: str, report: DataReport, count: int
                  ) -> Iterator[Problem]:
    if not count:
        yield _problem(where, "no_rows", f"No row of '{use.name}' can be asked.",
                       "Check the dataset with `finestra data check`.", use.name)


def _problem(where: str, code: str, message: str, advice: str, name: str) -> Problem:
    return Problem(field=where, code=code, message=message, advice=advice, params={"name": name})

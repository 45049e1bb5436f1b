"""Datasets and reports as pages and REST show them: plain values, whoever made them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any

from trainer.data.checking.report import DataReport


@dataclass(frozen=True)
class DatasetChoice:
    """A registered dataset; ``problem`` is '' when it can be used.

    ``rows`` and ``bad_rows`` are None where not every row has been read. ``used_by`` has the
    (id, name) of runs, ``versions`` counts the older ones that are kept.
    """

    name: str
    rows: int | None
    kind: str
    objectives: tuple[str, ...]
    origin: str = "shared"
    problem: str = ""
    code: str = ""
    size_bytes: int = 0
    bad_rows: int | None = None
    file_name: str = ""
    used_by: tuple[tuple[str, str], ...] = ()
    versions: int = 0

    def document(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        return {**asdict(self), "used_by": [run for run, _ in self.used_by]}


@dataclass(frozen=True)
class RowNote:
    """What is wrong with one row."""

    row: int
    column: str
    code: str
    message: str
    severity: str = "error"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> RowNote:
        """Read a problem's document."""
        return cls(int(values["row"]), str(values.get("column", "")), str(values["code"]),
                   str(values["message"]), str(values.get("severity", "error")))


@dataclass(frozen=True)
class ReportView:
    """What a check found, whole or so far; the same whether it comes from a file or a child."""

    rows: int
    usable: int
    kind: str
    reason: str
    confidence: float
    mapping: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[RowNote, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    duplicates: int | None = None
    characters: int = 0
    encodings: tuple[str, ...] = ()
    turns: Mapping[int, int] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problems_file: str = ""
    file_name: str = ""
    name: str = ""
    complete: bool = False
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bad_rows(self) -> int:
        """Rows that cannot be used."""
        return self.rows - self.usable

    @classmethod
    def of(cls, values: Mapping[str, Any], *, complete: bool) -> ReportView:
        """Read a report's document."""
        notes = tuple(map(RowNote.of, values.get("problems") or ()))
        encodings = values.get("encodings") or values.get("encoding") or ()
        named = encodings.values() if isinstance(encodings, Mapping) else \
            [encodings] if isinstance(encodings, str) else encodings
        turns = values.get("turns") or {}
        return cls(
            int(values.get("rows", 0)), int(values.get("usable", 0)),
            str(values.get("shape", "unknown")), str(values.get("reason", "")),
            float(values.get("confidence") or 0), dict(values.get("mapping") or {}), notes,
            dict(values.get("problem_counts") or {}), values.get("duplicates"),
            int(values.get("characters") or 0), tuple(sorted({str(e) for e in named})),
            {int(k): int(v) for k, v in turns.items()} if isinstance(turns, Mapping) else {},
            tuple(values.get("columns") or ()), tuple(values.get("notes") or ()),
            str(values.get("problems_file") or ""), complete=complete, document=values)


    @classmethod
    def of_report(cls, report: DataReport, *, file_name: str = "", name: str = "") -> ReportView:
        """Read a report; of each kind of problem the first rows are there in any case.

        Args:
            report: The report.
            file_name: A file name of ours, which would tell nobody anything.
            name: What messages say instead.
        """
        view = cls.of(report.document(), complete=report.complete)
        known = {(note.row, note.code) for note in view.problems}
        more = [RowNote.of(problem.document()) for shown in report.shown.values()
                for problem in shown if (problem.row, problem.code) not in known]
        return replace(view, problems=(*view.problems, *more)).said_of(file_name, name)

    def said_of(self, file_name: str, name: str) -> ReportView:
        """Return it with the dataset's name in place of a file name of ours, '' for none."""
        if not file_name:
            return self
        return replace(self, file_name=file_name, name=name, problems=tuple(
            replace(note, message=note.message.replace(file_name, name))
            for note in self.problems))


@dataclass(frozen=True)
class ProblemPage:
    """Some rows with the same kind of problem; ``total`` counts all of that kind."""

    code: str
    severity: str
    total: int
    offset: int
    items: tuple[RowNote, ...]

    def document(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        return asdict(self)


def group_problems(view: ReportView, offsets: Mapping[str, int], limit: int) -> list[ProblemPage]:
    """Return a page of each kind of problem, errors first, the most frequent first."""
    held: dict[str, list[RowNote]] = {code: [] for code in view.counts}
    for note in view.problems:
        held.setdefault(note.code, []).append(note)
    pages = []
    for code, notes in held.items():
        offset, total = max(0, offsets.get(code, 0)), view.counts.get(code, len(notes))
        items = notes[offset:offset + limit]
        if len(items) < min(limit, total - offset) and view.problems_file:
            rest = _of_file(view, code)
            items += islice(rest, max(0, offset - len(notes)),
                            max(0, offset - len(notes)) + limit - len(items))
        severity = (notes or items or [RowNote(0, "", code, "")])[0].severity
        pages.append(ProblemPage(code, severity, total, offset, tuple(items)))
    return sorted(pages, key=lambda page: (page.severity != "error", -page.total))


def _of_file(view: ReportView, code: str) -> Iterator[RowNote]:
    """Yield the problems of a kind that a report had no room for."""
    with open(view.problems_file, encoding="utf-8") as file:
        for line in file:
            note = RowNote.of(json.loads(line))
            if note.code == code:
                words = note.message.replace(view.file_name or "\0", view.name)
                yield replace(note, message=words)

"""What an evaluation has found, in the terminal and in files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from app.cli_migrate import write_text
from app.cli_output import console, note
from app.evaluations.reading import (
    Cell,
    Column,
    Matrix,
    Order,
    RowQuery,
    matrix,
    number,
    report_of,
    rows,
    to_csv,
    to_markdown,
)
from app.runs import Run, RunError
from trainer.contract.logfile import clean

if TYPE_CHECKING:
    from app.cli_evaluate import Options

# Of a text in the terminal.
_LONGEST = 600
STYLES = {"better": "green", "worse": "red"}
_WRITERS = {"csv": to_csv, "md": to_markdown}
# Where tables go, by their format.
Files = Mapping[str, Path | None]


@dataclass(frozen=True)
class Wanted:
    """Which rows are shown, and which files are written."""

    order: Order
    count: int
    models: tuple[str, ...]
    dataset: str
    metric: str
    csv: Path | None
    md: Path | None
    force: bool

    @classmethod
    def of(cls, options: Options, models: tuple[str, ...], data: tuple[str, ...]) -> Wanted:
        """Read the options; ``models`` and ``data`` choose the rows."""
        order: Order = "changed" if options.changed else "worst"
        metric = (options.metric or [""])[0] if options.show else ""
        return cls(order, options.changed or options.worst, models[:2], data[0] if data else "",
                   metric, options.csv, options.md, options.force)

    def query(self) -> RowQuery:
        """Return what is asked of the rows."""
        return RowQuery(self.dataset, self.metric, self.models, self.order, limit=self.count)

    def refuse_files(self) -> None:
        """Refuse to replace files, unless that is wanted.

        Raises:
            RunError: There is such a file already ('file_exists').
        """
        refuse_files(self.files, force=self.force)

    @property
    def files(self) -> Files:
        """Where tables go, by their format."""
        return {"csv": self.csv, "md": self.md}


def refuse_files(files: Files, *, force: bool) -> None:
    """Refuse to replace files, unless that is wanted.

    Raises:
        RunError: There is such a file already ('file_exists').
    """
    for path in files.values():
        if path is not None and (place := _place(path)).exists() and not force:
            raise RunError("file_exists", f"There is already a file '{place}'.",
                           "Choose another name, or say --force.")


def print_scores(run: Run) -> None:
    """Print every score with its interval, and how models compare with the first one."""
    report = report_of(run)
    print_matrix(matrix([run]))
    for one in report.judged:
        against = f" beside {one.against}" if one.against else ""
        value = "nothing" if one.value is None else f"{one.value:.3g}"
        note(f"judge: {one.model}{against} at {one.dataset}: {value} "
             f"({one.wins} wins, {one.ties} ties, {one.losses} losses, {one.n} rows)")
    for mistake in report.mistakes:
        note(f"{mistake.model} at {mistake.dataset}: {mistake.count:,} wrong, {mistake.kind}")
    for text in report.notes:
        note(text)


def print_matrix(found: Matrix) -> None:
    """Print every score with its interval, a table for each dataset."""
    compared = any(cell.change for cell in found.cells.values())
    for dataset in dict.fromkeys(column.dataset for column in found.columns):
        console().print(Text(f"\n{dataset}", "bold"))
        console().print(_table(found, dataset, compared))


def _table(found: Matrix, dataset: str, compared: bool) -> Table:
    """Return the scores at one dataset; values with their 95 % intervals."""
    table = Table(box=None, pad_edge=False)
    for title in ("metric", "model", "value, 95 %", "rows",
                  *(("change, 95 %", "p", "verdict") if compared else ())):
        table.add_column(title, overflow="fold")
    for column in (one for one in found.columns if one.dataset == dataset):
        cells = [(model, cell) for model in found.models
                 if (cell := found.cell(model, column)) is not None]
        for at, (model, cell) in enumerate(cells):
            table.add_row("" if at else column.metric, *_line(model, column, cell),
                          *_changed(column, cell))
    return table


def _line(model: str, column: Column, cell: Cell) -> list[Text]:
    value = "none" if cell.value is None else number(cell.value, column)
    return [Text(model),
            Text.assemble((value, "bold" if cell.best else ""),
                          _between(column, cell.low, cell.high)),
            Text(f"{cell.n:,}")]


def _changed(column: Column, cell: Cell) -> list[Text]:
    change = cell.change
    if change is None:
        return []
    return [Text(number(change.difference, column, sign=True)
                 + _between(column, change.low, change.high, sign=True)),
            Text(f"{change.p_adjusted:.2g}"),
            Text(change.verdict, STYLES.get(change.verdict, ""))]


def _between(column: Column, low: float | None, high: float | None, *, sign: bool = False) -> str:
    if low is None or high is None:
        return ""
    return f" ({number(low, column, sign=sign)} to {number(high, column, sign=sign)})"


def print_rows(run: Run, wanted: Wanted) -> None:
    """Print rows with the answers to them."""
    page, out = rows(run, wanted.query()), console()
    out.print(Text(f"\n{page.dataset}, {page.metric}: {len(page.rows):,} of {page.total:,} rows",
                   "bold"))
    for row in page.rows:
        out.print(Text(f"\nrow {row.row}", "bold"))
        out.print(Text(f"asked      {_plain(row.prompt)}"))
        if row.reference:
            out.print(Text(f"right      {_plain(row.reference)}"))
        for answer in row.answers:
            score = "-" if answer.score is None else f"{answer.score:.3g}"
            kind = f" ({answer.mistake})" if answer.mistake else ""
            out.print(Text(f"{answer.model}  {score}{kind}", "bold"))
            out.print(Text(f"           {_plain(answer.prediction)}"))


def _plain(text: str) -> str:
    """Return a text for a terminal: no control characters, and not too long."""
    shown = clean(text[:_LONGEST].encode("utf-8", "replace")).replace("\n", "\n           ")
    return f"{shown} ... ({len(text):,} characters)" if len(text) > _LONGEST else shown


def write(run: Run, wanted: Wanted) -> list[Path]:
    """Write the tables that are wanted; return where.

    Raises:
        RunError: There is such a file already ('file_exists').
        OSError: It cannot be written.
    """
    wanted.refuse_files()
    return write_tables([run], wanted.files)


def write_tables(runs: Sequence[Run], files: Files) -> list[Path]:
    """Write the newest scores of evaluations as tables; return where. Raises OSError."""
    made = [(_place(path), _WRITERS[kind]) for kind, path in files.items()
            if path is not None]
    for path, make in made:
        write_text(path, make(runs))
    return [path for path, _ in made]


def _place(path: Path) -> Path:
    """Return where a path leads; '~nobody' is no home, and a name like others."""
    return Path(os.path.expanduser(path))

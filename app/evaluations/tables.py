"""The results of an evaluation for scripts, spreadsheets and papers."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from app.evaluations.keeping import Kept
from app.evaluations.matrix import Cell, Column, Matrix, matrix
from app.evaluations.reports import predictions_file, report_of
from app.runs import Run
from trainer.data.catalog.escape import escape_cell

HEADER = ("model", "dataset", "metric", "value", "low", "high", "n", "left_out", "against",
          "difference", "difference_low", "difference_high", "p_value", "p_adjusted", "verdict",
          "detail", "run")


def document(run: Run) -> dict[str, Any]:
    """Return an evaluation as ``--json`` and REST show it.

    Raises:
        RunError: There is no report ('no_evaluation').
    """
    report = report_of(run)
    files = {model: str(predictions_file(run, report, model)) for model in report.predictions}
    return {**report.dump(), "predictions": files}


def to_csv(runs: Sequence[Run]) -> str:
    """Write the matrix of evaluations as CSV, a line for each score; no cell is a formula."""
    found = matrix(runs)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(HEADER)
    for column in found.columns:
        for model in found.models:
            if (cell := found.cell(model, column)) is not None:
                table.writerow(_line(model, column, cell))
    return text.getvalue()


def _line(model: str, column: Column, cell: Cell) -> list[str]:
    change = cell.change
    compared = ("",) * 7 if change is None else (
        change.against, change.difference, change.low, change.high, change.p_value,
        change.p_adjusted, change.verdict)
    return [_written(value) for value in (
        model, column.dataset, column.metric, cell.value, cell.low, cell.high, cell.n,
        cell.left_out, *compared, cell.detail, cell.run)]


def _written(value: object) -> str:
    """Write a number so that it is read as the same one, and text so that it is no formula."""
    if value is None:
        return ""
    return repr(value) if isinstance(value, (int, float)) else escape_cell(str(value))


def to_markdown(runs: Sequence[Run]) -> str:
    """Write the matrix of evaluations as Markdown, a table for each dataset."""
    found = matrix(runs)
    datasets = dict.fromkeys(column.dataset for column in found.columns)
    return "\n".join(_section(found, dataset) for dataset in datasets)


def _section(found: Matrix, dataset: str) -> str:
    columns = [column for column in found.columns if column.dataset == dataset]
    models = [model for model in found.models
              if any(found.cell(model, column) for column in columns)]
    lines = [f"### {plain(dataset)}", "",
             "| model | " + " | ".join(plain(column.metric) for column in columns) + " |",
             "|---" * (1 + len(columns)) + "|"]
    lines += ["| " + " | ".join([plain(model), *(shown(found.cell(model, column), column)
                                                 for column in columns)]) + " |"
              for model in models]
    return "\n".join([*lines, ""])


def shown(cell: Cell | None, column: Column) -> str:
    """Write a score for people: the value, its interval, rows, and the change with its verdict."""
    if cell is None or cell.value is None:
        return "" if cell is None else f"none of {cell.n + cell.left_out:,} rows"
    text = number(cell.value, column)
    if cell.low is not None and cell.high is not None:
        text += f" [{number(cell.low, column)}, {number(cell.high, column)}]"
    text += f" n={cell.n:,}"
    if cell.change is not None:
        text += f", {number(cell.change.difference, column, sign=True)} {cell.change.verdict}"
    return text


def number(value: float, column: Column | Kept, *, sign: bool = False) -> str:
    """Write a score: shares in percent, others with four digits that count."""
    if column.share:
        return f"{100 * value:{'+' if sign else ''}.1f}%"
    return f"{value:{'+' if sign else ''}.4g}"


def plain(text: str) -> str:
    """Write a text that stays text in a cell of Markdown, on one line."""
    kept = " ".join(text.split())
    for mark in "\\`*_[]<>|":
        kept = kept.replace(mark, f"\\{mark}")
    return kept

"""What evaluations have found, as pages, REST and command line show it: all there is to import.

Pure functions of runs' folders: reports (``trainer.contract.kinds.evaluation``) and predictions
files, which may be large and are never held whole.
"""

from __future__ import annotations

from app.evaluations.keeping import Kept, forgetting
from app.evaluations.matrix import Cell, Change, Column, Matrix, matrix
from app.evaluations.reports import predictions_file, report_of
from app.evaluations.rows import (
    Answer,
    Histogram,
    Only,
    Order,
    RowPage,
    RowQuery,
    ScoredRow,
    histogram,
    rows,
)
from app.evaluations.tables import document, number, to_csv, to_markdown

__all__ = [
    "Answer", "Cell", "Change", "Column", "Histogram", "Kept", "Matrix", "Only", "Order",
    "RowPage", "RowQuery", "ScoredRow", "document", "forgetting", "histogram", "matrix",
    "number", "predictions_file", "report_of", "rows", "to_csv", "to_markdown"]

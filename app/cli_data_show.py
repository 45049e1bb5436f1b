"""What ``finestra data`` shows to people: tables, problems by kind, a row, how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import dropwhile
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from app.cli_output import console
from trainer.data.checking.report import DataReport
from trainer.data.reading.rows import RowProblem

SHOWN = 20
WIDEST = 40
MAX_MESSAGE = 400
# Rows of which no token is learned.
_LEARNED = {"prompts": "none of them learned: the model answers it",
            "labelled": "none of them learned: its class is"}
EVERY_S = 0.1


class Told:
    """Takes what long work says of itself; draws it on standard error."""

    def __init__(self, bar: Progress | None, title: str) -> None:
        self._bar, self._title, self._next = bar, title, 0.0
        self._task = None if bar is None else bar.add_task(title, total=None, visible=False)

    def rows(self, rows: int, done: int, total: int) -> None:
        """Show rows read and the share of the bytes."""
        self._show(done, total, f"{self._title} {rows:,} rows")

    def bytes(self, done: int, total: int) -> None:
        """Show bytes."""
        size = f"of {total / 2**20:,.1f} " if total else ""
        self._show(done, total, f"{self._title} {done / 2**20:,.1f} {size}MiB")

    def document(self, values: Mapping[str, Any]) -> None:
        """Show what a worker says."""
        self.rows(int(values.get("rows") or 0), int(values.get("bytes_done") or 0),
                  int(values.get("bytes_total") or 0))

    def _show(self, done: int, total: int, text: str) -> None:
        now = time.monotonic()
        if self._bar is None or self._task is None or (now < self._next and done < total):
            return
        self._next = now + EVERY_S
        self._bar.update(self._task, completed=done, total=total or None, description=text,
                         visible=True)


@contextmanager
def progress_bar(title: str) -> Iterator[Told]:
    """Show progress on standard error while the block runs, if a person looks at it."""
    if not sys.stderr.isatty():
        yield Told(None, title)
        return
    with Progress(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(),
                  console=Console(stderr=True), transient=True) as bar:
        yield Told(bar, title)


def show_list(choices: Sequence[Any]) -> None:
    """Print the datasets as a table."""
    table = Table(box=None, pad_edge=False)
    for title in ("name", "rows", "shape", "for", "problem"):
        table.add_column(title)
    for choice in choices:
        table.add_row(*map(plain, (
            choice.name, "" if choice.rows is None else f"{choice.rows:,}", choice.kind,
            ", ".join(choice.objectives), choice.problem)))
    console().print(table)


def plain(text: str) -> Text:
    """Return a dataset's own text for a terminal: no markup, no control characters."""
    return Text("".join(c if c.isprintable() or c == "\n" else "�" for c in text))


def show_report(report: DataReport, lengths: Mapping[str, Any], model: str) -> None:
    """Print what a check found, the first problems of each kind."""
    out = console()
    out.print(plain(f"{report.usable:,} of {report.rows:,} rows can be used; "
                    f"shape {report.shape.kind} ({report.shape.reason})"))
    mapping = ", ".join(f"{role}={column}" for role, column
                        in report.shape.mapping.document().items())
    for line in (f"mapping: {mapping}" if mapping else "", *_facts(report), *report.notes):
        if line:
            out.print(plain(line))
    _show_problems(report, out)
    _show_lengths(lengths, model, out)


def _facts(report: DataReport) -> Iterator[str]:
    """Yield sentences on the dataset as a whole."""
    others = {name: encoding for name, encoding in report.encodings.items()
              if encoding.lower() not in ("utf-8", "ascii")}
    for name, encoding in list(others.items())[:5]:
        yield f"{name} is {encoding}"
    if report.turns:
        most = sorted(report.turns.items())
        yield "turns: " + ", ".join(f"{turns}: {rows:,} rows" for turns, rows in most[:8])
    if report.duplicates:
        yield f"{report.duplicates:,} rows repeat an earlier one"
    if report.near_duplicates is not None:
        yield f"{report.near_duplicates:,} rows nearly repeat an earlier one"
    if report.leaks is not None:
        found = report.leaks
        yield (f"{found['leaked']:,} of {found['rows']:,} rows stand in "
               f"{', '.join(found['against'])}: {found['same_row']:,} whole, "
               f"{found['same_prompt']:,} with another answer")


def _show_problems(report: DataReport, out: Console) -> None:
    """Print the problems by kind: how many there are, then the first ones."""
    for code, count in sorted(report.problem_counts.items(), key=lambda item: -item[1]):
        problems: list[RowProblem] = report.shown.get(code, [])[:SHOWN]
        if not problems:
            continue
        rows = "row" if count == 1 else "rows"
        title = f"\n{problems[0].severity} {code}: {count:,} {rows}"
        out.print(Text(title, style="bold red" if problems[0].severity == "error" else "bold"))
        for problem in problems:
            out.print(plain(f"  {_short(problem.message)}"))
        if count > len(problems):
            out.print(plain(f"  ... {count - len(problems):,} more; --json shows them"))


def _short(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}…"


def _show_lengths(lengths: Mapping[str, Any], model: str, out: Console) -> None:
    """Print percentiles and a histogram of the rows' lengths."""
    if lengths.get("p50") is None:
        return
    sample = f", {lengths['measured']:,} of {lengths['rows']:,} rows" if lengths["sampled"] else ""
    out.print(plain(f"\ntokens of '{model}'{sample}: median {lengths['p50']:,}, "
                    f"95 % {lengths['p95']:,}, longest {lengths['max']:,}"))
    over, limit = lengths["over_max_length"], lengths["max_length"]
    out.print(plain(f"longer than {limit:,}: {over:,} rows, {lengths['tokens_over']:,} tokens "
                    "would be cut" if over else f"no row is longer than {limit:,}"))
    for warning in lengths.get("warnings") or ():
        out.print(plain(f"warning {warning['code']}: {warning['message']}"))
    bins = list(dropwhile(lambda one: not one[2], lengths.get("histogram") or []))
    most = max((rows for _, _, rows in bins), default=0)
    for low, high, rows in bins if len(bins) > 1 else []:
        bar = "█" * round(WIDEST * rows / most)
        out.print(plain(f"{low:>9,} - {high:<9,} {rows:>9,} {bar}"))


def show_preview(found: Mapping[str, Any]) -> None:
    """Print a row as the model sees it, what is learned in colour, or marked without colours."""
    out = console()
    cut = found.get("cut") or {}
    learned = _LEARNED.get(found.get("rows", ""), f"{found['trained_tokens']:,} of them learned")
    out.print(plain(f"row {found['row']} for {found['objective']}: {found['tokens']:,} tokens, "
                    f"{learned}"))
    if cut.get("dropped"):
        out.print(plain("this row is too long and would be left out"))
    elif cut.get("tokens"):
        out.print(plain(f"cut: {cut['turns']} turns, {cut['tokens']:,} tokens"))
    template = found.get("template") or {}
    if template.get("name"):
        out.print(plain(f"template {template['name']} ({template['how']}) {template['reason']}"))
    for warning in found.get("warnings") or ():
        out.print(plain(f"warning {warning['code']}: {warning['message']}"))
    if found.get("reference"):
        what = "class" if found.get("rows") == "labelled" else "reference"
        out.print(plain(f"{what}: {found['reference']}"))
    for side in ("chosen", "rejected") if "rejected" in found else ("",):
        values = found[side] if side else found
        out.print(Text(f"--- {side}" if side else "---"))
        out.print(_marked(values["segments"], colour=out.is_terminal))


def _marked(segments: Sequence[Mapping[str, Any]], *, colour: bool) -> Text:
    """Return the text with what is learned in colour, or between ⟦ and ⟧."""
    text = Text()
    for segment in segments:
        shown = plain(segment["text"])
        if segment["trained"]:
            shown = Text(shown.plain, style="black on green") if colour \
                else Text(f"⟦{shown.plain}⟧")
        text.append_text(shown)
    return text

"""A pasted config: ours, or LLaMA-Factory's with a word on each of its keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.board.i18n import problem_text, reason_text, t
from app.board.pages._parts import note, paragraph, text
from app.migrate import Row, import_llamafactory
from trainer.contract.config import load_yaml, parse
from trainer.contract.problems import ConfigError

_NO_TRAINING = {"import_export", "import_benchmark", "import_no_training", "import_inference",
                "import_webui"}
_THEIRS = ("stage", "finetuning_type", "model_name_or_path", "do_train", "cutoff_len",
           "top.model_name")


def is_llamafactory(values: dict[str, Any]) -> bool:
    """Tell whether a mapping is a config of LLaMA-Factory's: its keys stand at the top."""
    return any(key in values for key in _THEIRS) and "model" not in values


def taken(locale: str, yaml_text: str) -> tuple[dict[str, Any] | None, str, bool]:
    """Read a pasted text.

    Returns:
        (values for the form or None, what is said as HTML, whether the panel stays open).
    """
    if not yaml_text.strip():
        return None, note("info", t(locale, "import.empty")), True
    try:
        values = load_yaml(yaml_text)
    except ConfigError as error:
        return None, problems_note(locale, error), True
    if is_llamafactory(values):
        found = import_llamafactory(yaml_text)
        if idle := [one for one in found.problems if one.code in _NO_TRAINING]:
            words = paragraph(t(locale, "import.untouched"))
            return None, problems_note(locale, ConfigError(idle), words), True
        said = report(locale, found.report, found.defaults)
        if found.problems:
            said = problems_note(locale, ConfigError(found.problems)) + said
        return found.values, said, False
    try:
        parse(values)
    except ConfigError as error:
        return values, problems_note(locale, error), True
    return values, "", False


def problems_note(locale: str, error: ConfigError, more: str = "") -> str:
    """Return the problems of a refused config as a banner; ``more`` is HTML below them."""
    words = [" ".join((f"{p.field}:" if p.field else "", *problem_text(locale, p))).strip()
             for p in error.problems]
    title = t(locale, "before.one") if len(words) == 1 else t(
        locale, "before.many", n=len(words))
    return note("bad", title, "".join(paragraph(line) for line in words) + more)


def report(locale: str, rows: Sequence[Row], defaults: Sequence[Row]) -> str:
    """Return what became of each key: kept, renamed, changed or dropped, with the reason."""
    order = ("dropped", "changed", "renamed", "kept")
    counts = " · ".join(f"{t(locale, f'import.{action}')} {number}" for action in order
                        if (number := sum(row.action == action for row in rows)))
    listed = sorted(rows, key=lambda row: order.index(row.action))
    body = "".join(_row(locale, row) for row in listed)
    more = "".join(_row(locale, row) for row in defaults)
    if more:
        body += f'<tr><th colspan="3">{text(t(locale, "import.defaults"))}</th></tr>{more}'
    head = "".join(f'<th scope="col">{text(t(locale, f"import.head.{key}"))}</th>'
                   for key in ("key", "action", "reason"))
    table = (f'<details class="f-import" id="train-import-report" open><summary>{text(counts)}'
             f'</summary><div><table class="f-grid"><thead><tr>{head}</tr></thead>'
             f"<tbody>{body}</tbody></table></div></details>")
    return note("info", t(locale, "import.title"), table)


def _row(locale: str, row: Row) -> str:
    return (f'<tr data-action="{text(row.action)}"><th scope="row"><code>{text(row.key)}</code>'
            f'</th><td><span class="f-chip f-{text(row.action)}">'
            f'{text(t(locale, f"import.{row.action}"))}</span></td>'
            f"<td>{text(_why(locale, row))}</td></tr>")


def _why(locale: str, row: Row) -> str:
    """Return the reason of a row: what our own checks said, or why a key went where it did."""
    if row.problem is not None:
        return " ".join(problem_text(locale, row.problem)).strip()
    return reason_text(locale, row.reason)

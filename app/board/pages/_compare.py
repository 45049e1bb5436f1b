"""Several runs side by side: curves on shared axes, and what differs in their configs."""

from __future__ import annotations

from typing import Any

from app.board.i18n import choice_label, field_title, t
from app.board.pages._chart import chart_html
from app.board.pages._parts import card, note, text
from app.runs import Run, RunError
from trainer.contract.config import all_fields, flat, load_yaml


def panel(studio: Any, locale: str, ids: list[str]) -> str:
    """Return the comparison of the runs that exist among ``ids``."""
    runs, missing = [], []
    for run_id in dict.fromkeys(ids):
        try:
            runs.append(studio.run(run_id))
        except RunError:
            missing.append(run_id)
    warning = note("warn", t(locale, "compare.missing", ids=", ".join(missing))) if missing else ""
    if len(runs) < 2:
        return warning
    close = f'<a class="f-button f-small" href="./">{text(t(locale, "compare.close"))}</a>'
    body = chart_html(locale, runs) + _difference(studio, locale, runs)
    return warning + card(t(locale, "compare.title"), body, side=close)


def differences(configs: list[dict[str, Any]]) -> list[tuple[str, list[Any]]]:
    """Return (path, value of each config) of every field that is not the same in all."""
    flats = [flat(config) for config in configs]
    known = all_fields()
    paths = [path for path in known if any(path in one for one in flats)]
    rows = [(path, [one.get(path, known[path].default) for one in flats]) for path in paths]
    return [(path, values) for path, values in rows
            if path != "name" and any(value != values[0] for value in values[1:])]


def _cell(locale: str, path: str, value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, list):
        return text(", ".join(map(_entry, value)) or "—")
    if isinstance(value, dict):
        return text(", ".join(f"{name}={number}" for name, number in value.items()) or "—")
    return text(choice_label(locale, path, str(value)))


def _entry(value: Any) -> str:
    """Return one entry of a list; of a dataset or a reward its name and what is set."""
    if not isinstance(value, dict):
        return str(value)
    more = ", ".join(f"{key}={said}" for key, said in value.items()
                     if key != "name" and said is not None)
    return f"{value.get('name', '')} ({more})" if more else str(value.get("name", ""))


def _difference(studio: Any, locale: str, runs: list[Run]) -> str:
    rows = differences([load_yaml(studio.config_yaml(run.id)) for run in runs])
    if not rows:
        return f'<p class="f-dim">{text(t(locale, "compare.same"))}</p>'
    known = all_fields()
    head = "".join(f'<th scope="col">{text(run.name)}</th>' for run in runs)
    body = "".join(
        f'<tr><th scope="row">{text(field_title(locale, known[path]))}</th>'
        + "".join(f"<td>{_cell(locale, path, value)}</td>" for value in values) + "</tr>"
        for path, values in rows)
    caption = text(t(locale, "compare.only_differences"))
    return (f'<div class="f-scroll"><table class="f-grid"><caption>{caption}</caption>'
            f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>")

"""The place where ``static/chart.js`` draws a run's curves; it reads them from the REST API."""

from __future__ import annotations

import json

from app.board.i18n import TABLES, t
from app.board.pages._parts import text
from app.runs import ACTIVE, Run
from trainer.contract.config.rewards import NEEDS


def chart_html(locale: str, runs: list[Run]) -> str:
    """Return an empty chart area that carries the runs' ids, names and the words to draw with."""
    listed = [{"id": run.id, "name": run.name, "active": run.state in ACTIVE} for run in runs]
    words = {key.removeprefix("chart."): t(locale, key)
             for key in TABLES["en"] if key.startswith("chart.")}
    words |= {f"rewards_{name}": t(locale, f"reward.{name}") for name in NEEDS}
    return (f'<div class="f-charts" data-runs="{text(json.dumps(listed, ensure_ascii=False))}" '
            f'data-words="{text(json.dumps(words, ensure_ascii=False))}"></div>')

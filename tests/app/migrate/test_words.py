"""What an import says, it says in Chinese too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from app.board.i18n import problem_text, reason_text
from app.migrate import Imported, import_llamafactory
from app.migrate.absent import ABSENT, ALWAYS, OFF, UNKNOWN
from app.migrate.known import DEFAULTS

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))


def is_chinese(text: str) -> bool:
    return re.search("[一-鿿]", text) is not None


def unsaid(found: Imported) -> set[str]:
    """Return the reasons without Chinese; what our own checks say is told as a problem."""
    return {row.reason for row in found.report + found.defaults
            if row.problem is None and not is_chinese(reason_text("zh", row.reason))}


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_every_reason_and_problem_of_a_case(case: Path) -> None:
    found = import_llamafactory(case.read_text(encoding="utf-8"))
    assert not unsaid(found)
    assert all(is_chinese(part) for problem in found.problems
               for part in problem_text("zh", problem))


def test_every_reason_of_the_tables() -> None:
    reasons = {*ABSENT.values(), *ALWAYS.values(), OFF, UNKNOWN}
    assert not {reason for reason in reasons if not is_chinese(reason_text("zh", reason))}


def test_every_key_switched_on_at_once() -> None:
    for stage in ("sft", "dpo", "kto", "ppo", "pt", "rm"):
        for value in (True, "some", 3, 0.5):
            keys = {key: value for key in DEFAULTS} | {"stage": stage, "name_of_nobody": 1}
            found = import_llamafactory(yaml.safe_dump(keys))
            assert not unsaid(found)

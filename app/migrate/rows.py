"""What an import says of each key, and the whole of an import."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from trainer.contract.problems import Problem

Action = Literal["kept", "renamed", "changed", "dropped"]


@dataclass(frozen=True)
class Row:
    """What became of one key.

    ``field`` is the dotted path in our config that it went to, None when there is none. The reason
    is English; ``app.board.i18n`` knows it in Chinese. ``problem`` is what our own checks had to
    say of a value that was dropped for it; the reason is its text.
    """

    key: str
    action: Action
    reason: str
    field: str | None = None
    problem: Problem | None = None

    def document(self) -> dict[str, str | None]:
        """Return the row as scripts see it."""
        return {"key": self.key, "action": self.action, "reason": self.reason,
                "field": self.field}


@dataclass(frozen=True)
class Imported:
    """A config made of another program's file.

    ``values`` is a nested config that always parses; ``report`` has one row for each key of the
    file, in its order; ``defaults`` those of the other program's defaults that differ from ours
    and were written out; ``problems`` says why the file describes no training run, if so.
    """

    values: dict[str, Any]
    report: list[Row]
    defaults: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return the document of ``finestra import --json``."""
        return {"config": self.values, "report": [row.document() for row in self.report],
                "defaults": [row.document() for row in self.defaults],
                "problems": [problem.document() for problem in self.problems]}

"""The config while it is made: which key went where, and which are still to be looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from app.migrate.reading import Unreadable, as_flag, as_names, as_number, as_text, as_whole
from app.migrate.rows import Action, Row
from trainer.contract.config import default_of
from trainer.contract.problems import Problem

T = TypeVar("T")
D = TypeVar("D")
KEPT = "Carried over."
RENAMED = "Called {field} here."
EMPTY = "It is empty: the default holds."


class Draft:
    """Values by dotted path, a row for each key, and what speaks against a run."""

    def __init__(self, source: Mapping[str, Any]) -> None:
        """Begin with the keys of a file; those that are empty are settled at once."""
        self.source = {key: value for key, value in source.items()
                       if value is not None and value not in ("", {}, [])}
        self.values: dict[str, Any] = {}
        self.rows: dict[str, Row] = {}
        self.defaults: list[Row] = []
        self.problems: list[Problem] = []
        self._order = list(source)
        for key in source:
            if key not in self.source:
                self.say(key, "kept", EMPTY)

    def has(self, key: str) -> bool:
        """Tell whether the file sets a key that nobody has settled yet."""
        return key in self.source and key not in self.rows

    def say(self, key: str, action: Action, reason: str, field: str | None = None) -> None:
        """Settle a key of the file; a second word on the same key is not heard."""
        if key in self._order:
            self.rows.setdefault(key, Row(key, action, reason, field))

    def put(self, key: str, field: str, value: Any, reason: str = "") -> None:
        """Set a field for a key: carried over, renamed, or changed when a reason is given."""
        self.values[field] = value
        if reason:
            self.say(key, "changed", reason, field)
        elif field.rpartition(".")[2] == key:
            self.say(key, "kept", KEPT, field)
        else:
            self.say(key, "renamed", RENAMED.format(field=field), field)

    def drop(self, key: str, reason: str) -> None:
        """Settle a key that has no counterpart."""
        self.say(key, "dropped", reason)

    def default(self, key: str, field: str, value: Any, reason: str = "") -> None:
        """Write out a default of the other program where it differs from ours."""
        if field in self.values or value == default_of(field):
            return
        self.values[field] = value
        self.defaults.append(Row(key, "changed" if reason else "kept",
                                 reason or "LLaMA-Factory's default.", field))

    def refuse(self, code: str, message: str, advice: str) -> None:
        """Note why the file describes no training run."""
        self.problems.append(Problem(field="", code=code, message=message, advice=advice))

    def report(self) -> list[Row]:
        """Return the rows in the order of the file."""
        return [self.rows[key] for key in self._order]

    def flag(self, key: str, default: bool = False) -> bool:
        """Return a switch of the file."""
        return self.read(key, as_flag, default)

    def whole(self, key: str) -> int | None:
        """Return a whole number of the file, None when there is none."""
        return self.read(key, as_whole, None)

    def number(self, key: str) -> float | None:
        """Return a number of the file, None when there is none."""
        return self.read(key, as_number, None)

    def names(self, key: str) -> list[str]:
        """Return a list of names of the file."""
        return self.read(key, as_names, [])

    def text(self, key: str, default: str = "") -> str:
        """Return a text of the file."""
        return self.read(key, as_text, default)

    def read(self, key: str, how: Callable[[Any], T], default: D) -> T | D:
        """Return a value of the file read in another way; one that cannot be read is dropped."""
        if key not in self.source:
            return default
        try:
            return how(self.source[key])
        except Unreadable as error:
            self.drop(key, f"{error}: the default holds.")
            return default

"""Problems: what is wrong with a config, a machine or a dataset, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Scope = Literal["config", "machine", "network"]


class Problem(BaseModel):
    """One thing that keeps a run from starting.

    ``code`` and ``params`` let the board say the same in another language; ``message`` and
    ``advice`` are the English text for terminals, files and REST.
    """

    model_config = ConfigDict(frozen=True)

    field: str = Field(description="Dotted path of the config field, or '' for the whole run.")
    code: str = Field(description="Stable key of the message, e.g. 'unknown_field'.")
    message: str = Field(description="What happened, with the value.")
    advice: str = Field(default="", description="What to do next.")
    scope: Scope = Field(default="config", description="Where it holds: this config anywhere, "
                         "this machine, or the network.")
    params: dict[str, str] = Field(default_factory=dict, description="Values in the message.")

    def document(self) -> dict[str, str]:
        """Return the problem as scripts see it: field, message, advice, scope and code."""
        return self.model_dump(include={"field", "message", "advice", "scope", "code"})

    def __str__(self) -> str:
        """Return one readable line."""
        where = f"{self.field}: " if self.field else ""
        return f"{where}{self.message} {self.advice}".strip()


class ConfigError(ValueError):
    """A config was refused; ``problems`` holds every reason at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep the problems and make one text of them."""
        self.problems = list(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


_ADVICE = {
    "extra_forbidden": "Remove it, or check its spelling and its section.",
    "missing": "Add it.",
    "literal_error": "Choose one of the values named.",
    "enum": "Choose one of the values named.",
    "float_parsing": "Write a number, for example 2.0e-4.",
    "int_parsing": "Write a whole number.",
    "int_from_float": "Write a whole number.",
    "bool_parsing": "Write true or false.",
    "greater_than": "Choose a larger value.",
    "greater_than_equal": "Choose a larger value.",
    "less_than": "Choose a smaller value.",
    "less_than_equal": "Choose a smaller value.",
}


def _path(location: tuple[int | str, ...]) -> str:
    """Join a pydantic location to a dotted path, e.g. ``data.train.0``."""
    return ".".join(str(part) for part in location if not str(part).startswith("function-"))


def _shown(value: Any, limit: int = 80) -> str:
    """Show a value shortly, as the user wrote it."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _suggestion(name: str, known: Iterable[str]) -> str:
    """Return the closest known name, or ''."""
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return close[0] if close else ""


def from_validation_error(
    error: ValidationError, known: Mapping[str, Iterable[str]] | None = None
) -> list[Problem]:
    """Turn every error that pydantic found into a Problem.

    Args:
        error: What pydantic raised.
        known: Field names by section path, to suggest a spelling for unknown fields.
    """
    problems = []
    for item in error.errors():
        path, kind = _path(item["loc"]), item["type"]
        value = _shown(item.get("input"))
        if kind == "extra_forbidden":
            problems.append(_unknown_field(path, value, known or {}))
            continue
        text = item["msg"].removeprefix("Value error, ")
        message = text if kind == "missing" else f"{text} (got {value})."
        advice = _ADVICE.get(kind, "")
        params = {"value": value, **{k: str(v) for k, v in (item.get("ctx") or {}).items()}}
        problems.append(Problem(field=path, code=kind, message=message.replace("..", "."),
                                advice=advice, params=params))
    return problems


def _unknown_field(path: str, value: str, known: Mapping[str, Iterable[str]]) -> Problem:
    section, _, name = path.rpartition(".")
    close = _suggestion(name, known.get(section, ()))
    advice = f"Did you mean '{close}'?" if close else _ADVICE["extra_forbidden"]
    return Problem(field=path, code="extra_forbidden", advice=advice,
                   message=f"Unknown field '{name}' (value {value}).",
                   params={"name": name, "value": value, "suggestion": close})

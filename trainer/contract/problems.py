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


class RecordError(ValueError):
    """A record cannot be made, changed or read.

    Attributes:
        code: Stable name, such as 'unknown_key' or 'endpoint_exists'.
        advice: What to do next.
    """

    def __init__(self, code: str, message: str, advice: str = "") -> None:
        """Keep code and advice beside the message."""
        super().__init__(message)
        self.code, self.advice = code, advice


def message_and_advice(error: BaseException) -> tuple[str, str]:
    """Return (what happened, what to do) of an error of ours; the advice is '' when it has none.

    ``str()`` of some errors holds both: whoever shows the advice by itself asks here.
    """
    return str(getattr(error, "message", error)), str(getattr(error, "advice", ""))


_WORDS: dict[str, tuple[str, str]] = {
    "missing": ("This field is missing.", "Add it."),
    "literal_error": ("{value} is not one of {expected}.", "Choose one of those."),
    "float_type": ("{value} is not a number.", "Write a number, for example 2.0e-4."),
    "float_parsing": ("{value} is not a number.", "Write a number, for example 2.0e-4."),
    "finite_number": ("{value} is not a finite number.", "Write a number, for example 2.0e-4."),
    "int_type": ("{value} is not a whole number.", "Write a whole number."),
    "int_parsing": ("{value} is not a whole number.", "Write a whole number."),
    "int_from_float": ("{value} is not a whole number.", "Write a whole number."),
    "bool_type": ("{value} is neither true nor false.", "Write true or false."),
    "bool_parsing": ("{value} is neither true nor false.", "Write true or false."),
    "string_type": ("{value} is not a text.", "Write a text, in quotes if need be."),
    "list_type": ("{value} is not a list.", "Write a list."),
    "dict_type": ("{value} does not give each name its number.",
                  "Write name=number, with commas between."),
    "model_type": ("{value} is not a section.", "Write 'field: value' lines below it, indented."),
    "greater_than": ("{value} is too small.", "It must be greater than {gt}."),
    "greater_than_equal": ("{value} is too small.", "It must be at least {ge}."),
    "less_than": ("{value} is too large.", "It must be less than {lt}."),
    "less_than_equal": ("{value} is too large.", "It must be at most {le}."),
    "too_short": ("This list is empty.", "Name at least {min_length}."),
    "too_long": ("This list is too long.", "Name at most {max_length}."),
    "string_unicode": ("This text is no valid Unicode.", "Write it again."),
    "string_pattern_mismatch": ("{value} does not look as it must.", "It must match {pattern}."),
    "int_parsing_size": ("{value} is too large.", "Write a smaller number."),
    "string_too_short": ("This is empty.", "Write at least {min_length} characters."),
    "string_too_long": ("This text is too long.", "Write at most {max_length} characters."),
    "extra_forbidden": ("There is no field '{name}' (value {value}).",
                        "Remove it, or check its spelling and its section."),
}


# What to do about what our own validators refuse; they say themselves what is wrong.
_ADVICE = {
    "control_characters": "Remove them.", "name_is_path": "Choose another name.",
    "name_too_long": "Write a shorter one.", "dataset_twice": "Remove one of them.",
    "dataset_name": "Write a name of the registry, a path or a hub id.",
    "regular_expression": "Mend it, or leave it empty.", "json_text": "Mend it.",
    "revision_name": "Write a name such as main, or leave it empty.",
    "format_twice": "Remove one of them.", "source_twice": "Remove one of them.",
    "weights_zero": "Give one of them a weight.", "repo_name": "Write it like me/my-model.",
    "deployment_without_model": "Add 'merged' to the formats, or leave the folder out.",
    "method_of_adapters": "Choose one of those, or set 'what' to adapters.",
    "method_of_models": "Choose another method, or set 'what' to models.",
    "base_missing": "Name it in 'base'.", "slerp_of_two": "Choose another method, or two models.",
}


def _path(location: tuple[int | str, ...]) -> str:
    """Join a pydantic location to a dotted path, without the tags of union members."""
    tags = ("list[", "constrained-str", "function-", "use-name", "use-object")
    return ".".join(str(part) for part in location if not str(part).startswith(tags))


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
    problems: dict[str, Problem] = {}
    for item in error.errors():
        path = _path(item["loc"])
        if item["type"] == "extra_forbidden":
            problem = _unknown_field(path, _shown(item["input"]), known or {})
        else:
            problem = _wrong_value(path, item)
        problems.setdefault(path, problem)
    return list(problems.values())


def _wrong_value(path: str, item: Any) -> Problem:
    params = {k: str(v) for k, v in (item.get("ctx") or {}).items()}
    params["value"] = _shown(item.get("input"))
    if item["type"] not in _WORDS:
        return Problem(field=path, code=item["type"], message=item["msg"], params=params,
                       advice=_ADVICE.get(item["type"], "Correct this value."))
    message, advice = _WORDS[item["type"]]
    return Problem(field=path, code=item["type"], message=message.format_map(params),
                   advice=advice.format_map(params), params=params)


def _unknown_field(path: str, value: str, known: Mapping[str, Iterable[str]]) -> Problem:
    section, _, name = path.rpartition(".")
    close = _suggestion(name, known.get(section, ()))
    message, advice = _WORDS["extra_forbidden"]
    code = "unknown_field_close" if close else "unknown_field"
    return Problem(field=path, code=code, message=message.format(name=name, value=value),
                   advice=f"Did you mean '{close}'?" if close else advice,
                   params={"name": name, "value": value, "suggestion": close})

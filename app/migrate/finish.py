"""From a draft to a config that parses; what does not fit is dropped and said."""

from __future__ import annotations

from typing import Any

from app.migrate.draft import Draft
from app.migrate.rows import Row
from trainer.contract import ConfigError, Problem
from trainer.contract.config import all_fields, is_relevant, parse

FIRST = ("rollout.rewards", "teacher.name_or_path", "objective", "tuner.type", "data.train",
         "model.name_or_path")


def finish(draft: Draft) -> dict[str, Any]:
    """Return the nested values; fields that mean nothing or cannot be are taken out and said."""
    _irrelevant(draft)
    for _ in range(8):
        problems = _problems(draft.values)
        if not problems:
            return nested(draft.values)
        before = len(draft.values)
        for problem in problems:
            _take_out(draft, problem)
        if len(draft.values) == before:
            break
    return _one_by_one(draft)


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Return values by dotted path as a nested config, in the order of the fields."""
    found: dict[str, Any] = {}
    for path in [p for p in all_fields() if p in values]:
        node = found
        *sections, name = path.split(".")
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = values[path]
    return found


def _problems(values: dict[str, Any]) -> list[Problem]:
    try:
        parse(nested(values))
    except ConfigError as error:
        return error.problems
    return []


def _irrelevant(draft: Draft) -> None:
    """Take out fields that mean nothing beside the others."""
    fields = all_fields()
    for path in [p for p in draft.values if not is_relevant(fields[p], draft.values)]:
        _remove(draft, path, "It means nothing beside the other choices.")


def _take_out(draft: Draft, problem: Problem) -> None:
    """Take out the field that a problem speaks of, or the section's fields when it names one."""
    for path in [p for p in draft.values
                 if problem.field == p or problem.field.startswith(f"{p}.")]:
        if path not in FIRST:
            _remove(draft, path, problem)


def _one_by_one(draft: Draft) -> dict[str, Any]:
    """Set the fields one after the other; one that makes a problem is taken out."""
    order = sorted(draft.values, key=lambda path: (
        FIRST.index(path) if path in FIRST else len(FIRST)))
    taken: dict[str, Any] = {}
    for path in order:
        found = _problems({**taken, path: draft.values[path]})
        if found and path != "rollout.rewards":
            _remove(draft, path, found[0])
        else:
            taken[path] = draft.values[path]
    if _problems(taken):
        taken = {path: value for path, value in taken.items() if path.startswith("model.name")}
    return nested(taken)


def _remove(draft: Draft, path: str, why: str | Problem) -> None:
    """Take a field out and say so of every key that had set it."""
    draft.values.pop(path, None)
    problem = why if isinstance(why, Problem) else None
    reason = f"{why.message} {why.advice}".strip() if isinstance(why, Problem) else why
    for key, row in list(draft.rows.items()):
        if row.field == path and row.action != "dropped":
            draft.rows[key] = Row(key, "dropped", reason, None, problem)
    draft.defaults = [row for row in draft.defaults if row.field != path]

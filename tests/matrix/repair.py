"""From a drawn config to one that the form lets through, and what was refused on the way.

What is complained of gets another of its values; where that cannot help, another field returns to
its default. So nearly every case is trained in the end, and each refusal names what gave way.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.matrix.space import Values, choices_of
from trainer.contract import Problem
from trainer.contract.config import all_fields, default_of

ROUNDS = 40
Check = Callable[[Values], list[Problem]]
Way = tuple[str, Any]


@dataclass
class Settled:
    """A config that is let through, or why none was found.

    ``refusals`` are (field, value, code, the field that gave way).
    """

    values: Values
    refusals: list[tuple[str, str, str, str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def settle(values: Values, check: Check, chance: random.Random, *,
           kept: Collection[str] = ()) -> Settled:
    """Change what is refused until nothing is; the fields in ``kept`` stay as they are."""
    found = Settled(dict(values))
    for _ in range(ROUNDS):
        found.problems = check(found.values)
        if not found.problems or any(not p.message or not p.advice for p in found.problems):
            return found
        way = way_out(found.values, found.problems, check, chance, kept)
        if way is None:
            return found
        problem = found.problems[0]
        value = found.values.get(owner(problem.field), problem.field)
        found.refusals.append((problem.field, repr(value), problem.code, way[0]))
        found.values[way[0]] = way[1]
    return found


def way_out(values: Values, problems: list[Problem], check: Check, chance: random.Random,
            kept: Collection[str]) -> Way | None:
    """Return (field, value) that takes the first problem away and brings no other."""
    known = {(p.field, p.code) for p in problems}
    first = (problems[0].field, problems[0].code)
    for path, value in ways(values, owner(problems[0].field), chance):
        if path in kept:
            continue
        left = {(p.field, p.code) for p in check({**values, path: value})}
        if first not in left and left <= known:
            return path, value
    return None


def ways(values: Values, mine: str, chance: random.Random) -> Iterator[Way]:
    """Yield what may be tried, the likeliest first: the field itself, then returns to defaults."""
    fields = all_fields()
    if mine in values:
        yield from _others(values, mine, chance)
    given_up = [path for path in values if path != mine and values[path] != default_of(path)]
    for path in sorted(given_up, key=lambda path: len(choices_of(fields[path]))):
        yield path, default_of(path)
    for path in values:
        if path != mine:
            yield from _others(values, path, chance)


def _others(values: Values, path: str, chance: random.Random) -> Iterator[Way]:
    others = [value for value in choices_of(all_fields()[path]) if value != values[path]]
    for value in chance.sample(others, len(others)):
        yield path, value


def owner(path: str) -> str:
    """Return the field that a problem's path belongs to."""
    while path and path not in all_fields():
        path = path.rpartition(".")[0]
    return path

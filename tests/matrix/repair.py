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
           kept: Collection[str] = (), hopeless: set[Any] | None = None) -> Settled:
    """Change what is refused until nothing is.

    Args:
        values: The config.
        check: What the form says against one.
        chance: Chooses among what may be tried.
        kept: Fields that stay as they are.
        hopeless: Searched in vain so far; for these only what is likely is tried again.
    """
    hopeless = set() if hopeless is None else hopeless
    found = Settled(dict(values))
    for _ in range(ROUNDS):
        found.problems = check(found.values)
        if not found.problems or any(not p.message or not p.advice for p in found.problems):
            return found
        vain = (found.problems[0].field, found.problems[0].code, tuple(kept))
        likely = ways(found.values, owner(found.problems[0].field), chance, vain not in hopeless)
        way = next((one for one in likely if one[0] not in kept
                    and helps(found.values, one, found.problems, check)), None)
        if way is None:
            hopeless.add(vain)
            return found
        problem = found.problems[0]
        value = found.values.get(owner(problem.field), problem.field)
        found.refusals.append((problem.field, repr(value), problem.code, way[0]))
        found.values[way[0]] = way[1]
    return found


def helps(values: Values, way: Way, problems: list[Problem], check: Check) -> bool:
    """Tell whether a change takes the first problem away and brings no other."""
    known = {(p.field, p.code) for p in problems}
    left = {(p.field, p.code) for p in check({**values, way[0]: way[1]})}
    return (problems[0].field, problems[0].code) not in left and left <= known


def ways(values: Values, mine: str, chance: random.Random, every: bool) -> Iterator[Way]:
    """Yield what may be tried: the field itself, then returns to defaults, then ``every`` way."""
    fields = all_fields()
    if mine in values:
        yield from _others(values, mine, chance)
    given_up = [path for path in values if path != mine and values[path] != default_of(path)]
    for path in sorted(given_up, key=lambda path: len(choices_of(fields[path]))):
        yield path, default_of(path)
    for path in values if every else ():
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

"""Which cases are trained: drawn configs that are let through, and more for pairs left over.

No model is loaded here. Every pair of choices ends in one of three ways: in a case to be trained;
refused, also beside the defaults of everything else; or not reached, which is counted.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import combinations, product
from pathlib import Path
from typing import Any

from tests.matrix.repair import Check, Settled, settle
from tests.matrix.space import Values, always, choices_of, filled, rows, shown
from trainer.contract.config import all_fields, is_relevant

Pair = tuple[str, str, str, str]
ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("app", "trainer/contract", "tests/matrix")


@dataclass
class Plan:
    """Cases, the most telling first; the pairs that are refused, and by which code."""

    cases: list[Values] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    impossible: list[tuple[str, str, str]] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)
    silent: list[str] = field(default_factory=list)
    asked: int = 0


def key_of(values: Values) -> str:
    """Return a name for a case that stays the same from run to run."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def pairs_of(values: Values) -> set[Pair]:
    """Return the pairs of choices that a config has among the fields that are always there."""
    items = [(info.path, shown(values.get(info.path, info.default))) for info in always()]
    return {(*a, *b) for a, b in combinations(sorted(items), 2)}


def extras_of(values: Values) -> set[tuple[str, str]]:
    """Return the choices of fields that mean something only beside others, where they do."""
    fields = all_fields()
    return {(path, shown(value)) for path, value in values.items()
            if fields[path].only and is_relevant(fields[path], values)}


def all_pairs() -> Iterator[tuple[str, Any, str, Any]]:
    """Yield every pair of choices of the fields that are always there."""
    infos = sorted(always(), key=lambda info: info.path)
    for a, b in combinations(infos, 2):
        for x, y in product(choices_of(a), choices_of(b)):
            yield a.path, x, b.path, y


class Planner:
    """Draws, repairs and completes; ``tell`` hears how far it is."""

    def __init__(self, check: Check, seed: int, tell: Callable[[str], None]) -> None:
        self._check, self._tell = check, tell
        self._chance = random.Random(seed)
        self._seed = seed
        self._plan = Plan()
        self._having: dict[tuple[str, str], list[Values]] = {}
        self._covered: set[Pair] = set()
        self._hopeless: set[Any] = set()

    def make(self) -> Plan:
        """Return the plan."""
        for index, values in enumerate(rows(self._seed)):
            self._keep(self._settle(values))
            if index % 100 == 99:
                self._tell(f"{index + 1} drawn, {len(self._covered):,} pairs")
        impossible = self._singles()
        for a, x, b, y in all_pairs():
            self._plan.asked += 1
            pair = (a, shown(x), b, shown(y))
            if self._plan.asked % 2000 == 0:
                self._tell(f"{self._plan.asked:,} pairs looked at")
            if pair in self._covered:
                continue
            code = impossible.get(pair[:2]) or impossible.get(pair[2:]) or self._reach(a, x, b, y)
            if code:
                self._plan.refused[code] = self._plan.refused.get(code, 0) + 1
        self._plan.cases = telling(self._plan.cases)
        self._tell(f"{len(self._plan.cases)} cases, {len(self._covered):,} pairs of "
                   f"{self._plan.asked:,}, refused {sum(self._plan.refused.values()):,}")
        return self._plan

    def _settle(self, values: Values, kept: tuple[str, ...] = ()) -> Settled:
        found = settle(values, self._check, self._chance, kept=kept, hopeless=self._hopeless)
        for _, _, code, _ in found.refusals:
            self._plan.codes[code] = self._plan.codes.get(code, 0) + 1
        self._plan.silent += [f"{p.field} {p.code}" for p in found.problems
                              if not p.message or not p.advice]
        return found

    def _keep(self, found: Settled) -> None:
        if found.problems:
            return
        values = found.values
        self._plan.cases.append(values)
        self._covered |= pairs_of(values)
        for info in always():
            self._having.setdefault((info.path, shown(values[info.path])), []).append(values)

    def _singles(self) -> dict[tuple[str, str], str]:
        """Return the choices that nothing makes possible here, with the code that says so."""
        found = {}
        for info in always():
            for value in choices_of(info):
                if (info.path, shown(value)) in self._having:
                    continue
                case = self._settled({info.path: value}, None)
                self._keep(case)
                if case.problems:
                    code = case.problems[0].code
                    found[info.path, shown(value)] = code
                    self._plan.impossible.append((info.path, shown(value), code))
        return found

    def _reach(self, a: str, x: Any, b: str, y: Any) -> str:
        """Find a case with both choices; returns '' or the code that refuses them."""
        plain = self._settled({a: x, b: y}, None)
        if plain.problems:
            return plain.problems[0].code
        rich = self._settled({a: x, b: y}, self._chance.choice(self._having[a, shown(x)]))
        self._keep(plain if rich.problems else rich)
        return ""

    def _settled(self, wanted: Values, base: Values | None) -> Settled:
        """Look for a case with these choices, beside those of a base or the defaults."""
        values = {info.path: (base or {}).get(info.path, info.default) for info in always()}
        values = filled({**values, **wanted}, self._chance if base else _Defaults())
        return self._settle(values, tuple(wanted))


class _Defaults(random.Random):
    """Chooses the default, which is the first of all choices."""

    def choice(self, seq: Any) -> Any:
        return seq[0]


def telling(cases: list[Values]) -> list[Values]:
    """Return cases in the order of what each adds, without those that add nothing."""
    adds: list[set[Any]] = [pairs_of(values) | extras_of(values) for values in cases]
    heap = [(-len(added), index) for index, added in enumerate(adds)]
    heapq.heapify(heap)
    covered: set[Any] = set()
    ordered = []
    while heap:
        _, index = heapq.heappop(heap)
        gain = len(adds[index] - covered)
        if not gain:
            continue
        if heap and gain < -heap[0][0]:
            heapq.heappush(heap, (-gain, index))
            continue
        covered |= adds[index]
        ordered.append(cases[index])
    return ordered


def fingerprint(seed: int) -> str:
    """Return what the plan depends on: the seed and the source of form and checks."""
    digest = hashlib.sha256(str(seed).encode())
    for room in SOURCES:
        for path in sorted((ROOT / room).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def kept_plan(folder: Path, seed: int, make: Callable[[], Plan]) -> Plan:
    """Return the plan that was made of the same sources, or make and keep one."""
    path, now = folder / "plan.json", fingerprint(seed)
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept.pop("fingerprint") == now:
            return Plan(**kept)
    plan = make()
    path.write_text(json.dumps({"fingerprint": now, **asdict(plan)}), encoding="utf-8")
    return plan


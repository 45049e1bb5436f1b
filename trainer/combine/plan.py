"""Whether a method can combine these adapters, and what its result will be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.combine.errors import CombineError
from trainer.combine.modules import AdapterWish
from trainer.combine.sources import Source
from trainer.export.merge_files import NUMBERS

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Plan:
    """What will be written.

    Attributes:
        names: The names of A and B of each module.
        shapes: The size (out, in) of each module.
        rank: Of the result in every module; where less is needed, zeros fill it up.
        kind: The number format: the widest among the sources.
        frozen_bytes: Of the base's weights that the sources store beside.
    """

    names: dict[str, dict[str, str]]
    shapes: dict[str, tuple[int, int]]
    rank: int
    kind: torch.dtype
    frozen_bytes: int

    @property
    def bytes(self) -> int:
        """How large the weights will be."""
        return self.frozen_bytes + sum((height + width) * self.kind.itemsize * self.rank
                                       for height, width in self.shapes.values())


def make_plan(sources: list[Source], wish: AdapterWish) -> Plan:
    """Plan a combination.

    Raises:
        CombineError: The method cannot do it with these sources, or a setting says nothing to it.
    """
    _check_numbers(wish)
    _check_signs(sources, wish)
    if wish.needs_equal_ranks:
        _check_ranks(sources, wish)
    names: dict[str, dict[str, str]] = {}
    shapes: dict[str, tuple[int, int]] = {}
    for source in sources:
        for path, parts in source.factors.items():
            names.setdefault(path, parts)
            shapes[path] = source.facts[parts["B"]][0][0], source.facts[parts["A"]][0][1]
    rank = max(wish.rank([one.rank(path) for one in sources if path in one.factors])
               for path in names)
    frozen = {name: one.facts[name] for one in sources for name in one.frozen}
    return Plan(names, shapes, rank, _kind(sources),
                sum(math.prod(shape) * (NUMBERS[kind].itemsize if kind in NUMBERS else 8)
                    for shape, kind in frozen.values()))


def _check_signs(sources: list[Source], wish: AdapterWish) -> None:
    if "ties" in wish.method:
        taken = [one for one in sources if one.given.weight < 0]
        if taken:
            raise CombineError("weight_negative", f"'{taken[0].label}' has the weight "
                               f"{taken[0].given.weight}. PEFT's ties finds the sign of each "
                               "number before it looks at weights: it would elect the sign that "
                               "is to be taken away.", "Use linear, cat or svd to take away.")


def _check_ranks(sources: list[Source], wish: AdapterWish) -> None:
    first: dict[str, Source] = {}
    for source in sources:
        for path in source.factors:
            other = first.setdefault(path, source)
            if other.rank(path) != source.rank(path):
                raise CombineError(
                    "ranks_differ", f"'{other.label}' has rank {other.rank(path)} in {path}, "
                    f"'{source.label}' has {source.rank(path)}. {wish.method} sums A with A and B "
                    "with B, which must have one rank.", "Use cat (exact; the ranks add up), svd, "
                    "or another method whose name ends with svd: they take any ranks.")


def _check_numbers(wish: AdapterWish) -> None:
    if wish.needs_density and (wish.density is None or not 0 < wish.density <= 1):
        raise CombineError("density", f"{wish.method} needs a density above 0 and at most 1, the "
                           f"share of numbers that is kept; it is {wish.density}.",
                           "0.5 is a usual beginning; of ties, 0.2.")
    if not wish.needs_density and wish.density is not None:
        raise CombineError("density", f"{wish.method} keeps every number; density says nothing.",
                           "Leave density out, or choose ties, dare or magnitude_prune.")
    if wish.svd_rank is not None and (not wish.is_svd or wish.svd_rank < 1):
        raise CombineError("svd_rank", f"svd_rank is {wish.svd_rank}, with the method "
                           f"{wish.method}.", "It is at least 1, and for methods whose name ends "
                           "with svd.")


def _kind(sources: list[Source]) -> torch.dtype:
    import torch

    kinds = {NUMBERS.get(one.facts[name][1], torch.float32) for one in sources
             for parts in one.factors.values() for name in parts.values()}
    found = kinds.pop()
    for kind in kinds:
        found = torch.promote_types(found, kind)
    return found

r"""Whether the answer is right: numbers by value, everything else by normalised text.

The final answer stands where the pattern says; else after the last ``####`` (GSM8K), in the last
``\boxed{}``, or is the last number when the reference is a number, and the whole text when not.
"""

from __future__ import annotations

import re
import unicodedata

from trainer.contract.config import RewardUse
from trainer.rewards.base import Batch, Help, Reward, Score
from trainer.rewards.numbers import Number, as_number, last_number
from trainer.rewards.patterns import Pattern

LOOKED_AT = 20_000
_AROUND = " \t\n.,;:!?。，；：！？\"'`*_()[]（）「」“”‘’$"


class ExactAnswer(Reward):
    """1 when the answer equals the reference, else 0; None without a reference."""

    name = "exact_answer"

    def __init__(self, pattern: str | None = None) -> None:
        """Compile the pattern that says where the answer stands."""
        super().__init__()
        self._pattern = Pattern(pattern) if pattern else None

    def score(self, batch: Batch) -> list[Score]:
        """Return 1.0, 0.0 or None."""
        return [self._one(answer, reference)
                for answer, reference in zip(batch.completions, batch.references, strict=True)]

    def _one(self, answer: str, reference: str) -> Score:
        marked = after_mark(reference)
        right = (reference if marked is None else marked).strip()
        if not right:
            return None
        answer = answer[-LOOKED_AT:]
        said = self._pattern.last_group(answer) if self._pattern else after_mark(answer)
        if self._pattern and said is None:
            return 0.0
        number = as_number(right)
        whole = answer if said is None else said
        if number is not None:
            return float(_says(whole, number))
        return float(normalised(whole) == normalised(right))


def _says(text: str, number: Number) -> bool:
    found = last_number(text)
    return found is not None and found.equals(number)


def after_mark(text: str) -> str | None:
    r"""Return what stands after the last ``####`` or in the last ``\boxed{}``; None without."""
    _, mark, rest = text.rpartition("####")
    if mark:
        return rest.strip().partition("\n")[0]
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 0, start + len("\\boxed")
    for index in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return text[begin + 1:index]
    return text[begin + 1:]


def normalised(text: str) -> str:
    """Return a text without differences of case, spaces, width and punctuation around it."""
    text = re.sub(r"\\text\{([^{}]*)\}", r"\1", unicodedata.normalize("NFKC", text))
    return " ".join(text.casefold().split()).strip(_AROUND)


def build(use: RewardUse, help: Help) -> Reward:
    """Make the reward from its settings."""
    return ExactAnswer(use.pattern)

"""Regular expressions on answers: found somewhere ('regex'), or the whole of it ('format')."""

from __future__ import annotations

import re
from typing import Any

from trainer.contract.config import RewardUse
from trainer.failures import Failure
from trainer.rewards.base import Batch, Help, Reward, Score

SECONDS = 1.0


class Pattern:
    """A compiled expression whose search ends after a second where ``regex`` is installed.

    An expression that backtracks for ever on some answer would stop the training: such an answer
    counts as one that does not match.
    """

    def __init__(self, expression: str) -> None:
        """Compile; ``.`` takes line breaks too."""
        self._options: dict[str, Any] = {}
        try:
            import regex
            self._compiled: Any = regex.compile(expression, regex.DOTALL)
            self._options = {"timeout": SECONDS}
        except ImportError:
            self._compiled = re.compile(expression, re.DOTALL)

    def _try(self, how: str, text: str) -> Any:
        try:
            return getattr(self._compiled, how)(text, **self._options)
        except TimeoutError:
            return None

    def found(self, text: str) -> bool:
        """Tell whether it is found anywhere."""
        return self._try("search", text) is not None

    def whole(self, text: str) -> bool:
        """Tell whether it matches the whole text."""
        return self._try("fullmatch", text) is not None

    def last_group(self, text: str) -> str | None:
        """Return the first group of the last match, or all of it; None when there is none."""
        try:
            found = list(self._compiled.finditer(text, **self._options))
        except TimeoutError:
            return None
        if not found:
            return None
        return str(found[-1].group(1 if self._compiled.groups else 0) or "")


class Regex(Reward):
    """1 when the expression is found in the answer, else 0."""

    name = "regex"

    def __init__(self, pattern: str) -> None:
        """Compile the expression."""
        super().__init__()
        self._pattern = Pattern(pattern)

    def score(self, batch: Batch) -> list[Score]:
        """Return 1.0 or 0.0."""
        return [float(self._pattern.found(text)) for text in batch.completions]


class Format(Regex):
    """1 when the expression matches the whole answer, spaces around it aside; else 0."""

    name = "format"

    def score(self, batch: Batch) -> list[Score]:
        """Return 1.0 or 0.0."""
        return [float(self._pattern.whole(text.strip())) for text in batch.completions]


def build(use: RewardUse, help: Help) -> Reward:
    """Make the reward from its settings."""
    if not use.pattern:
        raise Failure("reward_needs", f"The reward '{use.name}' needs 'pattern'.", "Add it.")
    return Format(use.pattern) if use.name == "format" else Regex(use.pattern)

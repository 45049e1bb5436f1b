"""Which rows are left out before training, and why."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Protocol

from trainer.contract.config.data import FilterConfig
from trainer.data.checking.languages import language_of
from trainer.data.reading.rows import DatasetError
from trainer.data.shapes.fast import texts_of
from trainer.data.shapes.messages import Example

REASONS = ("too_short", "too_long", "language", "not_included", "excluded")
# A row's share of time; an expression that needs more is one that backtracks without end.
SEARCH_S = 1.0


class _Expression(Protocol):
    def search(self, text: str) -> bool:
        """Tell whether the expression is found."""


class _Timed:
    """A regular expression that is given up after SEARCH_S (package ``regex``)."""

    def __init__(self, module: Any, expression: str) -> None:
        self._expression = expression
        self._compiled = module.compile(expression)

    def search(self, text: str) -> bool:
        """Tell whether the expression is found; DatasetError ``slow_expression``."""
        try:
            return self._compiled.search(text, timeout=SEARCH_S) is not None
        except TimeoutError:
            raise DatasetError(
                "slow_expression", f"The regular expression '{self._expression}' did not finish "
                f"within {SEARCH_S:g} s on a row of {len(text):,} characters.",
                "Write it without nested repetitions such as (a+)+.") from None


class _Plain:
    """The same without a limit, where ``regex`` is missing or reads the expression otherwise."""

    def __init__(self, expression: str) -> None:
        self._compiled = re.compile(expression)

    def search(self, text: str) -> bool:
        """Tell whether the expression is found."""
        return self._compiled.search(text) is not None


def _expression(text: str | None) -> _Expression | None:
    if not text:
        return None
    try:
        import regex
    except ImportError:
        return _Plain(text)
    try:
        return _Timed(regex, text)
    except regex.error:
        return _Plain(text)


class Filter:
    """A FilterConfig made ready for many rows."""

    def __init__(self, config: FilterConfig) -> None:
        """Compile the expressions.

        Args:
            config: From a run's ``data.filters``.
        """
        self._shortest = config.min_characters or 0
        self._longest = config.max_characters or 0
        self._languages = {code.strip().lower() for code in config.languages if code.strip()}
        self._include, self._exclude = _expression(config.include), _expression(config.exclude)

    def reason(self, example: Example) -> str:
        """Return why a row is left out, one of REASONS; '' when it is kept.

        Raises:
            DatasetError: ``slow_expression``, or ``language_filter_missing``.
        """
        text = "\n".join(texts_of(example))
        if len(text) < self._shortest:
            return "too_short"
        if self._longest and len(text) > self._longest:
            return "too_long"
        if self._include and not self._include.search(text):
            return "not_included"
        if self._exclude and self._exclude.search(text):
            return "excluded"
        if self._languages and language_of(text) not in self._languages:
            return "language"
        return ""


@lru_cache(maxsize=16)
def _ready(document: str) -> Filter:
    return Filter(FilterConfig.model_validate_json(document))


def keep(example: Example, config: FilterConfig) -> str:
    """Return '' when an example is kept, else why it is left out (one of REASONS).

    For many rows make one ``Filter``.

    Raises:
        DatasetError: As ``Filter.reason``.
    """
    return _ready(config.model_dump_json()).reason(example)

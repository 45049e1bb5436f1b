"""Whether an answer is the reference, has it in it, or is what an expression describes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from trainer.failures import Failure
from trainer.scoring.normalise import normaliser
from trainer.scoring.predictions import Prediction
from trainer.scoring.scores import Metric, Scores, mean, needs_package

SECONDS = 1.0
MOST_TIMEOUTS = 5


class _Beside(Metric):
    """Holds each answer against its references, both without what is no difference."""

    def __init__(self, normalise: Sequence[str]) -> None:
        self._plain = normaliser(normalise)

    def score(self, predictions: Sequence[Prediction]) -> list[Scores]:
        """Return the one score of that name; rows without a reference are left out."""
        return [mean(self.name, predictions, [self._one(p) for p in predictions], share=True)]

    def _one(self, prediction: Prediction) -> float | None:
        if not (right := prediction.right):
            return None
        return float(self._fits(self._plain(prediction.output), map(self._plain, right)))

    def _fits(self, said: str, right: Iterable[str]) -> bool:
        raise NotImplementedError


class ExactMatch(_Beside):
    """1 when the answer is one of the references, but for what is normalised away."""

    name = "exact_match"

    def __init__(self, *, normalise: Sequence[str] = ("whitespace",)) -> None:
        """Say what is no difference; of ``normalise.NORMALISERS``."""
        super().__init__(normalise)

    def _fits(self, said: str, right: Iterable[str]) -> bool:
        return said in right


class Contains(_Beside):
    """1 when one of the references stands in the answer; with ``every`` all of them."""

    name = "contains"

    def __init__(self, *, normalise: Sequence[str] = ("width", "case", "whitespace"),
                 every: bool = False) -> None:
        """Say what is no difference, and whether one reference is enough."""
        super().__init__(normalise)
        self._enough = all if every else any

    def _fits(self, said: str, right: Iterable[str]) -> bool:
        return self._enough(text in said for text in right)


class Regex(Metric):
    """1 when an expression is found in the answer; with ``whole`` when it matches all of it.

    ``.`` takes line breaks too. A search ends after a second and counts as not found; after five
    of those the whole metric ends, because the expression would take hours on the rest.
    """

    name = "regex"

    def __init__(self, *, pattern: str, whole: bool = False) -> None:
        """Compile the expression.

        Raises:
            Failure: It cannot be compiled, or the package ``regex`` is missing: only that one
                can end a search.
        """
        try:
            import regex
        except ImportError:
            raise needs_package("regex") from None
        try:
            self._compiled: Any = regex.compile(pattern, regex.DOTALL)
        except regex.error as error:
            raise Failure("metric_pattern", f"'{pattern}' is no regular expression: {error}.",
                          "Mend 'pattern'.") from None
        self._whole, self._timeouts = whole, 0
        # Whole: what took too long once is not tried again when mistakes are sorted.
        self._cached = cache(self._matches)

    def score(self, predictions: Sequence[Prediction]) -> list[Scores]:
        """Return ``regex``.

        Raises:
            Failure: Five answers took more than a second each.
        """
        self._timeouts = 0
        values = [float(self._cached(p.output)) for p in predictions]
        return [mean(self.name, predictions, values, share=True)]

    def formed(self, prediction: Prediction) -> bool:
        """Tell whether the expression matches."""
        return self._cached(prediction.output)

    def _matches(self, text: str) -> bool:
        find = self._compiled.fullmatch if self._whole else self._compiled.search
        try:
            return find(text, timeout=SECONDS) is not None
        except TimeoutError:
            self._timeouts += 1
        if self._timeouts >= MOST_TIMEOUTS:
            raise Failure("metric_pattern", f"The expression '{self._compiled.pattern}' takes "
                          f"more than {SECONDS:g} s on each of {MOST_TIMEOUTS} answers.",
                          "Avoid repeats within repeats, such as (a+)+.")
        return False

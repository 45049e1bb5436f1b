"""Whether an answer is in the wanted language, by py3langid (extras ``data``, ``rewards``)."""

from __future__ import annotations

from typing import Any

from trainer.contract.config import RewardUse
from trainer.failures import Failure
from trainer.rewards.base import Batch, Help, Reward, Score, needs_package

LOOKED_AT = 2_000


class Language(Reward):
    """The probability (0 to 1) that an answer is in a language; 0 without any letters."""

    name = "language"

    def __init__(self, language: str) -> None:
        """Load the classifier.

        Raises:
            Failure: The package is missing, or does not know the language.
        """
        super().__init__()
        self._language = language.strip().lower()
        self._classifier = _load()
        known = sorted(map(str, self._classifier.nb_classes))
        if self._language not in known:
            raise Failure("reward_language", f"'{language}' is no language that py3langid knows.",
                          f"Use an ISO 639-1 code: {', '.join(known)}.")

    def score(self, batch: Batch) -> list[Score]:
        """Return probabilities."""
        return [self._one(text[:LOOKED_AT]) for text in batch.completions]

    def _one(self, text: str) -> float:
        if not any(character.isalpha() for character in text):
            return 0.0
        ranked = dict(self._classifier.rank(text))
        return float(ranked.get(self._language, 0.0))


def _load() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        raise needs_package("py3langid", "data") from None
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def build(use: RewardUse, help: Help) -> Reward:
    """Make the reward from its settings."""
    if not use.language:
        raise Failure("reward_needs", "The reward 'language' needs 'language'.", "Such as en.")
    return Language(use.language)

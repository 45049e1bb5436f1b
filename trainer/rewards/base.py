"""What every reward has in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.failures import Failure

if TYPE_CHECKING:
    from trainer.precision import Precision

Score = float | None


@dataclass(frozen=True)
class Help:
    """What some rewards need from outside.

    ``runs`` is the folder that holds the runs, ``tokenizer`` the tokenizer.json of the model that
    answers, ``precision`` how to compute; None where a reward is used without a run.
    """

    runs: Path | None = None
    tokenizer: Path | None = None
    precision: Precision | None = None


@dataclass(frozen=True)
class Batch:
    """Answers to be scored; each list has one entry an answer.

    ``references`` are texts, '' where there is none. ``prompt_ids`` and ``completion_ids`` are
    tokens, empty when the caller has none.
    """

    prompts: list[str]
    completions: list[str]
    references: list[str]
    prompt_ids: list[list[int]]
    completion_ids: list[list[int]]

    def __len__(self) -> int:
        """Return the number of answers."""
        return len(self.completions)


class Reward:
    """Scores answers; a score of None leaves an answer out (nothing to compare with)."""

    name = "reward"

    def __init__(self) -> None:
        """Be called as its kind is; TRL takes the names of its metrics from here."""
        self.__name__ = self.name

    def score(self, batch: Batch) -> list[Score]:
        """Return one score an answer; what each kind defines."""
        raise NotImplementedError

    def __call__(self, prompts: Sequence[str], completions: Sequence[str],
                 references: Sequence[str] | None = None,
                 completion_ids: Sequence[Sequence[int]] | None = None,
                 prompt_ids: Sequence[Sequence[int]] | None = None) -> list[Score]:
        """Return one finite number (or None) an answer.

        Args:
            prompts: What was asked, as the model saw it.
            completions: Answers without special tokens.
            references: Right answers, or what the data has to compare with.
            completion_ids: The answers as tokens.
            prompt_ids: The prompts as tokens.

        Raises:
            Failure: The reward cannot be computed, or is no finite number.
        """
        batch = Batch(list(prompts), list(completions), list(references or [""] * len(completions)),
                      [list(ids) for ids in prompt_ids or []],
                      [list(ids) for ids in completion_ids or []])
        if not len(batch.prompts) == len(batch) == len(batch.references):
            raise Failure("reward_lengths", f"{len(batch.prompts)} prompts, {len(batch)} answers "
                          f"and {len(batch.references)} references cannot be matched.")
        scores = self.score(batch) if len(batch) else []
        self._check(scores, len(batch))
        return scores

    def _check(self, scores: list[Score], wanted: int) -> None:
        if len(scores) != wanted:
            raise Failure("reward_count", f"The reward '{self.__name__}' returned {len(scores)} "
                          f"scores for {wanted} answers.", "It must return one score an answer.")
        for index, score in enumerate(scores):
            if score is not None and not math.isfinite(score):
                raise Failure("reward_not_finite", f"The reward '{self.__name__}' returned {score} "
                              f"for answer {index + 1} of {wanted}.",
                              "It must return finite numbers; None leaves an answer out.")

    def close(self) -> None:
        """Let go of what the reward holds open."""


def needs_package(package: str, extra: str) -> Failure:
    """Return the error for a package that is not installed."""
    return Failure("reward_package", f"This reward needs the package '{package}', which is not "
                   "installed.", f"Run: pip install 'finestra[{extra}]'")

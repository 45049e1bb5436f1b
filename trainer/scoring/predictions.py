"""What is scored: an answer beside what was asked and what would have been right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of a question: its text, and the natural log-likelihood that a model gives it."""

    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Likelihood:
    """What a model says of a given text, token by token.

    Attributes:
        logprobs: Natural log-probability of each token given those before it.
        likeliest: Whether each token was the likeliest one; as long as ``logprobs``, or empty.
        n_bytes: Length of the text in UTF-8.
    """

    logprobs: tuple[float, ...]
    likeliest: tuple[bool, ...]
    n_bytes: int

    @classmethod
    def of(cls, text: str, logprobs: Sequence[float],
           likeliest: Sequence[bool] = ()) -> Likelihood:
        """Count the bytes of a text; a lone surrogate counts as the three bytes it would take."""
        return cls(tuple(logprobs), tuple(likeliest), len(text.encode("utf-8", "surrogatepass")))


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer of a model to one row; what a metric does not need may be left out.

    Attributes:
        row: The row of the dataset, from 1; pairs the answers of two models.
        prompt: What was asked, as text.
        output: What the model said, without special tokens.
        references: Right answers, any of which will do; an empty one counts as none.
        choices: The choices with their log-likelihoods, for multiple choice.
        right_choice: Which of them is right, from 0.
        label: The right class.
        tools: Names of the tools that could be called.
        expected_calls: The right tool calls, OpenAI's form or ``{name, arguments}``; an empty
            tuple when none is right, None when the row says nothing of tools.
        calls: The calls that the model made; None reads them from ``output``.
        finish_reason: ``stop``, ``length``, ``tool_calls``; '' when it is not known.
        likelihood: What the model says of the reference, token by token.
    """

    row: int
    prompt: str
    output: str
    references: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()
    right_choice: int | None = None
    label: str | None = None
    tools: tuple[str, ...] = ()
    expected_calls: tuple[dict[str, Any], ...] | None = None
    calls: tuple[dict[str, Any], ...] | None = None
    finish_reason: str = ""
    likelihood: Likelihood | None = None

    @property
    def right(self) -> tuple[str, ...]:
        """The references that are not empty."""
        given = self.references
        if len(given) == 1:
            return given if given[0].strip() else ()
        return tuple(text for text in given if text.strip())

"""What is asked and what is said: the one thing that rows, engines, scores and judges agree on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from trainer.scoring.predictions import Likelihood

Message = dict[str, Any]


@dataclass(frozen=True)
class Ask:
    """A row as a question.

    Attributes:
        dataset: As the config names it.
        row: Of the dataset, from 1.
        messages: OpenAI's form, without the answer; empty where ``text`` is gone on with.
        text: The beginning of a plain text; '' where there are messages.
        tools: Functions that may be called, OpenAI's form.
        references: Right answers, any of which will do.
        choices: What can be chosen from, for multiple choice; ``right_choice`` from 0.
        label: The right class.
        expected_calls: The right tool calls; None when the row says nothing of tools.
    """

    dataset: str
    row: int
    messages: tuple[Message, ...] = ()
    text: str = ""
    tools: tuple[dict[str, Any], ...] = ()
    references: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    right_choice: int | None = None
    label: str | None = None
    expected_calls: tuple[dict[str, Any], ...] | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What an answer is found again by."""
        return self.dataset, self.row

    @property
    def shown(self) -> str:
        """What was asked, as a person reads it: the last thing that a person said, or the text."""
        said = [one.get("content") for one in self.messages if one.get("role") == "user"]
        return str(said[-1] or "") if said else self.text


@dataclass(frozen=True)
class Said:
    """An answer to a row.

    Attributes:
        text: Without special tokens.
        finish_reason: 'stop', 'length', 'tool_calls'; '' when it is not known.
        tokens: Of the answer; ``prompt_tokens`` of the question.
        calls: Tool calls that the engine read out of the answer; None when it read none.
        likelihood: Of the reference, where it was asked for.
        choices: Log-likelihood of each choice.
        error: Why there is no answer, such as a prompt longer than the context; it counts as ''.
    """

    text: str = ""
    finish_reason: str = ""
    tokens: int = 0
    prompt_tokens: int = 0
    calls: tuple[dict[str, Any], ...] | None = None
    likelihood: Likelihood | None = None
    choices: tuple[float, ...] = ()
    error: str = ""


Ability = Literal["chat", "text", "likelihood"]


class Asker(Protocol):
    """A model that can be asked; one for each model of an evaluation.

    Its methods may be called many at once on one event loop.
    """

    name: str

    def can(self, ability: Ability) -> str:
        """Return '' when it can, else why not, in words for people."""
        ...

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send ``body`` with the model's name to ``path`` of its server; return the reply.

        It waits and tries again where the server is busy (429, 5xx, a broken connection), a few
        times, as long as the server lives.

        Raises:
            Failure: 'engine_died' (the engine is gone; its last lines are in the message's log),
                'endpoint_unreachable', 'endpoint_refused' (401, 403, 404), 'stopped'.
            Unanswerable: This one request cannot be answered (400, 413, 422): the row's error.
        """
        ...


class Unanswerable(Exception):
    """One request that a server refuses, such as a prompt longer than the context."""

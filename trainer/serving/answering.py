"""One question, and each of its answers as it grows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from trainer.serving.failures import Refused
from trainer.serving.grammar import Grammar
from trainer.serving.hot import Loaded
from trainer.serving.picking import Picker, Sampling, Scored
from trainer.serving.prompts import PromptScores
from trainer.serving.speech import Speech

if TYPE_CHECKING:
    import torch

Finish = Literal["", "stop", "length"]


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        ids: The prompt's tokens.
        max_tokens: Longest answer.
        eos_ids: Tokens that end an answer.
        stops: Texts that end an answer.
        sampling: How tokens are drawn.
        adapter: With which adapter; None asks the base.
        answers: How many are wanted.
        top_logprobs: How many of the likeliest tokens to tell of; None for no log-probability.
        is_text: Whether an answer goes on with the prompt's text, rather than being a turn.
        shown: Special tokens that are shown as text: they begin tool calls.
        grammar: What the answer must follow, '' for anything.
        prompt_top: How many of the likeliest tokens to tell of at each place of the prompt; None
            when nothing is told of the prompt.
        echo: Whether the prompt's text stands before the answer.
    """

    ids: tuple[int, ...]
    max_tokens: int
    eos_ids: frozenset[int]
    stops: tuple[str, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    adapter: Loaded | None = None
    answers: int = 1
    top_logprobs: int | None = None
    is_text: bool = False
    shown: frozenset[int] = frozenset()
    grammar: str = ""
    prompt_top: int | None = None
    echo: bool = False


@dataclass(frozen=True)
class Piece:
    """What was added to an answer; ``finish`` says why nothing follows.

    ``tokens`` are all that were drawn since the last piece, the one that ends the answer included.
    The first token is told of at once, ``at`` (monotonic seconds), also when it shows nothing yet.
    Where the prompt is told of, ``prompt`` comes in a piece of its own, before all others.
    """

    index: int
    text: str
    tokens: tuple[Scored, ...]
    finish: Finish
    at: float
    prompt: PromptScores | None = None


Post = Callable[[Piece | Refused], None]


@dataclass(eq=False)
class Ticket:
    """A question that was handed in; its pieces are posted from the engine's thread.

    ``told`` is for the engine: whether its prompt was told of, where that is wanted.
    """

    question: Question
    post: Post
    told: bool = False
    _gone: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Say that nobody waits any more; the answer ends with the next token."""
        self._gone.set()

    @property
    def waits(self) -> bool:
        """Whether somebody still waits."""
        return not self._gone.is_set()


class Answer:
    """One answer to a question."""

    def __init__(self, ticket: Ticket, index: int, speech: Speech, grammar: Grammar | None) -> None:
        """Begin; nothing is said yet."""
        asked = ticket.question
        self.ticket, self._index = ticket, index
        self._speech, self._grammar = speech, grammar
        self._picker = Picker(asked.sampling, asked.ids, number=index,
                              top_logprobs=asked.top_logprobs)
        self._unsaid: list[Scored] = []
        self._count = 0
        self.last = 0
        self.done = False

    @property
    def reads_only(self) -> bool:
        """Whether the likeliest token is taken without a look at the others."""
        return self._picker.reads_only and self._grammar is None

    def take(self, logits: torch.Tensor, best: int | None = None) -> None:
        """Draw the next token and post what it adds.

        Args:
            logits: (V,).
            best: The likeliest token, where ``reads_only`` and it is known.
        """
        scored = Scored(best, 0.0) if best is not None and self.reads_only else self._draw(logits)
        self.last = scored.token
        self._count += 1
        self._unsaid.append(scored)
        text, finish = self._hear(scored.token)
        self.done = bool(finish)
        if text or finish or self._count == 1:
            piece = Piece(self._index, text, tuple(self._unsaid), finish, time.monotonic())
            self._unsaid = []
            self.ticket.post(piece)

    def _draw(self, logits: torch.Tensor) -> Scored:
        mask = self._grammar.mask().to(logits.device) if self._grammar else None
        return self._picker.pick(logits, mask)

    def _hear(self, token: int) -> tuple[str, Finish]:
        asked, speech = self.ticket.question, self._speech
        if token in asked.eos_ids:
            return speech.finish(), "stop"
        text = speech.hear(token)
        if speech.stopped:
            return text, "stop"
        complete = self._grammar is not None and not self._grammar.take(token)
        if complete or self._count >= asked.max_tokens:
            text += speech.finish()
            return text, "stop" if complete or speech.stopped else "length"
        return text, ""

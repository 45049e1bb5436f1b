"""Making examples short enough, in whole turns, and saying what was cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from trainer.data.chat import ChatTemplate
from trainer.data.messages import Example, Message
from trainer.data.tokenizer import TokenizedRow, Tokenizer

Overlong = Literal["cut_turns", "drop"]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class FittedRow:
    """A conversation as tokens (``tokens: (T,)``, T <= max_length) and what was cut from it."""

    row: int
    tokens: TokenizedRow
    cut_turns: int = 0
    cut_tokens: int = 0

    @property
    def length(self) -> int:
        """Number of tokens that a model reads."""
        return len(self.tokens)

    @property
    def trained_tokens(self) -> int:
        """Number of tokens that are learned."""
        return self.tokens.trained_tokens


@dataclass(frozen=True, slots=True)
class FittedPair:
    """A preference pair as token ids.

    ``prompt_ids: (P,)``, ``chosen_ids: (C,)`` and ``rejected_ids: (R,)`` with end-of-turn tokens;
    P + max(C, R) <= max_length.
    """

    row: int
    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    cut_turns: int = 0
    cut_tokens: int = 0

    @property
    def length(self) -> int:
        """Number of tokens of the longer conversation."""
        return len(self.prompt_ids) + max(len(self.chosen_ids), len(self.rejected_ids))

    @property
    def trained_tokens(self) -> int:
        """Number of tokens of both answers."""
        return len(self.chosen_ids) + len(self.rejected_ids)


Fitted = FittedRow | FittedPair


def fit(example: Example, *, tokenizer: Tokenizer, template: ChatTemplate, max_length: int,
        overlong: Overlong = "cut_turns") -> Fitted | None:
    """Tokenise one example so that it has at most ``max_length`` tokens.

    ``cut_turns`` leaves out whole turns from the front (the system message stays), up to the last
    user's turn; then the tail of the last answer, never its beginning. ``drop`` leaves out the
    example.

    Returns:
        A FittedRow, or a FittedPair for an example with ``chosen`` and ``rejected``; None when it
        is dropped: told to, or its prompt alone is too long.

    Raises:
        TemplateError: The chat template refuses the conversation.
    """
    if example.chosen:
        return fit_pair(example, encode_pair(example, tokenizer, template, example.messages),
                        lambda m: encode_pair(example, tokenizer, template, m),
                        max_length=max_length, overlong=overlong)
    return fit_row(example, tokenizer.encode(template.render(example.messages, example.tools)),
                   lambda m: tokenizer.encode(template.render(m, example.tools)),
                   max_length=max_length, overlong=overlong)


def fit_row(example: Example, tokens: TokenizedRow, encode: Callable[[list[Message]], TokenizedRow],
            *, max_length: int, overlong: Overlong) -> FittedRow | None:
    """Fit a conversation that is already tokenised; ``encode`` tokenises fewer turns of it."""
    if len(tokens) <= max_length:
        return FittedRow(example.row, tokens)
    if overlong == "drop":
        return None
    cut, shorter = _fewest_cut(example.messages, tokens, encode,
                               lambda t: len(t) <= max_length)
    if len(shorter) <= max_length:
        return FittedRow(example.row, shorter, cut)
    if shorter.last_answer >= max_length:
        return None
    return FittedRow(example.row, shorter.head(max_length), cut, len(shorter) - max_length)


def encode_pair(example: Example, tokenizer: Tokenizer, template: ChatTemplate,
                prompt: list[Message]) -> tuple[TokenizedRow, TokenizedRow]:
    """Tokenise a prompt with each of its two answers; only the answers are labelled."""
    chosen, rejected = tokenizer.encode_many(
        [template.render_answer(prompt, answer, example.tools)
         for answer in (example.chosen, example.rejected)])
    return chosen, rejected


def fit_pair(example: Example, pair: tuple[TokenizedRow, TokenizedRow],
             encode: Callable[[list[Message]], tuple[TokenizedRow, TokenizedRow]], *,
             max_length: int, overlong: Overlong) -> FittedPair | None:
    """Fit a pair that is already tokenised; ``encode`` tokenises it with a shorter prompt."""
    cut = 0
    if _pair_length(pair) > max_length:
        if overlong == "drop":
            return None
        cut, pair = _fewest_cut(example.messages, pair, encode,
                                lambda p: _pair_length(p) <= max_length)
    chosen, rejected = pair
    start = chosen.first_trained
    prompt_ids = chosen.input_ids[:start]
    answers = [_answer(row)[:max(max_length - start, 0)] for row in (chosen, rejected)]
    lost = len(_answer(chosen)) + len(_answer(rejected)) - sum(map(len, answers))
    if start >= max_length or answers[0] == answers[1]:
        return None
    return FittedPair(example.row, prompt_ids, answers[0], answers[1], cut, lost)


def _answer(row: TokenizedRow) -> list[int]:
    """Return the labelled tokens, which are one run."""
    start = row.first_trained
    return row.input_ids[start:start + row.trained_tokens]


def _pair_length(pair: tuple[TokenizedRow, TokenizedRow]) -> int:
    return max(row.first_trained + row.trained_tokens for row in pair)


def _fewest_cut(messages: list[Message], whole: _T, encode: Callable[[list[Message]], _T],
                is_short: Callable[[_T], bool]) -> tuple[int, _T]:
    """Leave out as few user turns with their answers as needed, by bisection.

    Args:
        messages: The turns.
        whole: What ``encode`` makes of all of them, which is too long.
        encode: Tokenises fewer turns.
        is_short: Whether the result is short enough.

    Returns:
        How many messages were left out, and what ``encode`` made of the rest. When nothing is
        short enough, everything that may be left out is.
    """
    head = [m for m in messages[:1] if m.role == "system"]
    starts = [i for i, m in enumerate(messages) if m.role == "user"]
    if len(starts) < 2:
        return 0, whole
    low, high = 1, len(starts) - 1
    best = encode(head + messages[starts[high]:])
    while low < high:
        middle = (low + high) // 2
        tokens = encode(head + messages[starts[middle]:])
        if is_short(tokens):
            high, best = middle, tokens
        else:
            low = middle + 1
    return starts[high] - len(head), best

"""Making examples short enough, in whole turns, and saying what was cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from trainer.data.shapes.messages import Example, Message, question_of
from trainer.data.tokens.tokenizer import TokenizedRow

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


@dataclass(frozen=True, slots=True)
class FittedAnswer:
    """An answer that is desired or not (KTO) as token ids.

    ``prompt_ids: (P,)`` and ``completion_ids: (C,)`` with the end-of-turn token;
    P + C <= max_length.
    """

    row: int
    prompt_ids: list[int]
    completion_ids: list[int]
    label: bool
    cut_turns: int = 0
    cut_tokens: int = 0

    @property
    def length(self) -> int:
        """Number of tokens that a model reads."""
        return len(self.prompt_ids) + len(self.completion_ids)

    @property
    def trained_tokens(self) -> int:
        """Number of tokens of the answer."""
        return len(self.completion_ids)


@dataclass(frozen=True, slots=True)
class FittedPrompt:
    """A prompt that a model is to answer.

    ``prompt_ids: (P,)`` with the generation prompt, P <= max_length; ``prompt`` is the same as
    text, and ``question`` what people are shown of it. ``reference`` is the right answer, "" when
    nobody knows it.
    """

    row: int
    prompt_ids: list[int]
    prompt: str
    question: str
    reference: str
    cut_turns: int = 0
    cut_tokens: int = 0

    @property
    def length(self) -> int:
        """Number of tokens that a model reads before it answers."""
        return len(self.prompt_ids)

    @property
    def trained_tokens(self) -> int:
        """None: what is learned from is what the model will answer."""
        return 0


@dataclass(frozen=True, slots=True)
class FittedText:
    """A text (``input_ids: (T,)``, T <= max_length) with the name of its class."""

    row: int
    input_ids: list[int]
    label: str
    cut_turns: int = 0
    cut_tokens: int = 0

    @property
    def length(self) -> int:
        """Number of tokens that a model reads."""
        return len(self.input_ids)

    @property
    def trained_tokens(self) -> int:
        """None: the class is learned, no token is."""
        return 0


Fitted = FittedRow | FittedPair | FittedAnswer | FittedPrompt | FittedText
Asked = tuple[str, TokenizedRow]
Edges = tuple[tuple[int, ...], tuple[int, ...]]


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
    if not 0 <= shorter.last_answer < max_length:
        return None
    return FittedRow(example.row, shorter.head(max_length), cut, len(shorter) - max_length)


def fit_answer(example: Example, tokens: TokenizedRow,
               encode: Callable[[list[Message]], TokenizedRow], *, max_length: int,
               overlong: Overlong) -> FittedAnswer | None:
    """Fit a prompt with the one answer that is judged; the arguments are those of ``fit_row``."""
    found = fit_row(example, tokens, encode, max_length=max_length, overlong=overlong)
    if found is None:
        return None
    ids, start = found.tokens.input_ids, found.tokens.first_trained
    return FittedAnswer(example.row, ids[:start], ids[start:found.tokens.trained[-1][1]],
                        bool(example.label), found.cut_turns, found.cut_tokens)


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


def fit_prompt(example: Example, asked: Asked, encode: Callable[[list[Message]], Asked], *,
               max_length: int, overlong: Overlong) -> FittedPrompt | None:
    """Fit a prompt, as text and tokens, by leaving out whole turns; it is never cut in a turn."""
    cut = 0
    if len(asked[1]) > max_length:
        if overlong == "drop":
            return None
        cut, asked = _fewest_cut(example.messages, asked, encode,
                                 lambda one: len(one[1]) <= max_length)
    text, tokens = asked
    if len(tokens) > max_length:
        return None
    return FittedPrompt(example.row, tokens.input_ids, text, question_of(example.messages, text),
                        example.reference, cut)


def fit_text(example: Example, ids: list[int], edges: Edges, *, max_length: int,
             overlong: Overlong) -> FittedText | None:
    """Fit a text that has a class: its tail is cut, the tokens around it stay."""
    before, after = edges
    room = max_length - len(before) - len(after)
    over = max(0, len(ids) - room)
    if over and (overlong == "drop" or room < 1):
        return None
    return FittedText(example.row, [*before, *ids[:len(ids) - over], *after], example.reference,
                      0, over)


def _answer(row: TokenizedRow) -> list[int]:
    """Return the answer's tokens, which are one run."""
    return row.input_ids[row.first_trained:row.trained[-1][1]] if row.trained else []


def _pair_length(pair: tuple[TokenizedRow, TokenizedRow]) -> int:
    return max(row.first_trained + len(_answer(row)) for row in pair)


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

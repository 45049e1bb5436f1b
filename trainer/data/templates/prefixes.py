"""Finding what the assistant says in a template without marks, by rendering what comes before.

Exact or refused: where a turn begins is where the text given to a model ends, and where it ends
is after its end-of-turn token; both have to stand in the whole text. What a model is given may say
more than conversations show (it may open a thought) or less (no header at all); then small changes
of the answer tell its header from what it says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from trainer.data.shapes.messages import Message
from trainer.data.templates.marks import Parsed, Span
from trainer.data.templates.sandbox import TemplateError

Render = Callable[[Sequence[Message], bool], Parsed]
_TRIALS = (Message("assistant", "B"), Message("assistant", "7"))


@dataclass(frozen=True)
class Prefixes:
    """Looks at one whole text with the means to render its beginnings.

    ``render(turns, add_generation_prompt)`` renders with the same tools; ``special`` matches
    special tokens. ``earlier(n)`` is asked for the assistant's n-th turn, never the one that ends
    the conversation, when what comes before it is shown differently later on.
    """

    whole: Parsed
    render: Render
    special: re.Pattern[str]
    earlier: Callable[[int], Span | None] = lambda number: None

    def find(self, turns: Sequence[Message]) -> tuple[Span, ...]:
        """Find each assistant turn between what is rendered before it and what ends it."""
        spans: list[Span] = []
        said = [index for index, turn in enumerate(turns) if turn.role == "assistant"]
        for number, index in enumerate(said):
            start, end = self._turn(turns, index, number)
            if spans and start < spans[-1][1]:
                raise _inconsistent(index, "turns overlap")
            spans.append((start, end))
        return tuple(spans)

    def _turn(self, turns: Sequence[Message], index: int, number: int) -> Span:
        try:
            start = self.turn_start(turns[:index])
            return start, self.turn_end(start, turns[:index + 1])
        except TemplateError:
            span = self.earlier(number) if index < len(turns) - 1 else None
            if span is None:
                raise
            return span

    def find_last(self, turns: Sequence[Message]) -> Span:
        """Find the assistant turn that ends the conversation; the ones before may differ."""
        start = self.turn_start(turns[:-1])
        return start, self.turn_end(start, turns)

    def turn_start(self, before: Sequence[Message]) -> int:
        """Return where the assistant begins: after what the model is given, verified.

        Where that is more than the conversation shows, what all answers have in common with it is
        the header.
        """
        text = self.whole.text
        prompt, base = self.render(before, True), self.render(before, False).text
        if text.startswith(prompt.text):
            given = len(prompt.text)
            return given if prompt.text != base else self._behind_header(before, given)
        shared = min(common(prompt.text, other) for other in (text, *self._trials(before)))
        edge = header_end(prompt, shared, self.special)
        if edge > len(base) and text.startswith(base):
            return edge
        if text.startswith(base):
            raise _inconsistent(len(before), f"a model is given {prompt.text[len(base):][:40]!r} "
                                f"before it answers, the text has {text[len(base):][:40]!r}")
        raise _inconsistent(len(before), "the text before it changes with what comes after it")

    def _behind_header(self, before: Sequence[Message], given: int) -> int:
        """Return where an answer begins whose header the model is not given: after that header."""
        trials = list(self._trials(before))
        if len(trials) < len(_TRIALS) or not trials[0].startswith(self.whole.text[:given]):
            return given
        shared = min(common(trials[0], other) for other in (self.whole.text, *trials[1:]))
        literal = self.whole.literal
        if not any(m.span() not in literal
                   for m in self.special.finditer(self.whole.text, given, shared)):
            return given
        return max(given, last_edge(self.whole, shared, self.special))

    def _trials(self, before: Sequence[Message]) -> Iterator[str]:
        """Yield texts with another answer in this place; what is refused is left out."""
        for answer in _TRIALS:
            try:
                yield self.render([*before, answer], False).text
            except TemplateError:
                continue

    def turn_end(self, start: int, upto: Sequence[Message]) -> int:
        """Return where an assistant's turn ends: after its end-of-turn token if it has one.

        That is the last special token that stands both in the conversation so far and in the
        whole one, after what is said; where a template ends earlier turns differently, the token
        in its place; where it shows them differently, the first token of that kind.
        """
        index, whole = len(upto) - 1, self.whole
        so_far = self.render(upto, False)
        text, literal = so_far.text, so_far.literal
        closing = [m for m in self.special.finditer(text, start) if m.span() not in literal]
        if not closing:
            if not whole.text.startswith(text):
                raise _inconsistent(index, "its text changes with what comes after it")
            return len(text)
        spoken = end_of_content(text, upto[-1], start, len(text))
        shared = common(text, whole.text)
        kept = [m.end() for m in closing if spoken <= m.start() and m.end() <= shared]
        if kept:
            return kept[-1]
        for end in closing:
            other = self.special.match(whole.text, end.start())
            if spoken <= end.start() <= shared and other and other.span() not in whole.literal:
                return other.end()
        for found in self.special.finditer(whole.text, start):
            if found[0] == closing[-1][0] and found.span() not in whole.literal:
                return found.end()
        raise _inconsistent(index, f"its end-of-turn token {closing[-1][0]!r} vanishes")


def end_of_content(text: str, turn: Message, start: int, end: int) -> int:
    """Return where a turn's content ends in a text; ``start`` when it is shown differently."""
    content = turn.content.strip()
    found = text.find(content, start, end)
    return start if found < 0 else found + len(content)


def last_edge(prompt: Parsed, end: int, special: re.Pattern[str]) -> int:
    """Return the last place up to ``end`` that follows a line break or a special token."""
    edges = [m.end() for m in special.finditer(prompt.text, 0, end)
             if m.span() not in prompt.literal]
    return max([prompt.text.rfind("\n", 0, end) + 1, *edges])


def header_end(prompt: Parsed, shared: int, special: re.Pattern[str]) -> int:
    """Return where a header ends that is in common up to ``shared``.

    It does not end inside of a tag, and a tag that opens a thought is no part of it.
    """
    edge = last_edge(prompt, shared, special)
    found = re.search(r"(?:<think>|[<\[][^<>\[\]]*)\Z", prompt.text[edge:shared])
    return edge + found.start() if found else shared


def common(a: str, b: str) -> int:
    """Return how many characters two texts begin with in common."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle - 1)
    return low


def _inconsistent(index: int, why: str) -> TemplateError:
    return TemplateError("not_prefix_consistent",
                         f"The chat template does not show what the assistant says in turn "
                         f"{index + 1}: {why}.",
                         "Choose a template by name, such as mistral, deepseekr1 or chatml, or one "
                         "with {% generation %} marks.")

"""Finding what the assistant says in a template without marks, by rendering what comes before.

Exact or refused: where a turn begins is where the text given to a model ends, and where it ends
is after its end-of-turn token; both have to stand in the whole text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainer.data.marks import Parsed, Span
from trainer.data.messages import Message
from trainer.data.sandbox import TemplateError

Render = Callable[[Sequence[Message], bool], Parsed]


@dataclass(frozen=True)
class Prefixes:
    """Looks at one whole text with the means to render its beginnings.

    ``render(turns, add_generation_prompt)`` renders with the same tools; ``special`` matches
    special tokens.
    """

    whole: Parsed
    render: Render
    special: re.Pattern[str]

    def find(self, turns: Sequence[Message]) -> tuple[Span, ...]:
        """Find each assistant turn between what is rendered before it and what ends it."""
        spans: list[Span] = []
        said = [index for index, turn in enumerate(turns) if turn.role == "assistant"]
        for index in said:
            start = self.turn_start(turns[:index], is_last=index == len(turns) - 1)
            end = self.turn_end(start, turns[:index + 1])
            if spans and start < spans[-1][1]:
                raise _inconsistent(index, "turns overlap")
            spans.append((start, end))
        return tuple(spans)

    def find_last(self, turns: Sequence[Message]) -> Span:
        """Find the assistant turn that ends the conversation; the ones before may differ."""
        start = self.turn_start(turns[:-1], is_last=True)
        return start, self.turn_end(start, turns)

    def turn_start(self, before: Sequence[Message], *, is_last: bool) -> int:
        """Return where the assistant begins: after what the model is given, verified.

        Before an earlier turn the header may be shorter than the one that a model is given
        today (which may open a thought, say): then what both begin with is the header.
        """
        text = self.whole.text
        prompt = self.render(before, True)
        if text.startswith(prompt.text):
            return len(prompt.text)
        base = self.render(before, False).text
        shared = common(prompt.text, text)
        edge = last_edge(prompt, shared, self.special)
        if edge > len(base) and text.startswith(base):
            if not is_last:
                return edge
            raise _inconsistent(len(before), f"a model is given {prompt.text[edge:edge + 40]!r} "
                                f"before it answers, where the text has {text[edge:edge + 40]!r}")
        raise _inconsistent(len(before), "the text before it changes with what comes after it")

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

"""What a rendering leaves in its text: sentinels around what is said, and around look-alikes.

Sentinels are characters that no text has (U+FDD0..U+FDEF are not for interchange, Unicode 23.7).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Span = tuple[int, int]
GENERATION = ("\ufdd0", "\ufdd1")
LITERAL = ("\ufdd2", "\ufdd3")
TURN = ("\ufdd4", "\ufdd5", "\ufdd6")
_OTHERS = LITERAL + TURN
_SENTINELS = re.compile(f"[{GENERATION[0]}-{TURN[2]}]")
_NONCHARACTERS = re.compile("[\ufdd0-\ufdef]")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as text.

    Spans are [start, end) in characters, in order. ``trained``: what is learned. ``literal``: what
    looks like a special token but came from a message. ``answers``: what the assistant says,
    end-of-turn token included, one span a turn; the same as ``trained`` unless prompts are learned
    too or earlier answers are not.
    """

    text: str
    trained: tuple[Span, ...] = ()
    literal: tuple[Span, ...] = ()
    answers: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Parsed:
    """A raw text without its sentinels, and where they were.

    ``marked`` may have empty spans. ``turns``: (start, end, is the assistant's) of each message
    of an instrumented template (see ``rewrite``).
    """

    text: str
    marked: tuple[Span, ...] = ()
    literal: tuple[Span, ...] = ()
    turns: tuple[tuple[int, int, bool], ...] = ()


def replace_noncharacters(text: str) -> str:
    """Replace U+FDD0..U+FDEF, which are not for interchange (Unicode 23.7), by U+FFFD."""
    return text if text.isascii() else _NONCHARACTERS.sub("\ufffd", text)


def parse(raw: str) -> Parsed:
    """Take the sentinels out of a raw text."""
    if raw.isascii():
        return Parsed(raw)
    return _only_marks(raw) or _everything(raw)


def _only_marks(raw: str) -> Parsed | None:
    """Parse a text with nothing but well-formed marks, which is the common case; else None."""
    opened, closed = GENERATION
    for other in _OTHERS:
        if other in raw:
            return None
    if raw.count(opened) != raw.count(closed):
        return None
    before, *rest = raw.split(opened)
    parts, spans, length = [before], [], len(before)
    for piece in rest:
        inside, _, after = piece.partition(closed)
        if closed in after:
            return None
        spans.append((length, length + len(inside)))
        parts += (inside, after)
        length += len(inside) + len(after)
    text = "".join(parts)
    return None if closed in text else Parsed(text, tuple(spans))


def _everything(raw: str) -> Parsed:
    parts: list[str] = []
    begun: dict[str, int] = {}
    marked: list[Span] = []
    literal: list[Span] = []
    turns: list[tuple[int, int, bool]] = []
    length = last = 0
    for found in _SENTINELS.finditer(raw):
        parts.append(raw[last:found.start()])
        length += found.start() - last
        last, sentinel = found.end(), found[0]
        if sentinel == GENERATION[1] and GENERATION[0] in begun:
            marked.append((begun.pop(GENERATION[0]), length))
        elif sentinel == LITERAL[1] and (start := begun.pop(LITERAL[0], length)) < length:
            literal.append((start, length))
        elif sentinel == TURN[2]:
            for key in TURN[:2]:
                if key in begun:
                    turns.append((begun.pop(key), length, key == TURN[0]))
        elif sentinel in (GENERATION[0], LITERAL[0], *TURN[:2]):
            begun[sentinel] = length
    return Parsed("".join(parts) + raw[last:], tuple(marked), tuple(literal), tuple(turns))

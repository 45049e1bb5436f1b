"""What two answers have in common, word by word; Chinese, Japanese and Korean by character. Pure.

Comparing takes time that grows with the product of both lengths, so it is bounded: what begins and
ends alike is taken off first; what is then too long is compared by chunks of words, and words only
where chunks differ and as long as the budget lasts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal
from zlib import crc32

from app.board.pages._parts import text

Kind = Literal["same", "before", "after"]
Piece = tuple[Kind, str]

# Pairs of words, or of chunks of them, that may be compared at once.
BUDGET = 250_000
# Below this share of common text marks would cover nearly everything and say nothing.
_ALIKE = 0.15
_CJK = "[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
_WORD = re.compile(rf"{_CJK}|(?:(?!{_CJK})\w)+\s*|[^\w\s]\s*|\s+")
_ODD = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def plain(said: str) -> str:
    """Return a text as it can be shown: control characters as pictures, halves as U+FFFD."""
    def shown(found: re.Match[str]) -> str:
        code = ord(found[0])
        return chr(0x2400 + code) if code < 32 else "\u2421" if code == 127 else "\ufffd"

    return _ODD.sub(shown, said.replace("\r\n", "\n"))


def words(said: str) -> list[str]:
    """Return words, each with the space behind it; put together they are the text."""
    return _WORD.findall(said)


def diff(before: str, after: str) -> list[Piece]:
    """Return both texts as pieces: the same in both, only in the first, only in the second.

    'same' and 'before' put together are the first text; 'same' and 'after' the second but for
    spaces, which make no difference.
    """
    a, b = words(before), words(after)
    head = _shared(a, b)
    tail = _shared(a[head:][::-1], b[head:][::-1])
    end_a, end_b = len(a) - tail, len(b) - tail
    pieces: list[Piece] = [("same", "".join(a[:head]))]
    pieces += _compare(a[head:end_a], b[head:end_b])
    pieces.append(("same", "".join(a[end_a:])))
    return list(_joined(pieces))


def _key(word: str) -> str:
    return word.strip() or " "


def _shared(a: Sequence[str], b: Sequence[str]) -> int:
    """Return how many words two texts have in common at their beginning."""
    at = 0
    for one, other in zip(a, b, strict=False):
        if _key(one) != _key(other):
            break
        at += 1
    return at


def _compare(a: list[str], b: list[str]) -> Iterator[Piece]:
    if len(a) * len(b) <= BUDGET:
        yield from _by(a, b)
        return
    left = 6 * BUDGET
    size = max(1, max(len(a), len(b)) // int(BUDGET ** 0.5))
    chunks_a, chunks_b = _chunks(a, size), _chunks(b, size)
    matcher = _matcher(["".join(map(_key, one)) for one in chunks_a],
                       ["".join(map(_key, one)) for one in chunks_b])
    for tag, a1, a2, b1, b2 in matcher.get_opcodes():
        mine = [word for chunk in chunks_a[a1:a2] for word in chunk]
        theirs = [word for chunk in chunks_b[b1:b2] for word in chunk]
        cost = len(mine) * len(theirs)
        if tag == "equal":
            yield "same", "".join(mine)
        elif cost <= min(left, BUDGET):
            left -= cost
            yield from _by(mine, theirs)
        else:
            yield "before", "".join(mine)
            yield "after", "".join(theirs)


def _chunks(found: Sequence[str], size: int) -> list[list[str]]:
    """Return chunks of about ``size`` words.

    Where one ends depends on the words there alone, so that after a change both texts are cut at
    the same words again.
    """
    chunks: list[list[str]] = [[]]
    before = ""
    for word in found:
        chunks[-1].append(word)
        key = _key(word)
        mark = crc32(f"{before} {key}".encode("utf-8", "replace"))
        if mark % size == 0 or len(chunks[-1]) >= 4 * size:
            chunks.append([])
        before = key
    return [chunk for chunk in chunks if chunk]


def _matcher(a: Sequence[str], b: Sequence[str]) -> SequenceMatcher[str]:
    return SequenceMatcher(None, a, b, autojunk=False)


def _by(a: Sequence[str], b: Sequence[str]) -> Iterator[Piece]:
    matcher = _matcher([_key(one) for one in a], [_key(one) for one in b])
    for tag, a1, a2, b1, b2 in matcher.get_opcodes():
        if tag == "equal":
            yield "same", "".join(a[a1:a2])
            continue
        yield "before", "".join(a[a1:a2])
        yield "after", "".join(b[b1:b2])


def _joined(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Join neighbours of one kind; leave out empty ones."""
    kind: Kind | None = None
    parts: list[str] = []
    for now, said in pieces:
        if not said:
            continue
        if now != kind and kind is not None:
            yield kind, "".join(parts)
            parts = []
        kind = now
        parts.append(said)
    if kind is not None:
        yield kind, "".join(parts)


def sides(before: str, after: str) -> tuple[str, str]:
    """Return two answers as HTML, with what only one of them has in ``del`` and ``ins``.

    Texts that have next to nothing in common are not marked.
    """
    before, after = plain(before), plain(after)
    pieces = diff(before, after)
    common = sum(len(said) for kind, said in pieces if kind == "same")
    if common < _ALIKE * max(len(before), len(after)):
        return text(before), text(after)
    return ("".join(_marked("del", said) if kind == "before" else text(said)
                    for kind, said in pieces if kind != "after"),
            "".join(_marked("ins", said) if kind == "after" else text(said)
                    for kind, said in pieces if kind != "before"))


def _marked(tag: str, said: str) -> str:
    """Return a piece in its mark; the space behind it stays outside, where it is not all."""
    words = said.rstrip() or said
    return f"<{tag}>{text(words)}</{tag}>{said[len(words):]}"

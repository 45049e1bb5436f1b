"""Sentinels are taken out of a raw text, and where they were is kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trainer.data.templates.marks import (
    GENERATION,
    LITERAL,
    TURN,
    Parsed,
    parse,
    replace_noncharacters,
)

OPEN, CLOSE = GENERATION


def test_a_text_without_sentinels_is_itself() -> None:
    assert parse("abc") == Parsed("abc")
    assert parse("你好 ￼") == Parsed("你好 ￼")


def test_marks_are_found_empty_ones_too() -> None:
    parsed = parse(f"a{OPEN}b{CLOSE}c{OPEN}{CLOSE}{OPEN}de{CLOSE}")
    assert parsed == Parsed("abcde", marked=((1, 2), (3, 3), (3, 5)))


def test_marks_turns_and_literals_are_kept_apart() -> None:
    raw = (f"{TURN[1]}u{LITERAL[0]}<s>{LITERAL[1]}{TURN[2]}"
           f"{TURN[0]}{OPEN}a{LITERAL[0]}<e>{LITERAL[1]}{CLOSE}{TURN[2]}")
    assert parse(raw) == Parsed("u<s>a<e>", marked=((4, 8),), literal=((1, 4), (5, 8)),
                                turns=((0, 4, False), (4, 8, True)))


def test_what_is_opened_twice_or_never_closed_marks_nothing_more() -> None:
    assert parse(f"{OPEN}a{OPEN}b{CLOSE}c{CLOSE}") == Parsed("abc", marked=((1, 2),))
    assert parse(f"a{CLOSE}b{OPEN}c") == Parsed("abc")
    assert parse(f"{TURN[0]}a{TURN[0]}b{TURN[2]}") == Parsed("ab", turns=((1, 2, True),))


@given(st.text(st.sampled_from("ab" + OPEN + CLOSE + "".join(LITERAL) + "".join(TURN) + "é")))
def test_no_sentinel_is_left_and_spans_lie_in_the_text(raw: str) -> None:
    parsed = parse(raw)
    assert parsed.text == "".join(c for c in raw if c in "abé")
    assert all(0 <= a <= b <= len(parsed.text) for a, b in (*parsed.marked, *parsed.literal))


def test_noncharacters_of_a_text_are_replaced() -> None:
    assert replace_noncharacters("plain") == "plain"
    assert replace_noncharacters("é" + OPEN + "\ufdef") == "é\ufffd\ufffd"

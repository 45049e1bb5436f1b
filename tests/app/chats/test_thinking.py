"""Thinking told from what is said, however the text is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chats.thinking import Fold


def folded(text, cuts=(), **options):
    """Return (thinking, content) as a writer keeps them."""
    fold, thinking, content, at = Fold(**options), "", "", 0
    heard = []
    for size in cuts:
        heard += fold.feed(text[at:at + size])
        at += size
    for kind, more in [*heard, *fold.feed(text[at:]), *fold.finish()]:
        if kind == "turned":
            thinking, content = thinking + content, ""
        elif kind == "thinking":
            thinking += more
        else:
            content += more
    return thinking, content


CASES = {
    "plain": ("", "plain"), "": ("", ""), "<think>\na\n</think>\n\nb": ("a\n", "b"),
    "\n<think>a</think>b</think>": ("a", "b</think>"), "<think>a": ("a", ""),
    "a</think>\nb": ("a", "b"), "a < b": ("", "a < b"), "a <think> b": ("", "a <think> b"),
    "<thinking": ("", "<thinking"), "</think>x": ("", "x"), "<think></think>x": ("", "x"),
}


@pytest.mark.parametrize("text", CASES)
def test_cases(text):
    assert folded(text) == CASES[text]


@given(st.sampled_from(sorted(CASES)), st.lists(st.integers(1, 4), max_size=12))
def test_it_is_the_same_however_it_is_cut(text, cuts):
    assert folded(text, cuts) == CASES[text]


def test_what_goes_on_is_said_already():
    assert folded("<think>a</think>", begun=True) == ("", "<think>a</think>")

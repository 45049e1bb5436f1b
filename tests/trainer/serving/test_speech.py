"""Answers that grow: shown as they come, cut where a stop string begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

pytestmark = pytest.mark.serving
STOPS = ("<|end|>", "User:")


class Letters:
    """A tokenizer whose tokens are characters."""

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        return "".join(map(chr, ids))


class Bytes:
    """A tokenizer whose tokens are bytes: most characters are several."""

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        return bytes(ids).decode(errors="replace")


def streamed(tokens: Sequence[int], stops: tuple[str, ...] = STOPS,
             tokenizer: Any = None) -> tuple[list[str], int]:
    """Return the pieces that are shown, and how many tokens were heard."""
    from trainer.serving.speech import Speech

    speech, shown, count = Speech(tokenizer or Letters(), stops=stops), [], 0
    for count, token in enumerate(tokens, 1):  # noqa: B007
        shown.append(speech.hear(token))
        if speech.stopped:
            break
    shown.append(speech.finish())
    return [piece for piece in shown if piece], count


@pytest.mark.parametrize(("text", "answer"), [
    ("It is red.", "It is red."), ("It is red.<|end|>User: why?", "It is red."),
    ("1 < 2 <| 3", "1 < 2 <| 3"), ("Use User", "Use User"), ("User: a", ""), ("", "")])
def test_nothing_of_a_stop_string_is_ever_shown(text: str, answer: str) -> None:
    from trainer.generate import cut_at

    shown, count = streamed([*map(ord, text)])
    assert "".join(shown) == answer == cut_at(text, STOPS)
    assert count <= len(text)


def test_without_stop_strings_every_character_is_shown_at_once() -> None:
    assert streamed([*map(ord, "a<|end|>")], ()) == (list("a<|end|>"), 8)


def test_generation_ends_with_the_stop_string() -> None:
    assert streamed([*map(ord, "ab<|end|>" + "x" * 50)])[1] == len("ab<|end|>")


def test_a_character_waits_until_it_is_whole() -> None:
    assert streamed("né 你😀".encode(), (), Bytes())[0] == list("né 你😀")

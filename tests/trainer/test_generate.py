"""Answers that grow: shown as they come, cut where a stop string begins."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.training
STOPS = ("<|end|>", "User:")


class Letters:
    """A tokenizer whose tokens are characters."""

    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str:
        return "".join(map(chr, ids))


def streamed(text: str, stops: tuple[str, ...] = STOPS) -> tuple[list[str], int]:
    from trainer.generate import stream_text

    shown: list[str] = []
    count = stream_text(iter(map(ord, text)), Letters(), shown.append, stops=stops)
    return shown, count


@pytest.mark.parametrize(("text", "answer"), [
    ("It is red.", "It is red."), ("It is red.<|end|>User: why?", "It is red."),
    ("1 < 2 <| 3", "1 < 2 <| 3"), ("Use User", "Use User"), ("User: a", ""), ("", "")])
def test_nothing_of_a_stop_string_is_ever_shown(text: str, answer: str) -> None:
    from trainer.generate import cut_at

    shown, count = streamed(text)
    assert "".join(shown) == answer == cut_at(text, STOPS)
    assert all(shown) and count <= len(text)


def test_without_stop_strings_every_character_is_shown_at_once() -> None:
    assert streamed("a<|end|>", ()) == (list("a<|end|>"), 8)


def test_generation_ends_with_the_stop_string() -> None:
    assert streamed("ab<|end|>" + "x" * 50)[1] == len("ab<|end|>")

"""Two answers word by word: what is marked, that nothing is lost, that it takes no long time."""

import random
from html import unescape

import pytest

from app.board.pages import _evaluate_diff
from app.board.pages._evaluate_diff import diff, plain, sides, words


def put_together(pieces, without):
    return "".join(said for kind, said in pieces if kind != without)


@pytest.mark.parametrize(("before", "after", "marked"), [
    ("I like red apples.", "I like green apples.",
     ("I like <del>red</del> apples.", "I like <ins>green</ins> apples.")),
    ("我喜欢红苹果。", "我喜欢绿苹果。",
     ("我喜欢<del>红</del>苹果。", "我喜欢<ins>绿</ins>苹果。")),
    ("the same  words", "the same words", ("the same  words", "the same  words")),
    ("All of it is here", "All of it is here, and more",
     ("All of it is here", "All of it is here<ins>, and more</ins>")),
    ("<b>one</b> two three", "<i>one</i> two three", None)])
def test_what_only_one_answer_has_is_marked(before, after, marked):
    found = sides(before, after)
    if marked:
        assert found == marked
    assert "<b>" not in found[0] and "<i>" not in found[1]


def test_answers_without_anything_in_common_are_not_marked():
    assert sides("a goat", "seven rivers") == ("a goat", "seven rivers")
    assert sides("", "something") == ("", "something")
    assert sides("", "") == ("", "")


def test_what_cannot_be_shown_is_shown_as_a_picture():
    assert plain("a\x00b\x1b\x7f\ud800\tc\r\n") == "a\u2400b\u241b\u2421\ufffd\tc\n"
    assert "".join(sides("a\x00 b", "a\x00 c")).isprintable()


@pytest.mark.parametrize("said", ["", " ", "  two  spaces ", "naïve café_1 3.14!",
                                  "日本語 text 한국", "a\n\nb\t", "\u2028x\u0301", "🙂🙂 ok"])
def test_words_put_together_are_the_text(said):
    assert "".join(words(said)) == said


def test_nothing_is_lost_between_random_texts():
    chance = random.Random(5)
    for _ in range(300):
        one, other = ("".join(chance.choice("ab 红,\n") for _ in range(chance.randrange(40)))
                      for _ in range(2))
        pieces = diff(one, other)
        assert put_together(pieces, "after") == one
        assert "".join(put_together(pieces, "before").split()) == "".join(other.split())
        assert unescape(sides(one, other)[0]).replace("<del>", "").replace("</del>", "") == one


def long_texts():
    chance = random.Random(1)
    known = [f"w{at}" for at in range(2000)]
    some = [chance.choice(known) for _ in range(18_000)]
    yield "random", " ".join(some), " ".join(chance.choice(known) for _ in range(18_000))
    yield "edited", " ".join(some), " ".join(one for one in some if chance.random() > 0.02)
    yield "two", *(" ".join(chance.choice("ab") for _ in range(50_000)) for _ in range(2))
    yield "han", *("".join(chr(chance.randint(0x4e00, 0x4e80)) for _ in range(100_000))
                   for _ in range(2))
    yield "dots", "." * 100_000, ". " * 50_000
    yield "one word", "x" * 100_000, "x" * 99_999 + "y"


LONG = {name: (before, after) for name, before, after in long_texts()}


@pytest.mark.parametrize("name", LONG)
def test_long_answers_cost_no_more_than_the_budget(name, monkeypatch):
    before, after = LONG[name]
    compared = []
    plain_matcher = _evaluate_diff._matcher

    def counted(a, b):
        compared.append(len(a) * len(b))
        return plain_matcher(a, b)

    monkeypatch.setattr(_evaluate_diff, "_matcher", counted)
    pieces = diff(before, after)
    assert put_together(pieces, "after") == before
    assert "".join(put_together(pieces, "before").split()) == "".join(after.split())
    assert sum(compared) <= 9 * _evaluate_diff.BUDGET
    if name == "edited":
        assert sum(len(said) for kind, said in pieces if kind == "same") > 0.8 * len(after)

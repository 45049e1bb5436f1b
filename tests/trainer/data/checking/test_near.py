"""Near duplicates: words, Chinese, short texts; the first of its like is named."""

from __future__ import annotations

import random
import sys

import pytest

from trainer.data.checking.near import NearFinder, shingles
from trainer.data.reading.rows import DatasetError
from trainer.data.shapes.messages import Example

ENGLISH = ("The quick brown fox jumps over the lazy dog near the old river bank while seven grey "
           "geese watch from a distance and the sun goes down behind the low hills of the west")
CHINESE = "今天天气很好，我们一起去公园散步，看见很多人在湖边钓鱼，孩子们在草地上放风筝。"


def jaccard(a: str, b: str) -> float:
    one, two = shingles(a), shingles(b)
    return len(one & two) / len(one | two)


@pytest.mark.parametrize(("text", "like"), [
    (ENGLISH, ENGLISH.replace("seven", "eight")), (ENGLISH, ENGLISH.upper() + "!"),
    (CHINESE, CHINESE.replace("湖边", "河边").replace("。", "！")),
    ("Who wrote Hamlet?", "who wrote hamlet"), ("你好，世界", "你好世界！"), ("", "  "),
    ("!?", "!?")])
def test_what_is_alike_is_found(text: str, like: str) -> None:
    finder = NearFinder(0.8)
    assert finder.first_like(7, text) is None
    assert finder.first_like(9, like) == 7
    assert finder.find(like) == 7


@pytest.mark.parametrize(("text", "other"), [
    (ENGLISH, " ".join(reversed(ENGLISH.split()))), (CHINESE, CHINESE[::-1]),
    ("Who wrote Hamlet?", "Who painted Guernica?"), ("你好，世界", "再见，月亮")])
def test_what_differs_is_kept(text: str, other: str) -> None:
    finder = NearFinder(0.8)
    assert finder.first_like(1, text) is None
    assert finder.first_like(2, other) is None


def test_answers_follow_the_likeness() -> None:
    """Of texts changed more and more, those clearly above the threshold are found, below not."""
    rng = random.Random(3)
    words = [f"word{i}" for i in range(400)]
    found = {"above": 0, "below": 0}
    counts = {"above": 0, "below": 0}
    finder = NearFinder(0.85)
    for number in range(150):
        text = rng.choices(words, k=120)
        changed = list(text)
        for at in rng.sample(range(120), rng.choice([0, 1, 2, 12, 20, 30])):
            changed[at] = "other"
        likeness = jaccard(" ".join(text), " ".join(changed))
        side = "above" if likeness > 0.93 else "below" if likeness < 0.75 else ""
        finder.remember(number, " ".join(text))
        if side:
            counts[side] += 1
            found[side] += finder.find(" ".join(changed)) == number
    assert min(counts.values()) > 30
    assert found["above"] >= 0.95 * counts["above"]
    assert found["below"] <= 0.05 * counts["below"]


def test_examples_by_their_rows() -> None:
    finder = NearFinder()
    rows = [Example(number, text=text) for number, text in
            [(3, ENGLISH), (4, CHINESE), (8, ENGLISH + "."), (9, CHINESE)]]
    assert [finder.seen(row) for row in rows] == [None, None, 3, 4]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasketch", None)
    with pytest.raises(DatasetError, match=r"pip install 'finestra\[data\]'"):
        NearFinder()

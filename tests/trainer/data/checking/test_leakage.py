"""Leaks: rows of an evaluation set that stand in training sets, held against a plain search."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from trainer.data.checking import leakage
from trainer.data.checking.leakage import Leak, find
from trainer.data.reading.sources import DatasetSpec

Make = Callable[..., DatasetSpec]


def pair(question: str, answer: str) -> dict[str, Any]:
    return {"question": question, "answer": answer}


def test_kinds_of_leaks(make: Make) -> None:
    train = make([pair("a", "b"), pair("Who  is\nit?", "Me"), pair("c", "d"), pair("c", "e"),
                  {"question": "broken"}], "train.jsonl")
    more = make([{"messages": [{"role": "system", "content": "s"},
                               {"role": "user", "content": "new"},
                               {"role": "assistant", "content": "here"}]}], "more.jsonl")
    held = make([pair("unseen", "x"), pair("who is it?", "ME"), pair("c", "E "), pair("c", "f"),
                 pair("new", "here"), {"question": "broken"}], "held.jsonl")
    report = find([train, more], held)
    assert report.pairs == [
        Leak(2, "train.jsonl", 2, "row"), Leak(3, "train.jsonl", 4, "row"),
        Leak(4, "train.jsonl", 3, "prompt"), Leak(5, "more.jsonl", 1, "row")]
    assert (report.rows, report.train_rows, report.leaked) == (5, 5, 4)
    assert report.document() | {"pairs": []} == {
        "name": "held.jsonl", "against": ["train.jsonl", "more.jsonl"], "rows": 5,
        "train_rows": 5, "leaked": 4, "same_row": 3, "same_prompt": 1, "near": None, "pairs": []}


def test_turns_texts_and_pairs_are_compared_too(make: Make) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
             {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]
    chat = make([{"messages": turns}], "chat.jsonl")
    assert find([chat], chat).same_row == 1
    assert find([chat], make([{"messages": turns[:2]}], "two.jsonl")).leaked == 0
    text = make([{"text": "Once upon"}, {"text": "a time"}], "text.jsonl")
    assert find([text], text).same_row == 2
    chosen = make([{"prompt": "a", "chosen": "b", "rejected": "c"}], "pairs.jsonl")
    assert find([make([pair("A", "b")], "qa.jsonl")], chosen).same_row == 1


@pytest.mark.parametrize("seed", range(4))
def test_as_a_plain_search_finds_them(make: Make, seed: int) -> None:
    rng = random.Random(seed)

    def rows(count: int) -> list[dict[str, Any]]:
        return [pair(f"q{rng.randrange(300)}", f"a{rng.randrange(3)}") for _ in range(count)]

    train, held = rows(400), rows(200)
    wanted = []
    for row, values in enumerate(held, start=1):
        whole = [n for n, t in enumerate(train, start=1) if t == values]
        prompt = [n for n, t in enumerate(train, start=1) if t["question"] == values["question"]]
        if whole or prompt:
            wanted.append(Leak(row, "train.jsonl", (whole or prompt)[0],
                               "row" if whole else "prompt"))
    assert find([make(train, "train.jsonl")], make(held, "held.jsonl")).pairs == wanted


def test_near_leaks_when_asked(make: Make) -> None:
    text = "Tell me how many apples a man has who buys seven bags of twelve and eats exactly three"
    train = make([pair("other thing", "x"), pair(text, "He has eighty one apples left")], "t.jsonl")
    held = make([pair(text + "?!", "He has eighty one apples left")], "h.jsonl")
    assert find([train], held).leaked == 0
    report = find([train], held, near_threshold=0.8)
    assert (report.near, report.pairs) == (1, [Leak(1, "t.jsonl", 2, "near")])


def test_pairs_are_few_and_counts_complete(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leakage, "MAX_PAIRS", 3)
    same = make([pair("a", "b")] * 50)
    report = find([same], same)
    assert (report.same_row, len(report.pairs)) == (50, 3)

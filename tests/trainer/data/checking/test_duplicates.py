"""Hashes of rows: what counts as the same, which rows repeat, in parts of any number."""

from __future__ import annotations

import random

import pytest

from trainer.data.checking import duplicates
from trainer.data.checking.duplicates import RowHashes, hash_example, hash_text
from trainer.data.reading.rows import Row
from trainer.data.shapes.convert import convert
from trainer.data.shapes.fast import fast_row
from trainer.data.shapes.mapping import shape_from_mapping
from trainer.data.shapes.messages import Example, Message


def expected(rows: list[tuple[int, int]]) -> list[tuple[int, int]]:
    first: dict[int, int] = {}
    return [(row, first[value]) for row, value in rows if first.setdefault(value, row) != row]


@pytest.mark.parametrize("part", [1, 7, 1_000, 2**20])
def test_repeats_are_found_in_parts_of_any_size(part: int,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "PART_ROWS", part)
    rng = random.Random(part)
    count = {1: 60, 7: 500}.get(part, 3_000)
    number, rows, hashes = 0, [], RowHashes()
    for _ in range(count):
        number += rng.choice([1, 1, 1, 1, 2, 9])
        rows.append((number, hash_text(str(rng.randrange(count)))))
        hashes.add(*rows[-1])
    assert list(hashes.repeats()) == expected(rows)
    assert len(hashes) == count


def test_no_rows_and_one_row() -> None:
    hashes = RowHashes()
    assert list(hashes.repeats()) == []
    hashes.add(5, 2**64 - 1)
    assert list(hashes.repeats()) == []
    hashes.add(6, 2**64 - 1)
    assert list(hashes.repeats()) == [(6, 5)]


def test_what_is_learned_is_what_counts() -> None:
    turns = [Message("user", "a"), Message("assistant", "b")]
    base = hash_example(Example(1, turns))
    assert hash_example(Example(9, list(turns))) == base
    others = [Example(1, [Message("user", "ab"), Message("assistant", "")]),
              Example(1, [*turns, *turns]), Example(1, turns, label=True),
              Example(1, turns, label=False), Example(1, turns, tools=[{"type": "function"}]),
              Example(1, turns[:1], chosen=turns[1:], rejected=[Message("assistant", "c")]),
              Example(1, [turns[0], Message("assistant", "b", ({"type": "function"},))]),
              Example(1, text="a"), Example(1, turns[:1], reference="c")]
    hashes = [hash_example(other) for other in others]
    assert len({base, *hashes}) == len(others) + 1


def test_halves_of_characters_have_a_hash() -> None:
    assert hash_text("a\ud83d") != hash_text("a")


def test_a_quick_look_and_a_close_one_give_one_hash() -> None:
    shape = shape_from_mapping({"prompt": "q", "response": "a", "system": "s", "query": "c"})
    look = fast_row(shape)
    for values in ({"q": "x", "a": "y"}, {"q": "x", "a": "y", "s": "z", "c": "w"},
                   {"q": "你", "a": "好", "s": ""}):
        texts = look(values)
        assert texts is not None
        text = duplicates.SEPARATOR.join(texts)
        assert hash_text(text) == hash_example(convert(Row(1, values), shape))

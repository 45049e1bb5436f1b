"""What an objective reads of a row in the normal form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.reading.rows import Row, RowError
from trainer.data.shapes.convert import convert
from trainer.data.shapes.mapping import Shape, shape_from_mapping
from trainer.data.shapes.messages import Example, Message
from trainer.data.shapes.uses import Use

CHAT = shape_from_mapping({"messages": "m"})
PROMPTS = shape_from_mapping({"prompt": "p", "reference": "r"})
PAIRS = shape_from_mapping({"prompt": "p", "chosen": "c", "rejected": "r"})
KTO = shape_from_mapping({"prompt": "p", "response": "r", "kto_tag": "k"})
CLASSES = shape_from_mapping({"prompt": "t", "label": "l"})
WORDS = st.text(st.characters(categories=["L", "P"]), min_size=1, max_size=12)


def read(use: Use, **values: Any) -> list[Example]:
    return use.parts(use.whole(Row(7, values)))


def said(turns: list[Message]) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in turns]


def turns(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[number % 2], "content": text}
            for number, text in enumerate(texts)]


@given(texts=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4))
def test_the_last_answer_of_a_conversation_is_the_reference(texts: list[tuple[str, str]]) -> None:
    flat = [text for pair in texts for text in pair]
    (example,) = read(Use(CHAT, "prompts"), m=turns(*flat))
    assert [text for _, text in said(example.messages)] == flat[:-1]
    assert example.messages[-1].role == "user"
    assert (example.row, example.reference) == (7, flat[-1])


def test_a_call_is_the_reference_as_json() -> None:
    call = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    row = [*turns("Add 1."), {"role": "assistant", "content": "", "tool_calls": [call]}]
    (example,) = read(Use(CHAT, "prompts"), m=row)
    assert '"name": "add"' in example.reference


def test_a_prompt_without_an_answer_stays_as_it_is() -> None:
    (example,) = read(Use(PROMPTS, "prompts"), p="6 x 7?", r=42)
    assert (said(example.messages), example.reference) == ([("user", "6 x 7?")], "42")


@given(prompt=WORDS, chosen=WORDS, rejected=WORDS)
def test_a_pair_is_a_desired_and_an_undesired_answer(prompt: str, chosen: str,
                                                     rejected: str) -> None:
    use, row = Use(PAIRS, "judged"), {"p": prompt, "c": chosen, "r": rejected}
    if chosen == rejected:
        with pytest.raises(RowError, match="nothing to learn"):
            read(use, **row)
        return
    good, bad = read(use, **row)
    assert use.splits_pairs and (good.row, bad.row) == (7, 7)
    assert (good.label, bad.label) == (True, False)
    same = [convert(Row(7, {"p": prompt, "r": answer, "k": label}), KTO)
            for answer, label in ((chosen, True), (rejected, False))]
    assert [good, bad] == same, "as if both had been judged one by one"


@pytest.mark.parametrize(("shape", "rows"), [(PAIRS, "pairs"), (KTO, "judged"), (CHAT, "turns")])
def test_what_fits_as_it_is_stays_one_row(shape: Shape, rows: Any) -> None:
    assert not Use(shape, rows).splits_pairs
    example = Example(1, [Message("user", "a"), Message("assistant", "b")])
    assert Use(shape, rows).parts(example) == [example]


@pytest.mark.parametrize(("label", "name"), [
    ("spam", "spam"), (" spam ", "spam"), (0, "0"), (3, "3"), (True, "true"), (False, "false")])
def test_a_text_and_the_name_of_its_class(label: Any, name: str) -> None:
    (example,) = read(Use(CLASSES, "labelled"), t="Buy now!", l=label)
    assert (example.text, example.reference, example.messages) == ("Buy now!", name, [])


def test_two_texts_with_one_class_and_a_path() -> None:
    shape = shape_from_mapping({"prompt": "a.text", "query": "b", "label": "l"})
    (example,) = read(Use(shape, "labelled"), a={"text": "It rains."}, b="It is wet.", l="yes")
    assert example.text == "It rains.\n\nIt is wet."


@pytest.mark.parametrize(("label", "name"), [("good", "good"), (0, "bad"), ("1", "good")])
def test_classes_are_named_or_counted_by_the_labels_that_are_given(label: Any, name: str) -> None:
    (example,) = read(Use(CLASSES, "labelled", ("bad", "good")), t="a", l=label)
    assert example.reference == name


@pytest.mark.parametrize("label", ["fine", 2, -1, True])
def test_a_class_that_is_none_of_the_given_ones_is_a_bad_row(label: Any) -> None:
    with pytest.raises(RowError, match="the classes are 'bad', 'good'") as caught:
        read(Use(CLASSES, "labelled", ("bad", "good")), t="a", l=label)
    assert (caught.value.code, caught.value.column) == ("unknown_class", "l")

"""Making prompts and texts short enough, whatever their turns and tokens are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trainer.data.shapes.messages import Example, Message, Role
from trainer.data.tokens.fit import Asked, Overlong, fit_prompt, fit_text
from trainer.data.tokens.tokenizer import TokenizedRow

ROLES: tuple[Role, Role] = ("user", "assistant")


def encode(turns: list[Message]) -> Asked:
    """One token a character, one more before and after each turn, one at the end."""
    text = "".join(f"<{turn.content}>" for turn in turns) + "?"
    return text, TokenizedRow([ord(character) for character in text])


@st.composite
def prompts(draw: st.DrawFn) -> list[Message]:
    texts = draw(st.lists(st.text("abc", max_size=9), min_size=1, max_size=9))
    texts = texts if len(texts) % 2 else texts[:-1] or ["a"]
    turns = [Message(ROLES[number % 2], text) for number, text in enumerate(texts)]
    return [Message("system", "sys"), *turns] if draw(st.booleans()) else turns


@given(turns=prompts(), longest=st.integers(2, 90),
       overlong=st.sampled_from(["cut_turns", "drop"]))
def test_a_prompt_loses_as_few_turns_as_it_must_and_never_a_part(turns: list[Message],
                                                                 longest: int,
                                                                 overlong: Overlong) -> None:
    example = Example(3, turns, reference="right")
    found = fit_prompt(example, encode(turns), encode, max_length=longest, overlong=overlong)
    head = turns[:1] if turns[0].role == "system" else []
    rest = turns[len(head):]
    fitting = [count for count in range(0, len(rest), 2)
               if len(encode(head + rest[count:])[1]) <= longest]
    if not fitting or (overlong == "drop" and fitting[0]):
        assert found is None
        return
    assert found is not None and found.cut_turns == fitting[0]
    text, tokens = encode(head + rest[fitting[0]:])
    assert (found.prompt, found.prompt_ids) == (text, tokens.input_ids)
    users = [turn.content for turn in turns if turn.role == "user"]
    assert found.question == (users[-1] if users else text)
    assert (found.row, found.reference, found.trained_tokens) == (3, "right", 0)
    assert found.length == len(tokens) <= longest


@given(ids=st.lists(st.integers(3, 99), max_size=40), bos=st.booleans(), eos=st.booleans(),
       longest=st.integers(1, 40), overlong=st.sampled_from(["cut_turns", "drop"]))
def test_a_text_keeps_its_beginning_and_the_tokens_around_it(ids: list[int], bos: bool, eos: bool,
                                                             longest: int,
                                                             overlong: Overlong) -> None:
    before, after = (1,) * bos, (2,) * eos
    found = fit_text(Example(4, text="t", reference="red"), ids, (before, after),
                     max_length=longest, overlong=overlong)
    room = longest - bos - eos
    if len(ids) > room and (overlong == "drop" or room < 1):
        assert found is None
        return
    assert found is not None
    assert found.input_ids == [*before, *ids[:room], *after]
    assert found.length == len(ids) + bos + eos - found.cut_tokens <= max(longest, bos + eos)
    assert (found.row, found.label, found.trained_tokens) == (4, "red", 0)

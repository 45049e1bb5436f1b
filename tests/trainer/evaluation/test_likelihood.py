"""How likely texts are, asked of a real engine: what a plain forward says of the same tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.evaluation.plain_asker import PlainAsker, asking
from tests.trainer.serving.conftest import KEY, serving
from trainer.contract.kinds.evaluate import GenerationConfig
from trainer.evaluation.likelihood import of_choices, of_reference, of_text
from trainer.evaluation.seam import Ask, Unanswerable
from trainer.scoring.predictions import Likelihood

pytestmark = pytest.mark.serving
QUESTION = ({"role": "user", "content": "What is the capital of France?"},)
ANSWER = "The capital of France is Paris."
TEXT = "The sun rises in the east and sets in the west."


Run = Callable[[Callable[[PlainAsker], Coroutine[Any, Any, Any]]], Any]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with serving(tmp_path_factory.mktemp("serving"), "starter") as found:
        yield found


@pytest.fixture
def run(engine: Any) -> Run:
    """Runs something with the starter."""
    return lambda work: asking(f"{engine.url}/v1", "tiny", KEY, work)


@pytest.fixture(scope="module")
def starter() -> Any:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(__file__).resolve().parents[3] / "assets" / "starter"
    return (AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(),
            AutoTokenizer.from_pretrained(folder))


def plainly(starter: Any, ids: list[int], start: int) -> tuple[list[float], list[bool]]:
    """Return what a plain forward says of the tokens from ``start`` on."""
    import torch

    with torch.inference_mode():
        rows = torch.log_softmax(starter[0](torch.tensor([ids])).logits[0].float(), dim=-1)
    places = range(start, len(ids))
    return ([float(rows[place - 1, ids[place]]) for place in places],
            [int(rows[place - 1].argmax()) == ids[place] for place in places])


def close(found: Likelihood, wanted: tuple[list[float], list[bool]]) -> None:
    assert found.logprobs == pytest.approx(wanted[0], abs=1e-4)
    assert list(found.likeliest) == wanted[1] and found.logprobs


def rendered(starter: Any, messages: Any, **more: Any) -> list[int]:
    ids: list[int] = starter[1].apply_chat_template(list(messages), add_generation_prompt=True,
                                                    **more)["input_ids"]
    return ids


def test_a_reference_after_a_conversation(run: Any, starter: Any) -> None:
    ask = Ask("d", 1, QUESTION, references=("", ANSWER, "Paris"))
    for system in ("", "Be brief."):
        found = run(lambda model, system=system: of_reference(
            model, ask, GenerationConfig(system=system)))
        before = [{"role": "system", "content": system}] if system else []
        prompt = rendered(starter, [*before, *QUESTION])
        ids = prompt + starter[1].encode(ANSWER)
        close(found, plainly(starter, ids, len(prompt)))
        assert found.n_bytes == len(ANSWER)
    # The same tokens as the conversation with its answer has, which training reads.
    whole = starter[1].apply_chat_template(
        [*QUESTION, {"role": "assistant", "content": ANSWER}])["input_ids"]
    ids = rendered(starter, QUESTION) + starter[1].encode(ANSWER)
    assert whole[:len(ids)] == ids


def test_a_row_without_reference_has_nothing_to_score(run: Any) -> None:
    for ask in (Ask("d", 1, QUESTION), Ask("d", 2, QUESTION, references=(" ",))):
        found = run(lambda model, ask=ask: of_reference(model, ask, GenerationConfig()))
        assert found == Likelihood((), (), 0)


@pytest.mark.parametrize("text", [TEXT, "héllo 你好, wörld", " x y", "\U0001f600 so"])
def test_a_text_from_its_second_token_on(text: str, run: Any, starter: Any) -> None:
    ids = starter[1].encode(text)
    found = run(lambda model: of_text(model, Ask("d", 1, text=text)))
    close(found, plainly(starter, ids, 1))
    first = starter[1].decode(ids[:1])
    left = len(first.encode()) if text.startswith(first) else len(text[0].encode())
    assert found.n_bytes == len(text.encode()) - left


def test_choices_go_on_with_a_text_as_in_the_harness(run: Any, starter: Any) -> None:
    encode = starter[1].encode
    choices = ("Paris", "the city of Rome", " blue")
    for context in ("The capital of France is", "Question: where?\nAnswer:", "It ends here. "):
        found = run(lambda model, context=context: of_choices(
            model, Ask("d", 1, text=context, choices=choices)))
        for logprob, choice in zip(found, choices, strict=True):
            blank = "" if context.endswith(" ") or choice.startswith(" ") else " "
            start = len(encode(context.rstrip()))
            wanted, _ = plainly(starter, encode(context + blank + choice), start)
            assert logprob == pytest.approx(sum(wanted), abs=1e-3)


def test_a_text_goes_on_with_its_reference_as_it_stands(run: Any, starter: Any) -> None:
    for text, reference in (("The capital of France is", " Paris."), ("The sky ", "is blue."),
                            ("今天天气", "很好")):
        ask = Ask("d", 1, text=text, references=(reference,))
        found = run(lambda model, ask=ask: of_reference(model, ask, GenerationConfig()))
        start = len(starter[1].encode(text.rstrip()))
        close(found, plainly(starter, starter[1].encode(text + reference), start))
        assert found.n_bytes == len((text + reference)[len(text.rstrip()):].encode())


def test_choices_after_a_conversation_are_answers(run: Any, starter: Any) -> None:
    choices = ("Paris.", "Rome.", "I do not know it.")
    found = run(lambda model: of_choices(model, Ask("d", 1, QUESTION, choices=choices)))
    prompt = rendered(starter, QUESTION)
    for logprob, choice in zip(found, choices, strict=True):
        wanted, _ = plainly(starter, prompt + starter[1].encode(choice), len(prompt))
        assert logprob == pytest.approx(sum(wanted), abs=1e-3)
    assert run(lambda model: of_choices(model, Ask("d", 1, QUESTION))) == ()


def test_many_at_once_are_what_they_are_alone(run: Any) -> None:
    asks = [Ask("d", row, ({"role": "user", "content": f"What is {row} + {row}?"},),
                references=(f"It is {2 * row}.",)) for row in range(1, 13)]

    async def together(model: PlainAsker) -> list[Likelihood]:
        return list(await asyncio.gather(*(of_reference(model, ask, GenerationConfig())
                                           for ask in asks)))

    async def alone(model: PlainAsker) -> list[Likelihood]:
        found = [await of_reference(model, ask, GenerationConfig()) for ask in asks]
        assert len(model.asked) == 3 * len(asks)
        return found

    for mine, other in zip(run(together), run(alone), strict=True):
        assert mine.logprobs == pytest.approx(other.logprobs, abs=1e-4)
        assert mine.likeliest == other.likeliest


def test_what_cannot_be_told_is_said(run: Any) -> None:
    long = "word " * 4000
    for ask in (Ask("d", 1, ({"role": "user", "content": long},), references=("a",)),
                Ask("d", 2, QUESTION, references=(long,)), Ask("d", 3, text=long)):
        with pytest.raises(Unanswerable, match="maximum context length"):
            run(lambda model, ask=ask: of_reference(model, ask, GenerationConfig())
                if ask.references else of_text(model, ask))
    with pytest.raises(Unanswerable, match="choices is empty"):
        run(lambda model: of_choices(model, Ask("d", 1, text="a", choices=("b", " "))))

    async def unable(model: PlainAsker) -> None:
        model.cannot = "llama.cpp tells no likelihoods."
        for work in (of_text(model, Ask("d", 1, text="a")),
                     of_choices(model, Ask("d", 1, text="a", choices=("b",))),
                     of_reference(model, Ask("d", 1, QUESTION), GenerationConfig())):
            with pytest.raises(Unanswerable, match="tells no likelihoods"):
                await work
        assert not model.asked

    run(unable)

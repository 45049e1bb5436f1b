"""How likely a model finds given texts, asked of its engine in tokens of its own.

Everything comes from the engine, so that no tokenizer is loaded beside it: the ids of a
conversation from a chat completion of one token, those of a text from a completion with ``echo``
and no tokens, which both engines know. A reference is made into tokens by itself, without those
that begin a text, and stands after the conversation as the template ends it for the assistant.
That is exact where templates end in a special token or a line break, as they do: tokenizers join
no words across these. Rendering the conversation with its answer would not be, since templates
change what was said (they strip it, or put empty thoughts before it).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trainer.contract.kinds.evaluate import GenerationConfig
from trainer.evaluation.seam import Ask, Asker, Unanswerable
from trainer.scoring.predictions import Likelihood

Prompts = Sequence[str] | Sequence[Sequence[int]]


@dataclass(frozen=True)
class _Told:
    """A prompt's ``ids`` and what is said of them, beginning with the second."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    likeliest: tuple[bool, ...]
    first: str = ""

    def after(self, start: int) -> slice:
        """Return where the tokens from ``start`` on are; of the first token nothing is said."""
        return slice(max(0, min(start, len(self.ids) - 1) - 1), None)

    def likelihood(self, text: str, start: int) -> Likelihood:
        """Return what is said of a text whose tokens begin at ``start``."""
        here = self.after(start)
        return Likelihood.of(text, self.logprobs[here], self.likeliest[here])


async def of_reference(asker: Asker, ask: Ask, generation: GenerationConfig) -> Likelihood:
    """Return how likely the first reference is as the answer to a row.

    After a conversation these are the reference's tokens; a text goes on with it as it stands. A
    row without a reference gives a likelihood without tokens.

    Raises:
        Unanswerable: The model tells no likelihoods, or question and reference are longer than
            the context.
        Failure: As ``Asker.post``.
    """
    _require(asker)
    reference = next((text for text in ask.references if text.strip()), "")
    if not reference:
        return Likelihood.of("", ())
    if ask.messages:
        told, start = await _answering(asker, ask, generation, [reference])
    else:
        told, start = await _going_on(asker, ask.text, [ask.text + reference])
        reference = ask.text[len(ask.text.rstrip()):] + reference
    return told[0].likelihood(reference, start)


async def of_text(asker: Asker, ask: Ask) -> Likelihood:
    """Return how likely a row's plain text is: every token but the first, given those before.

    The first token's bytes count no more than its probability does, unless it is a special one.

    Raises:
        Unanswerable: As ``of_reference``.
        Failure: As ``Asker.post``.
    """
    _require(asker)
    if not ask.text:
        return Likelihood.of("", ())
    (told,) = await _tell(asker, [ask.text], echo=True, logprobs=0)
    return told.likelihood(_without(ask.text, told.first), 1)


async def of_choices(asker: Asker, ask: Ask, generation: GenerationConfig | None = None
                     ) -> tuple[float, ...]:
    """Return the log-likelihood of each choice.

    A text goes on as in lm-evaluation-harness: with a blank between the two (unless there is
    one), made into tokens as a whole; what comes after as many tokens as the text has alone is
    the choice. After a conversation the choice is the assistant's answer.

    Raises:
        Unanswerable: As ``of_reference``; or a choice is empty.
        Failure: As ``Asker.post``.
    """
    _require(asker)
    if not all(text.strip() for text in ask.choices):
        raise Unanswerable("One of the choices is empty.")
    if not ask.choices:
        return ()
    if ask.messages:
        told, start = await _answering(asker, ask, generation or GenerationConfig(), ask.choices)
    else:
        told, start = await _going_on(asker, ask.text, [
            ask.text + _between(ask.text, choice) + choice for choice in ask.choices])
    return tuple(math.fsum(one.logprobs[one.after(start)]) for one in told)


async def _answering(asker: Asker, ask: Ask, generation: GenerationConfig,
                     texts: Sequence[str]) -> tuple[list[_Told], int]:
    """Tell of texts as answers; returns them with the number of tokens before each."""
    prompt, answers = await asyncio.gather(_prompt_ids(asker, ask, generation),
                                           _token_ids(asker, texts))
    told = await _tell(asker, [[*prompt, *ids] for ids in answers])
    return told, len(prompt)


async def _going_on(asker: Asker, text: str, wholes: Sequence[str]) -> tuple[list[_Told], int]:
    """Tell of texts that begin with one; returns them with the number of tokens before."""
    # A blank belongs to the word that follows it.
    start = text.rstrip()
    told = await _tell(asker, [start, *wholes] if start else wholes)
    return (told[1:], len(told[0].ids)) if start else (told, 0)


def _between(text: str, end: str) -> str:
    return "" if not text or text[-1].isspace() or end[:1].isspace() else " "


def _without(text: str, first: str) -> str:
    """Return a text without its first token, which may be none of its own."""
    if text.startswith(first):
        return text[len(first):]
    # A token that ends within a character: all of the character is left out.
    return text[1:] if first.startswith("\ufffd") else text


def _require(asker: Asker) -> None:
    if reason := asker.can("likelihood"):
        raise Unanswerable(reason)


def chat_body(ask: Ask, generation: GenerationConfig) -> dict[str, Any]:
    """Return a row as the body of a chat completion, but for how the answer is drawn."""
    messages = list(ask.messages)
    if generation.system and messages[0].get("role") not in ("system", "developer"):
        messages.insert(0, {"role": "system", "content": generation.system})
    body: dict[str, Any] = {"messages": messages}
    if ask.tools:
        body["tools"] = list(ask.tools)
    if generation.enable_thinking is not None:
        body["chat_template_kwargs"] = {"enable_thinking": generation.enable_thinking}
    return body


async def _prompt_ids(asker: Asker, ask: Ask, generation: GenerationConfig) -> list[int]:
    """Return a conversation's tokens, up to where the assistant begins."""
    reply = await asker.post("/chat/completions", {
        **chat_body(ask, generation), "max_tokens": 1, "temperature": 0,
        "return_token_ids": True})
    return [int(one) for one in reply["prompt_token_ids"]]


async def _token_ids(asker: Asker, texts: Sequence[str]) -> list[list[int]]:
    """Return each text's tokens, as they are in the middle of a text."""
    choices = await _complete(asker, {
        "prompt": list(texts), "max_tokens": 0, "echo": True, "add_special_tokens": False})
    return [[int(one) for one in choice["prompt_token_ids"]] for choice in choices]


async def _tell(asker: Asker, prompts: Prompts, **more: Any) -> list[_Told]:
    choices = await _complete(asker, {"prompt": list(prompts), "max_tokens": 1,
                                      "prompt_logprobs": 0, **more})
    return [_read(choice) for choice in choices]


async def _complete(asker: Asker, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask; returns the choices in the order of the prompts."""
    reply = await asker.post("/completions", {"temperature": 0, "return_token_ids": True, **body})
    return sorted(reply["choices"], key=lambda choice: int(choice["index"]))


def _read(choice: dict[str, Any]) -> _Told:
    ids, entries = choice["prompt_token_ids"], choice.get("prompt_logprobs")
    if not entries:
        raise Unanswerable("The engine says nothing of its prompts.")
    own = [entry[str(token)] for token, entry in zip(ids[1:], entries[1:], strict=True)]
    logprobs = tuple(one["logprob"] for one in own)
    if not all(isinstance(value, float | int) for value in logprobs):
        raise Unanswerable("The model's probabilities are no numbers.")
    lists = choice.get("logprobs") or {"tokens": [""]}
    return _Told(tuple(ids), tuple(map(float, logprobs)),
                 tuple(one["rank"] == 1 for one in own), lists["tokens"][0])

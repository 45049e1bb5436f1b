"""What is told of a prompt: vLLM's ``prompt_logprobs``, and OpenAI's old lists with ``echo``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trainer.serving.prompts import PromptScores

TextOf = Callable[[int], str]
Document = dict[str, Any]


def by_token(ids: Sequence[int], scores: PromptScores, top: int, text_of: TextOf
             ) -> list[Document | None]:
    """Return one entry a token, of the token itself and the ``top`` likeliest ones in its place.

    The first is None: nothing stands before it.
    """
    found: list[Document | None] = [None]
    for token, logprob, rank, best in zip(ids[1:], scores.logprobs, scores.ranks, scores.top,
                                          strict=True):
        entry = {str(token): _entry(logprob, rank, text_of(token))}
        for place, (other, value) in enumerate(best[:top], start=1):
            entry.setdefault(str(other), _entry(value, place, text_of(other)))
        found.append(entry)
    return found


def _entry(logprob: float, rank: int, text: str) -> Document:
    return {"logprob": finite(logprob), "rank": rank, "decoded_token": text}


def in_lists(ids: Sequence[int], scores: PromptScores, top: int, text_of: TextOf) -> Document:
    """Return lists beside each other; ``top_logprobs`` has the token itself, too."""
    texts = [text_of(token) for token in ids]
    offsets = [0]
    for text in texts[:-1]:
        offsets.append(offsets[-1] + len(text))
    best: list[dict[str, float] | None] = [None]
    for text, logprob, others in zip(texts[1:], scores.logprobs, scores.top, strict=True):
        likeliest: dict[str, float] = {}
        # Several tokens may have one text: the likeliest of them is told of.
        for other, value in others[:top]:
            likeliest.setdefault(text_of(other), finite(value))
        likeliest.setdefault(text, finite(logprob))
        best.append(likeliest)
    return {"tokens": texts, "token_logprobs": [None, *map(finite, scores.logprobs)],
            "top_logprobs": best, "text_offset": offsets}


def finite(logprob: float) -> float:
    """Return a log-probability that JSON can say: as vLLM, -9999 for what is impossible."""
    return max(logprob, -9999.0)

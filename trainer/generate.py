"""Answering token by token, so that an answer can be shown while it grows and be cancelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_UNFINISHED = "\ufffd"


def generate_ids(model: Any, prompt: list[int], *, eos_ids: tuple[int, ...],
                 max_new_tokens: int, temperature: float = 0.0,
                 seed: int = 0) -> Iterator[int]:
    """Yield the answer's tokens; the end token is not yielded.

    Args:
        model: A causal language model in eval mode.
        prompt: Token ids, not empty.
        eos_ids: Tokens that end the answer.
        max_new_tokens: Longest answer.
        temperature: 0 takes the likeliest token; else samples.
        seed: Of the sampling; the same seed gives the same answer.
    """
    chance = torch.Generator(device="cpu").manual_seed(seed)
    ids = torch.tensor([prompt], device=model.device)
    cache: Any = None
    for _ in range(max_new_tokens):
        with torch.inference_mode():
            out = model(input_ids=ids, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        token = _pick(out.logits[0, -1], temperature, chance)
        if token in eos_ids:
            return
        yield token
        ids = torch.tensor([[token]], device=model.device)


def _pick(logits: torch.Tensor, temperature: float, chance: torch.Generator) -> int:
    """Choose a token from logits of shape (V,)."""
    if temperature <= 0:
        return int(logits.argmax())
    odds = torch.softmax(logits.float().cpu() / temperature, dim=-1)
    return int(torch.multinomial(odds, 1, generator=chance))


def stream_text(tokens: Iterator[int], tokenizer: PreTrainedTokenizerBase,
                emit: Callable[[str], None]) -> int:
    """Emit text as tokens arrive; characters that are not whole yet wait. Returns the count."""
    ids: list[int] = []
    shown = ""
    for token in tokens:
        ids.append(token)
        text = str(tokenizer.decode(ids, skip_special_tokens=True))
        if len(text) > len(shown) and not text.endswith(_UNFINISHED):
            emit(text[len(shown):])
            shown = text
    text = str(tokenizer.decode(ids, skip_special_tokens=True))
    if len(text) > len(shown):
        emit(text[len(shown):])
    return len(ids)

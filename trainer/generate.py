"""Answering token by token, so that an answer can be shown while it grows and be cancelled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch


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
    keeps = not _has_virtual_tokens(model)
    for _ in range(max_new_tokens):
        with torch.inference_mode():
            out = model(input_ids=ids, past_key_values=cache, use_cache=keeps)
        cache = out.past_key_values if keeps else None
        token = _pick(out.logits[0, -1], temperature, chance)
        if token in eos_ids:
            return
        yield token
        last = torch.tensor([[token]], device=model.device)
        ids = last if keeps else torch.cat([ids, last], dim=1)


def _has_virtual_tokens(model: Any) -> bool:
    """Tell whether PEFT puts virtual tokens before what a model is given.

    It does so at every call, also before the one token that follows a cache: without a cache they
    stand where they belong.
    """
    configs = getattr(model, "peft_config", {})
    return any(config.is_prompt_learning for config in configs.values())


def _pick(logits: torch.Tensor, temperature: float, chance: torch.Generator) -> int:
    """Choose a token from logits of shape (V,)."""
    if temperature <= 0:
        return int(logits.argmax())
    odds = torch.softmax(logits.float().cpu() / temperature, dim=-1)
    return int(torch.multinomial(odds, 1, generator=chance))


def cut_at(text: str, stops: Sequence[str]) -> str:
    """Return a text up to the first of the stop strings in it."""
    return text[:min((text.find(stop) for stop in stops if stop in text), default=len(text))]

"""How likely a model finds the tokens of prompts; several prompts share a forward pass.

Prompts stand left-aligned: what pads them comes after their last token, which a causal model
does not see, so that no mask is needed. Long texts are read piece by piece, through the cache, and
each piece is summed up in slices: the scores of all places are never held at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from trainer.serving.batch import Cache, Forward
from trainer.serving.hot import Loaded

if TYPE_CHECKING:
    from trainer.serving.answering import Ticket

MAX_ROWS = 64
MAX_TOKENS = 4096
_PIECE_BYTES = 256 << 20
_SLICE_BYTES = 64 << 20


@dataclass
class PromptScores:
    """What a model says of a prompt's tokens, each given those before it.

    There is nothing of the first one: the lists begin with the second.

    Attributes:
        logprobs: Natural log-probabilities.
        ranks: How many tokens were likelier, plus 1.
        top: The likeliest tokens and their log-probabilities.
    """

    logprobs: list[float] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    top: list[tuple[tuple[int, float], ...]] = field(default_factory=list)


def alike(waiting: Sequence[Ticket], joins: bool) -> list[Ticket]:
    """Return whom to read next: the first one, and those of its adapter that are about as long.

    Args:
        waiting: Not empty, in the order in which they came.
        joins: Whether prompts may share a pass.
    """
    first = waiting[0].question
    others = [one for one in waiting if one.question.adapter is first.adapter] if joins else []
    others.sort(key=lambda one: abs(len(one.question.ids) - len(first.ids)))
    found = [waiting[0]]
    longest = len(first.ids)
    for one in others:
        longest = max(longest, len(one.question.ids))
        if len(found) == MAX_ROWS or longest * (len(found) + 1) > MAX_TOKENS:
            break
        if one is not waiting[0]:
            found.append(one)
    return found


class PromptReader:
    """One pass over several prompts with one adapter."""

    def __init__(self, forward: Forward, prompts: Sequence[Sequence[int]], top: int,
                 adapter: Loaded | None) -> None:
        """Prepare.

        Args:
            forward: Of the model, with the adapter switched on.
            prompts: Not empty; one only where rows may not share a pass.
            top: How many of the likeliest tokens to tell of.
            adapter: For its virtual tokens.
        """
        self._forward, self._top, self._adapter = forward, top, adapter
        self._lengths = [len(ids) for ids in prompts]
        width = max(self._lengths)
        self._tokens = torch.tensor([[*ids, *[0] * (width - len(ids))] for ids in prompts],
                                    device=forward.device)
        self.scores = [PromptScores() for _ in prompts]
        self.last: list[torch.Tensor] = [torch.empty(0)] * len(prompts)

    def read(self, goes_on: Callable[[], bool] = lambda: True) -> None:
        """Fill ``scores``, and ``last`` with the scores (V,) after each prompt.

        Raises:
            InterruptedError: Nobody wants it any more.
        """
        rows, width = self._tokens.shape
        step = self._step(rows) if self._forward.can_join else width
        cache = self._cache(rows, keeps=step < width)
        for start in range(0, width, step):
            if not goes_on():
                raise InterruptedError
            part = self._tokens[:, start:start + step]
            logits, cache = self._forward.read_all(
                part, cache, embeds=self._embeds() if start == 0 else None,
                keeps=start + step < width)
            self._take(logits, start)

    def _step(self, rows: int) -> int:
        """Return how many places are read at once, so that their scores have room."""
        width = self._forward.width * self._forward.model.dtype.itemsize
        return max(1, _PIECE_BYTES // (rows * width))

    def _cache(self, rows: int, *, keeps: bool) -> Cache:
        past = self._adapter.past if self._adapter else ()
        if not past:
            return self._forward.new_cache() if keeps else None
        cache = filled(past)
        if rows > 1:
            cache.batch_repeat_interleave(rows)
        return cache

    def _embeds(self) -> torch.Tensor | None:
        return self._adapter.embeds if self._adapter else None

    def _take(self, logits: torch.Tensor, start: int) -> None:
        """Sum up the scores (B, T, V) of the places from ``start`` on."""
        for row, length in enumerate(self._lengths):
            if 0 <= length - 1 - start < logits.shape[1]:
                self.last[row] = logits[row, length - 1 - start].clone()
        targets = self._tokens[:, start + 1:start + 1 + logits.shape[1]]
        size = max(1, _SLICE_BYTES // (logits.shape[0] * logits.shape[2] * 4))
        for at in range(0, targets.shape[1], size):
            self._note(logits[:, at:at + size], targets[:, at:at + size], start + at)

    def _note(self, logits: torch.Tensor, targets: torch.Tensor, start: int) -> None:
        scores = logits[:, :targets.shape[1]].float()
        total = scores.logsumexp(dim=-1)
        own = scores.gather(-1, targets.unsqueeze(-1))
        ranks = ((scores > own).sum(dim=-1) + 1).tolist()
        logprobs = (own.squeeze(-1) - total).tolist()
        best = scores.topk(min(self._top, scores.shape[-1]), dim=-1)
        ids, values = best.indices.tolist(), (best.values - total.unsqueeze(-1)).tolist()
        for row, length in enumerate(self._lengths):
            count, found = max(0, min(targets.shape[1], length - 1 - start)), self.scores[row]
            found.logprobs += logprobs[row][:count]
            found.ranks += ranks[row][:count]
            found.top += [tuple(zip(*pair, strict=True))
                          for pair in zip(ids[row][:count], values[row][:count], strict=True)]


def filled(past: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> Cache:
    """Return a cache that holds an adapter's keys and values."""
    from transformers import DynamicCache

    cache = DynamicCache()
    for index, (keys, values) in enumerate(past):
        cache.update(keys, values, index)
    return cache

"""Sequences that are continued together: one forward pass gives each of them its next scores.

Keys and values stand right-aligned in one cache, shorter sequences padded on the left; who joins
or leaves changes the cache's rows, never what another row is told. A model whose memory is not
plain keys and values (recurrent states) is continued one sequence at a time.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch

CHUNK = 2048
_TOLERANCE = {torch.float32: 1e-3}
_ROUGHLY = 0.1
Cache = Any


class Forward:
    """A model's forward pass with the arguments that it knows.

    ``can_join`` tells whether several sequences may share a pass, ``width`` how many scores there
    are; see ``probe``.
    """

    def __init__(self, model: Any) -> None:
        """Look at what the model takes; ``model`` is Transformers' own, in eval mode."""
        self.model = model
        known = inspect.signature(model.forward).parameters
        self._positions = "position_ids" in known
        self._last_only = "logits_to_keep" in known
        self.can_join = False
        self.width = 0

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        found: torch.device = self.model.device
        return found

    def new_cache(self) -> Cache:
        """Return an empty cache that rows can join; None lets the model make its own."""
        from transformers import DynamicCache

        return DynamicCache() if self.can_join else None

    def read(self, ids: Sequence[int], cache: Cache, *, embeds: torch.Tensor | None = None,
             goes_on: Callable[[], bool] = lambda: True) -> tuple[torch.Tensor, Cache]:
        """Read a prompt; returns the scores (1, V) after it and the cache.

        Args:
            ids: The prompt.
            cache: What comes before it, or None.
            embeds: (1, v, H) in front of the prompt: an adapter's virtual tokens.
            goes_on: Asked between pieces of a long prompt.

        Raises:
            InterruptedError: Nobody wants it any more.
        """
        tokens = torch.tensor([ids], device=self.device)
        if embeds is not None:
            known = self.model.get_input_embeddings()(tokens)
            whole = torch.cat([embeds.to(known), known], dim=1)
            return self._call(cache, inputs_embeds=whole)
        step = CHUNK if self.can_join else len(ids)
        logits = tokens
        for start in range(0, len(ids), step):
            if not goes_on():
                raise InterruptedError
            logits, cache = self._call(cache, input_ids=tokens[:, start:start + step])
        return logits, cache

    def read_all(self, tokens: torch.Tensor, cache: Cache, *, embeds: torch.Tensor | None = None,
                 keeps: bool = False) -> tuple[torch.Tensor, Cache]:
        """Read a piece of several prompts; returns the scores (B, T, V) after each token.

        Args:
            tokens: (B, T), left-aligned.
            cache: What comes before them, or None.
            embeds: (1, v, H) in front of each row: an adapter's virtual tokens.
            keeps: Whether something follows, so that the cache has to be kept.
        """
        options: dict[str, Any] = {"input_ids": tokens}
        if embeds is not None:
            known = self.model.get_input_embeddings()(tokens)
            virtual = embeds.to(known).expand(len(tokens), -1, -1)
            options = {"inputs_embeds": torch.cat([virtual, known], dim=1)}
        with torch.inference_mode():
            out = self.model(past_key_values=cache, use_cache=keeps or cache is not None,
                             **options)
        return out.logits[:, -tokens.shape[1]:], out.past_key_values if keeps else None

    def step(self, tokens: Sequence[int], cache: Cache, mask: torch.Tensor | None
             ) -> tuple[torch.Tensor, Cache]:
        """Feed one token to each row; returns the scores (B, V).

        Args:
            tokens: One a row.
            cache: Of all rows.
            mask: (B, L + 1), 0 where a row is padded; None when none is.
        """
        options: dict[str, Any] = {}
        if mask is not None:
            options["attention_mask"] = mask
            if self._positions:
                options["position_ids"] = mask.sum(dim=1, keepdim=True) - 1
        ids = torch.tensor(tokens, device=self.device).unsqueeze(1)
        return self._call(cache, input_ids=ids, **options)

    def _call(self, cache: Cache, **options: Any) -> tuple[torch.Tensor, Cache]:
        if self._last_only:
            options["logits_to_keep"] = 1
        with torch.inference_mode():
            out = self.model(past_key_values=cache, use_cache=True, **options)
        return out.logits[:, -1], out.past_key_values

    def probe(self, tokens: Sequence[int]) -> bool:
        """Find out by trying whether this model says the same to rows that share a pass.

        Args:
            tokens: Five ordinary tokens.
        """
        alone: list[torch.Tensor] = []
        first, second = list(tokens[:4]), list(tokens[:2])
        for ids in (first, second):
            logits, cache = self.read(ids, None)
            self.width = logits.shape[-1]
            if not _is_plain(cache):
                return False
            alone.append(self.step([tokens[4]], cache, None)[0][0].float())
        self.can_join = True
        batch = Batch(self)
        for ids in (first, second):
            batch.join(self.read(ids, self.new_cache())[1], len(ids))
        both = batch.step([tokens[4]] * 2).float()
        wanted = torch.stack(alone)
        allowed = _TOLERANCE.get(self.model.dtype, _ROUGHLY) * float(wanted.std() + 1e-6)
        self.can_join = bool((both - wanted).abs().max() <= allowed)
        return self.can_join


class Batch:
    """The cache of sequences that are continued together, in the order in which they joined."""

    def __init__(self, forward: Forward) -> None:
        """Begin with no rows."""
        self._forward = forward
        self._cache: Cache = None
        self._lengths: list[int] = []

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._lengths)

    def join(self, cache: Cache, length: int, copies: int = 1) -> None:
        """Add rows.

        Args:
            cache: Of one sequence that was read; used up.
            length: How many tokens are in it.
            copies: How many rows go on from it.
        """
        if copies > 1:
            cache.batch_repeat_interleave(copies)
        if self._cache is None:
            self._cache, self._lengths = cache, [length] * copies
            return
        width = max(max(self._lengths), length)
        for mine, other in zip(self._cache.layers, cache.layers, strict=True):
            if mine.is_initialized:
                mine.keys = _stack(mine.keys, other.keys, width)
                mine.values = _stack(mine.values, other.values, width)
        self._lengths += [length] * copies

    def keep(self, rows: Sequence[int]) -> None:
        """Keep some of the rows, in their order, and no more padding than they need."""
        if len(rows) == len(self._lengths):
            return
        before = max(self._lengths)
        self._lengths = [self._lengths[row] for row in rows]
        if not rows:
            self._cache = None
            return
        spare = before - max(self._lengths)
        index = torch.tensor(rows, device=self._forward.device)
        for layer in self._cache.layers:
            if layer.is_initialized:
                layer.keys = layer.keys.index_select(0, index)[..., spare:, :].contiguous()
                layer.values = layer.values.index_select(0, index)[..., spare:, :].contiguous()

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Feed each row its token; returns the scores (B, V)."""
        logits, self._cache = self._forward.step(tokens, self._cache, self._mask())
        self._lengths = [length + 1 for length in self._lengths]
        return logits

    def _mask(self) -> torch.Tensor | None:
        width = max(self._lengths) + 1
        if min(self._lengths) + 1 == width:
            return None
        lengths = torch.tensor(self._lengths, device=self._forward.device) + 1
        places = torch.arange(width, device=self._forward.device)
        return (places[None, :] >= width - lengths[:, None]).long()


def _stack(mine: torch.Tensor, other: torch.Tensor, width: int) -> torch.Tensor:
    """Put rows of (B, H, L, D) below each other, padded on the left to a width."""
    return torch.cat([torch.nn.functional.pad(one, (0, 0, width - one.shape[-2], 0))
                      for one in (mine, other)])


def _is_plain(cache: Cache) -> bool:
    """Tell whether a cache holds keys and values, of all tokens or the last, and nothing else."""
    from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

    kinds = (DynamicLayer, DynamicSlidingWindowLayer)
    return type(cache) is DynamicCache and all(type(layer) in kinds for layer in cache.layers)

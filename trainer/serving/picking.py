"""Choosing the next token of one answer from the model's scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from trainer.contract.files import read_json

_GREEDY_BELOW = 1e-5
_OF_MODELS = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn; the names are OpenAI's, and vLLM's where OpenAI has none.

    ``temperature`` 0 takes the likeliest token; ``top_k`` 0 means all. Without a ``seed`` each
    answer is another.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)

    @property
    def is_greedy(self) -> bool:
        """Whether the likeliest token is taken."""
        return self.temperature < _GREEDY_BELOW

    @property
    def is_plain(self) -> bool:
        """Whether scores are taken as they are, so that rows can be chosen for together."""
        return (self.is_greedy and not self.logit_bias and self.repetition_penalty == 1.0
                and not self.presence_penalty and not self.frequency_penalty)


def defaults_of(folder: Path) -> Sampling:
    """Return what holds where a request is silent: the model's generation config, else OpenAI's.

    vLLM does the same, so that both engines draw alike.
    """
    said: Any = read_json(folder / "generation_config.json") or {}
    known = {name: said[name] for name in _OF_MODELS
             if isinstance(said.get(name), int | float) and not isinstance(said[name], bool)}
    if "top_k" in known:
        known["top_k"] = max(0, int(known["top_k"]))
    return replace(Sampling(), **known)


class Scored(NamedTuple):
    """A token and its log-probability, as the model scored it before anything was changed."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


class Picker:
    """Draws the tokens of one answer.

    In vLLM's order: bias, penalties, what a grammar allows, temperature, min_p, top_k, top_p. The
    repetition penalty (arXiv:1909.05858) looks at prompt and answer, the other two at the answer.
    """

    def __init__(self, sampling: Sampling, prompt: Sequence[int], *, number: int = 0,
                 top_logprobs: int | None = None) -> None:
        """Begin an answer.

        Args:
            sampling: How to draw.
            prompt: For the repetition penalty.
            number: Which of several answers to one question: each has a seed of its own.
            top_logprobs: How many of the likeliest tokens to tell of; None for no log-probability.
        """
        self.sampling, self._wanted = sampling, top_logprobs
        self._prompt = set(prompt) if sampling.repetition_penalty != 1.0 else set()
        self._said: Counter[int] = Counter()
        self._chance = torch.Generator(device="cpu")
        if sampling.seed is None:
            self._chance.seed()
        else:
            self._chance.manual_seed((sampling.seed + number) % 2**63)

    @property
    def reads_only(self) -> bool:
        """Whether the likeliest token is all that is wanted."""
        return self.sampling.is_plain and self._wanted is None

    def pick(self, logits: torch.Tensor, mask: torch.Tensor | None = None) -> Scored:
        """Draw a token.

        Args:
            logits: (V,) as the model gives them; not changed.
            mask: (V,) of bool: what a grammar allows.
        """
        scores = logits.float()
        token = self._draw(scores, mask)
        self._said[token] += 1
        if self._wanted is None:
            return Scored(token, 0.0)
        known = torch.log_softmax(scores, dim=-1)
        top = known.topk(min(self._wanted, len(known)))
        pairs = tuple(zip(top.indices.tolist(), top.values.tolist(), strict=True))
        return Scored(token, float(known[token]), pairs)

    def _draw(self, scores: torch.Tensor, mask: torch.Tensor | None) -> int:
        how = self.sampling
        if not how.is_plain:
            scores = self._weigh(scores)
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        if how.is_greedy:
            return int(scores.argmax())
        odds = torch.softmax(_narrow(scores / how.temperature, how), dim=-1)
        return int(torch.multinomial(odds.cpu(), 1, generator=self._chance))

    def _weigh(self, scores: torch.Tensor) -> torch.Tensor:
        """Return scores with bias and penalties."""
        how, scores = self.sampling, scores.clone()
        for token, bias in how.logit_bias.items():
            scores[token] += bias
        if how.repetition_penalty != 1.0 and (seen := list(self._prompt | self._said.keys())):
            ids = torch.tensor(seen, device=scores.device)
            old = scores[ids]
            scores[ids] = torch.where(old > 0, old / how.repetition_penalty,
                                      old * how.repetition_penalty)
        if self._said and (how.presence_penalty or how.frequency_penalty):
            ids = torch.tensor(list(self._said), device=scores.device)
            counts = torch.tensor(list(self._said.values()), device=scores.device)
            scores[ids] -= how.presence_penalty + how.frequency_penalty * counts
        return scores


def _narrow(scores: torch.Tensor, how: Sampling) -> torch.Tensor:
    """Leave out what min_p, top_k and top_p leave out."""
    if how.min_p > 0:
        scores = scores.masked_fill(scores < scores.max() + torch.tensor(how.min_p).log().item(),
                                    float("-inf"))
    if 0 < how.top_k < len(scores):
        least = scores.topk(how.top_k).values[-1]
        scores = scores.masked_fill(scores < least, float("-inf"))
    if how.top_p < 1:
        order = scores.sort(descending=True)
        odds = torch.softmax(order.values, dim=-1)
        late = odds.cumsum(-1) - odds >= how.top_p
        late[0] = False
        scores = scores.index_fill(0, order.indices[late], float("-inf"))
    return scores

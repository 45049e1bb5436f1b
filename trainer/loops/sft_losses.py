"""Losses of answers and text, token by token; each formula stands with its function.

Everywhere ``logits: (N, V)`` are those of the N trained tokens, ``targets: (N,)`` int64 the tokens
that should follow, and the result is ``(N,)``: who calls divides by the number of tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from trainer.contract.config import RunConfig

TOP_K = 20


@dataclass(frozen=True)
class TokenLoss:
    """Which loss a run asks for, and its numbers."""

    name: str = "nll"
    eaft_alpha: float = 1.0
    asft_alpha: float = 0.1
    smoothing: float = 0.0

    @classmethod
    def of(cls, config: RunConfig) -> TokenLoss:
        """Read the loss of a run's config."""
        sft = config.sft
        return cls(sft.loss_type, sft.eaft_alpha, sft.asft_alpha,
                   config.training.label_smoothing_factor)

    @property
    def needs_logits(self) -> bool:
        """Whether the fused head, which never builds logits, cannot compute it."""
        return self.name in ("eaft", "asft") or self.smoothing > 0

    @property
    def needs_reference(self) -> bool:
        """Whether it compares with the base."""
        return self.name == "asft"

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor,
                 reference: torch.Tensor | None) -> torch.Tensor:
        """Return the loss of each token; ``reference: (N, V)`` are the base's logits."""
        if self.name == "asft":
            assert reference is not None
            return asft(logits, targets, reference, self.asft_alpha)
        if self.name == "eaft":
            return eaft(logits, targets, self.eaft_alpha)
        if self.name == "dft":
            return dft(logits, targets)
        return smoothed(logits, targets, self.smoothing)


def smoothed(logits: torch.Tensor, targets: torch.Tensor, share: float) -> torch.Tensor:
    """Cross-entropy with a share e of the target spread over the vocabulary (arXiv:1512.00567).

    ``(1 - e) * -log p(y) + e * mean_v(-log p(v))``; with e = 0 the negative log-likelihood.
    """
    return F.cross_entropy(logits.float(), targets, reduction="none", label_smoothing=share)


def dft(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Dynamic fine-tuning (arXiv:2508.05629): ``sg(p(y)) * -log p(y)``.

    ``sg`` passes no gradient, so that the weight takes the 1/p out of the gradient.
    """
    nll = F.cross_entropy(logits.float(), targets, reduction="none")
    return nll * torch.exp(-nll.detach())


def eaft(logits: torch.Tensor, targets: torch.Tensor, alpha: float = 1.0) -> torch.Tensor:
    """Entropy-adaptive fine-tuning (arXiv:2601.02151): ``sg(H / ln K)^alpha * -log p(y)``.

    H is the entropy of the softmax over the K = 20 largest logits, so that the weight lies between
    0 (the model is sure, be it of something else) and 1. alpha = 1 is the paper's; other exponents
    are its polynomial gates.
    """
    values = logits.float()
    with torch.no_grad():
        kept = min(TOP_K, values.size(-1))
        top = values.topk(kept, dim=-1).values.log_softmax(dim=-1)
        weight = (-(top.exp() * top).sum(-1) / math.log(kept)).clamp(0, 1).pow(alpha)
    return F.cross_entropy(values, targets, reduction="none") * weight


def asft(logits: torch.Tensor, targets: torch.Tensor, reference: torch.Tensor,
         alpha: float = 0.1) -> torch.Tensor:
    """Anchored fine-tuning (arXiv:2509.23753): the loss of DFT plus ``alpha * KL(base || model)``.

    The divergence is that of the whole distribution at each trained token,
    ``sum_v q(v) (log q(v) - log p(v))``, in the direction of the authors' implementation.
    """
    log_p = logits.float().log_softmax(dim=-1)
    log_q = reference.float().log_softmax(dim=-1)
    divergence = F.kl_div(log_p, log_q, reduction="none", log_target=True).sum(-1)
    return dft(logits, targets) + alpha * divergence


class Scores(NamedTuple):
    """What a forward pass says of the trained tokens of a batch.

    ``losses`` are to be summed; ``entropy`` and ``correct`` (of the argmax) carry no gradient.
    All are zero, or left out, where nothing is trained; ``count`` is the number of trained tokens.
    """

    losses: torch.Tensor
    entropy: torch.Tensor
    correct: torch.Tensor
    count: torch.Tensor
    aux_loss: torch.Tensor | None = None


def score_logits(loss: TokenLoss, logits: torch.Tensor, labels: torch.Tensor,
                 reference: torch.Tensor | None = None) -> Scores:
    """Score a batch from its logits.

    Args:
        loss: What to compute.
        logits: (B, T', V) with T' >= T: virtual tokens of prompt tuning stand in front.
        labels: (B, T), -100 where nothing is trained; the token at t is predicted at t - 1.
        reference: (B, T', V), the base's logits where the loss needs them.
    """
    trained = labels[:, 1:] != -100
    targets = labels[:, 1:][trained]
    kept = _before(logits, labels)[trained]
    base = None if reference is None else _before(reference, labels)[trained]
    losses = loss(kept, targets, base)
    with torch.no_grad():
        log_p = kept.float().log_softmax(dim=-1)
        entropy = -(log_p.exp() * log_p).sum(-1)
        correct = (kept.argmax(-1) == targets).float()
    return Scores(losses, entropy, correct, trained.sum())


def _before(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the logits that predict ``labels[:, 1:]``: (B, T - 1, V)."""
    return logits[:, -labels.size(1):-1]

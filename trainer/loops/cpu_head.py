"""TRL's fused head on the CPU, made to score only the tokens that are trained on.

With Triton TRL leaves out prompts and padding; without it every position is scored, tile by tile,
and once more in the backward pass. Here the backbone hands over the states that predict trained
tokens and no others. Few of them go through the model's own head at once; many still go through
TRL's tiles, whose memory does not grow with the vocabulary.
"""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Iterator
from typing import Any

import torch
from trl.trainer.utils import FusedCausalLMOutput

LOGITS_BYTES = 128 * 2**20


def score_trained_only(model: Any, temperature: float = 1.0) -> None:
    """Let a model that has TRL's fused head pass over what is not trained; else do nothing.

    The losses are those of TRL's head, token by token; ``loss`` itself, which no loop of ours asks
    for, is not set for few tokens.

    Args:
        model: The model, with or without an adapter around it.
        temperature: What TRL's head divides the logits by.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    fused = vars(base).get("forward")
    if fused is None or base.device.type != "cpu":
        return

    @functools.wraps(type(base).forward)
    def forward(self: Any, *args: Any, fused_lm_head: bool = False, labels: Any = None,
                **kwargs: Any) -> Any:
        if not fused_lm_head or labels is None:
            more = {} if labels is None else {"labels": labels}
            return fused(*args, fused_lm_head=fused_lm_head, **more, **kwargs)
        trained = labels[:, 1:] != -100
        targets = labels[:, 1:][trained]
        with only_states(self, trained):
            few = 4 * targets.numel() * self.config.get_text_config().vocab_size <= LOGITS_BYTES
            if few:
                outputs = _scored(self, fused(*args, **{**kwargs, "use_cache": False}),
                                  targets, temperature)
            else:
                outputs = fused(*args, fused_lm_head=True, shift_labels=targets[None], **kwargs)
        return _spread(outputs, trained)

    base.forward = types.MethodType(forward, base)


@contextlib.contextmanager
def only_states(base: Any, wanted: torch.Tensor) -> Iterator[None]:
    """Let a causal model's backbone return (1, N, H): the states at the N marked positions.

    Args:
        base: A causal language model, without an adapter around it.
        wanted: (B, T - 1) bool; the state of the last position is never among them.
    """
    def keep(_: Any, __: Any, outputs: Any) -> Any:
        states = outputs.last_hidden_state
        outputs.last_hidden_state = states[:, -wanted.size(1) - 1:-1][wanted][None]
        return outputs

    handle = base.base_model.register_forward_hook(keep)
    try:
        yield
    finally:
        handle.remove()


def _scored(base: Any, outputs: Any, targets: torch.Tensor,
            temperature: float) -> FusedCausalLMOutput:
    """Score the N targets by logits (1, N, V); only ``log_probs`` carries a gradient."""
    logits = outputs.logits[0].float() / temperature
    log_p = logits.log_softmax(dim=-1)
    picked = log_p.gather(1, targets[:, None])[:, 0]
    with torch.no_grad():
        p = log_p.exp()
        noted = {"entropy": -(p * log_p).sum(dim=-1), "mean_logits": logits.mean(dim=-1),
                 "log_sum_sq_probs": p.square().sum(dim=-1).log(),
                 "is_top1": logits.argmax(dim=-1) == targets}
    return FusedCausalLMOutput(log_probs=picked[None], aux_loss=getattr(outputs, "aux_loss", None),
                               **{name: values[None] for name, values in noted.items()})


def _spread(outputs: FusedCausalLMOutput, trained: torch.Tensor) -> FusedCausalLMOutput:
    """Put (1, N) back where it belongs in (B, T - 1); the rest is zero."""
    for name in ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1"):
        if (values := outputs.get(name)) is not None:
            setattr(outputs, name,
                    values.new_zeros(trained.shape).masked_scatter(trained, values[0]))
    outputs.label_mask = trained
    return outputs

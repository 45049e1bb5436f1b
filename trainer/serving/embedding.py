"""Texts as vectors: the mean of the last hidden states over a text's tokens."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import torch

from trainer.serving.failures import Refused
from trainer.serving.hot import Loaded
from trainer.serving.loading import Served


def embed(served: Served, adapter: Loaded | None, ids: Sequence[int]) -> torch.Tensor:
    """Return the mean over all tokens of what the last layer says before the head, (H,) float32.

    It is not scaled to length one: a model that writes was not made for it, and its scale says
    something.

    Raises:
        Refused: The model has no body apart from its head, or the adapter has virtual tokens only.
    """
    model: Any = served.forward.model
    if adapter is not None and adapter.tokens:
        raise _cannot(f"'{adapter.name}' has virtual tokens, which stand before a prompt only")
    served.adapters.use(adapter)
    body = model.base_model
    if body is model:
        raise _cannot("its body cannot be asked apart from its head")
    with torch.inference_mode():
        out = body(input_ids=torch.tensor([list(ids)], device=served.forward.device),
                   use_cache=False)
    hidden = getattr(out, "last_hidden_state", None)
    if hidden is None:
        raise _cannot("it does not tell its last hidden states")
    mean: torch.Tensor = hidden[0].float().mean(dim=0).cpu()
    return mean


def shown(vector: torch.Tensor, form: str | None) -> list[float] | str:
    """Return a vector as OpenAI writes it: numbers, or float32 in base64."""
    if form == "base64":
        return base64.b64encode(vector.numpy().astype("<f4").tobytes()).decode("ascii")
    values: list[float] = vector.tolist()
    return values


def _cannot(why: str) -> Refused:
    return Refused(f"This model gives no embeddings: {why}.", code="no_embeddings", param="model")

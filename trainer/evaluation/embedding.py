"""Texts as vectors of an engine: ``POST /embeddings``, as OpenAI writes it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation.seam import Asker, Unanswerable
from trainer.failures import Failure

Vectors = NDArray[np.float64]
AT_ONCE = 16
SHORTEST = 64


async def vectors(asker: Asker, texts: Sequence[str]) -> Vectors:
    """Return (N, H) float64; a row of NaN for a text that the engine refuses however short.

    A text that is too long for the model is halved until it is not: its beginning counts.

    Args:
        asker: The engine.
        texts: None of them blank.

    Raises:
        Failure: As ``Asker.post``; 'metric_embedding' when what comes back are no vectors, or the
            engine embeds none of the texts.
    """
    # A lone surrogate is no text for a server.
    texts = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    parts = await asyncio.gather(*(_embedded(asker, texts[start:start + AT_ONCE])
                                   for start in range(0, len(texts), AT_ONCE)))
    found = [vector for part in parts for vector in part]
    known = next((vector for vector in found if vector is not None), None)
    if found and known is None:
        raise _nothing(asker, "it refuses every text")
    nothing = [float("nan")] * len(known or ())
    try:
        return np.array([nothing if vector is None else vector for vector in found],
                        dtype=np.float64).reshape(len(found), -1 if found else 0)
    except (TypeError, ValueError):
        raise _nothing(asker, "they are not all of one length") from None


async def _embedded(asker: Asker, texts: Sequence[str]) -> list[Sequence[float] | None]:
    """Return a vector for each text; None for one that is refused even when it is short."""
    try:
        reply = await asker.post("/embeddings", {"input": list(texts)})
    except Unanswerable:
        if len(texts) > 1:
            return [vector for text in texts for vector in await _embedded(asker, [text])]
        if len(texts[0]) <= SHORTEST:
            return [None]
        half = texts[0][:len(texts[0]) // 2]
        return await _embedded(asker, [half]) if half.strip() else [None]
    return _read(asker, reply, len(texts))


def _read(asker: Asker, reply: dict[str, Any], wanted: int) -> list[Sequence[float] | None]:
    """Return the vectors of a reply, in the order of the question."""
    try:
        data = sorted(reply["data"], key=lambda one: int(one["index"]))
        found = [[float(value) for value in one["embedding"]] for one in data]
    except (KeyError, TypeError, ValueError):
        raise _nothing(asker, "its reply has none") from None
    if [one["index"] for one in data] != list(range(wanted)):
        raise _nothing(asker, f"it sent {len(found)} for {wanted} texts")
    return [*found]


def _nothing(asker: Asker, why: str) -> Failure:
    return Failure("metric_embedding", f"'{asker.name}' gave no vectors: {why}.",
                   "Choose a model that makes vectors.")

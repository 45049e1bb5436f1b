"""Where a model answers: the one thing that engines and whoever asks them agree on.

Every engine is an OpenAI-compatible server on the loopback address, with a random port and key: our
Transformers engine, vLLM, llama.cpp. A saved endpoint is one that somebody else runs. So there is
one way to ask, and a proxy has only to change the address.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Route:
    """Where to ask: ``POST {base_url}/chat/completions`` with ``Bearer {key}``.

    Attributes:
        base_url: Ends with ``/v1``.
        key: '' where none is wanted; of an engine its own, which no other one has.
        model: The name as that server knows it.
        tells_likelihoods: Whether it may be asked how likely a given text is.
    """

    base_url: str
    key: str = field(repr=False)
    model: str
    tells_likelihoods: bool = True

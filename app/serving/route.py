"""Where a model answers: the one thing that every engine and whoever asks it agree on.

Every engine is an OpenAI-compatible server on the loopback address, with a random port and key: our
Transformers engine, vLLM, llama.cpp. A saved endpoint is one that somebody else runs. So there is
one way to ask, and a proxy has only to change the address.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from trainer.engines.errors import Kind


@dataclass(frozen=True)
class Served:
    """A name that can be asked for.

    Attributes:
        name: As a client writes it in ``model``: 'starter', a run's id, 'RUN/checkpoint-40',
            'RUN/FILE.gguf' of an export, 'ENDPOINT/MODEL'.
        kind: What it is.
        label: What a person reads.
        created: Unix seconds.
    """

    name: str
    kind: Kind
    label: str
    created: int


@dataclass(frozen=True)
class Route:
    """Where to ask: ``POST {base_url}/chat/completions`` with ``Bearer {key}``.

    Attributes:
        base_url: Ends with ``/v1``.
        key: '' where none is wanted.
        model: The name as that server knows it.
        tells_likelihoods: Whether it may be asked how likely a given text is.
    """

    base_url: str
    key: str
    model: str
    tells_likelihoods: bool = True


class Backend(Protocol):
    """Something that lets models answer."""

    def served(self) -> list[Served]:
        """Return what can be asked for, loaded or not."""
        ...

    def using(self, name: str) -> AbstractAsyncContextManager[Route]:
        """Load what is needed and hold it while the answer is written.

        Raises:
            EngineError: 'unknown_model' when the name is not among ``served``, or why it cannot
                answer.
        """
        ...

"""What can be asked for, and the promise of whoever lets models answer."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from trainer.engines.errors import Kind
from trainer.engines.route import Route


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

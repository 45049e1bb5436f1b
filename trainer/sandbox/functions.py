"""A function of a user's Python file, called in a child.

It keeps accidents away from the run and secrets out of the function's environment. It is no
prison: the function may do what its user may do, which is why the file needs consent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from trainer.sandbox.process import Bounds, Broken, Child

__all__ = ["Bounds", "Broken", "UserFunction"]

MODULE = "trainer.sandbox.inside.function"


class UserFunction:
    """One warm child; it is started by the first call and ended by ``close`` or any trouble."""

    def __init__(self, path: Path, source: bytes, name: Literal["reward", "score"],
                 bounds: Bounds | None = None) -> None:
        """Keep the text that may run; ``path`` is only what it is called."""
        self._path, self._source, self._name = path, source, name
        self._bounds = bounds or Bounds()
        self._child: Child | None = None

    def call(self, prompts: list[str], answers: list[str],
             references: list[str]) -> list[float | None]:
        """Return what the function returns: a finite number or None an answer.

        Raises:
            Broken: It took too long, died, or returned something else than numbers.
        """
        child = self.start()
        found = child.ask({"prompts": prompts, "answers": answers, "references": references},
                          self._bounds.batch_s)
        scores = found.get("scores")
        if not isinstance(scores, list) or len(scores) != len(answers):
            child.close()
            raise Broken("refused", "what it said cannot be read")
        return scores

    def start(self) -> Child:
        """Return the child, started when there is none.

        Raises:
            Broken: The file cannot be loaded.
        """
        if self._child is None or not self._child.alive:
            self.close()
            self._child = Child(MODULE)
            self._child.ask({"path": str(self._path), "function": self._name,
                             "source": self._source.decode("utf-8", "replace"),
                             "memory_mib": self._bounds.memory_mib}, self._bounds.start_s)
        return self._child

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is not None:
            child.close()

    def __del__(self) -> None:
        """Leave no child behind."""
        self.close()

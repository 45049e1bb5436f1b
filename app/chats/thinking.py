"""``<think>...</think>`` at the beginning of an answer, told from what is said."""

from __future__ import annotations

from typing import Literal

OPEN, CLOSE = "<think>", "</think>"
Kind = Literal["content", "thinking", "turned"]
Heard = list[tuple[Kind, str]]


class Fold:
    """Splits a text that grows; a tag that comes in pieces is one.

    Only a tag that begins the answer opens: a model may write of tags later. A template may have
    opened it already: then the first closing tag turns all that came before into thinking, which
    is told as ``turned``.
    """

    def __init__(self, *, begun: bool = False) -> None:
        """Begin; ``begun`` when the answer goes on with a text, or its thinking comes apart."""
        self._mode: Literal["start", "thinking", "text", "said"] = "said" if begun else "start"
        self._held, self._skips = "", False

    def feed(self, text: str) -> Heard:
        """Take more text; return what is sure by now."""
        self._held += text
        found: Heard = []
        while (piece := self._step()) is not None:
            found.append(piece)
        return [(kind, text) for kind, text in found if text or kind == "turned"]

    def apart(self) -> None:
        """Say that thinking comes in a field of its own: no tag means anything from now on."""
        self._mode = "said"

    def finish(self) -> Heard:
        """Return what was held back."""
        rest, self._held = self._held, ""
        return [("thinking" if self._mode == "thinking" else "content", rest)] if rest else []

    def _step(self) -> tuple[Kind, str] | None:
        """Take one step; None when more text is needed."""
        if self._skips:
            self._held = self._held.lstrip()
            self._skips = not self._held
        if not self._held:
            return None
        if self._mode == "start":
            return self._begin()
        if self._mode == "said":
            return "content", self._take(len(self._held))
        return self._look_for_end()

    def _begin(self) -> tuple[Kind, str] | None:
        bare = self._held.lstrip()
        if OPEN.startswith(bare):
            if bare != OPEN:
                return None
        elif not bare.startswith(OPEN):
            self._mode = "text"
            return "content", ""
        self._mode, self._skips = "thinking", True
        self._held = bare[len(OPEN):]
        return "thinking", ""

    def _look_for_end(self) -> tuple[Kind, str] | None:
        kind: Kind = "thinking" if self._mode == "thinking" else "content"
        at = self._held.find(CLOSE)
        if at < 0:
            sure = len(self._held) - _beginning(self._held)
            return (kind, self._take(sure)) if sure else None
        if at:
            return kind, self._take(at)
        self._take(len(CLOSE))
        self._mode, self._skips = "said", True
        return ("thinking", "") if kind == "thinking" else ("turned", "")

    def _take(self, count: int) -> str:
        text, self._held = self._held[:count], self._held[count:]
        return text


def _beginning(text: str) -> int:
    """Return how many characters at the end may be the beginning of the closing tag."""
    return next((length for length in range(min(len(CLOSE) - 1, len(text)), 0, -1)
                 if text.endswith(CLOSE[:length])), 0)

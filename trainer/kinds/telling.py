"""How a run of several pieces says how far it is."""

from __future__ import annotations

import time

from trainer.contract.events import MetricsEvent, ProgressEvent, Stage
from trainer.emit import EventWriter
from trainer.stop import Stop

_EVERY_S = 0.5


class Teller:
    """Tells stages, pieces and bytes; at most two progress events a second.

    Its ``bytes`` and ``wanted`` are what exporters ask for as ``progress`` and ``cancelled``.
    """

    def __init__(self, emit: EventWriter, stop: Stop, pieces: int) -> None:
        """Begin at piece 0 of ``pieces``."""
        self.emit, self.pieces = emit, pieces
        self._stop, self._stage, self._done = stop, "loading", 0
        self._began = self._told = time.monotonic()
        self.say()

    def stage(self, stage: Stage, message: str) -> None:
        """Say what begins."""
        self._stage, self._began, self._told = stage, time.monotonic(), 0.0
        self.emit.stage(stage, message)

    def piece_done(self) -> None:
        """Count a piece."""
        self._done += 1
        self.say()

    def say(self) -> None:
        """Say how many pieces are done."""
        self.emit(MetricsEvent(step=self._done, total_steps=self.pieces, values={}))

    def bytes(self, done: int, total: int, what: str = "") -> None:
        """Say how many bytes of the piece are written."""
        self.count(done, total, "bytes")

    def sides(self, done: int, total: int, what: str = "") -> None:
        """Say how many programs have been asked."""
        self.count(done, total, "programs")

    def count(self, done: int, total: int, unit: str) -> None:
        """Say how far the stage is, with the time left by its own speed."""
        now = time.monotonic()
        if now - self._told < _EVERY_S and done < total:
            return
        self._told = now
        left = (now - self._began) * (total - done) / done if done else None
        self.emit(ProgressEvent.model_validate({
            "stage": self._stage, "done": done, "total": total, "unit": unit, "eta_s": left}))

    def unwanted(self) -> bool:
        """Tell whether a stop was asked for."""
        return self._stop.requested

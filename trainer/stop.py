"""Being asked to stop: SIGTERM and SIGINT set a flag, SIGUSR1 shows where the trainer is."""

from __future__ import annotations

import faulthandler
import signal
import sys
import threading
from types import FrameType


class Stopped(BaseException):
    """The run was asked to stop before there was anything to save.

    Not an ``Exception``: no library between the signal and the door may swallow it.
    """


class Stop:
    """Whether a stop was asked for, and whether there is something to save first.

    Until ``training_begins`` a signal ends the work at once by raising Stopped where the main
    thread is; afterwards it only sets ``requested``, which the loop reads at each step's end.
    ``cancel`` is set in any case, for work that other threads and processes do.
    """

    def __init__(self) -> None:
        """Begin without a request."""
        self.requested = False
        self.cancel = threading.Event()
        self._at_once = False
        self._before: dict[int, object] = {}

    def install(self) -> None:
        """Take over the signals; does nothing outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._at_once = True
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._on_signal)
        faulthandler.register(signal.SIGUSR1, file=sys.__stderr__, all_threads=True)

    def restore(self) -> None:
        """Give the signals back to whoever had them."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        first = not self.requested
        self.requested = True
        self.cancel.set()
        if first and self._at_once:
            raise Stopped

    def training_begins(self) -> None:
        """From here on a stop waits for the end of the step.

        Raises:
            Stopped: When it was asked for before.
        """
        self._at_once = False
        self.check()

    def check(self) -> None:
        """Raise Stopped when a stop was asked for."""
        if self.requested:
            raise Stopped

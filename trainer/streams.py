"""Standard output and error that outlive a full disk and keep secrets: they are a run's log."""

from __future__ import annotations

import contextlib
import sys
from typing import Any, TextIO

from trainer.contract.redact import known_secrets, redact


class Forgiving:
    """A text stream whose writes never fail and hold no secret; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        """Stand before ``stream``."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written; returns the length of the text as if all was."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(redact(text, known_secrets()))
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        """Return anything else of the stream."""
        return getattr(self._stream, name)


def forgive() -> None:
    """Put forgiving streams in the place of standard output and error: the log may be full."""
    if not isinstance(sys.stdout, Forgiving):
        sys.stdout = Forgiving(sys.stdout)  # type: ignore[assignment]
        sys.stderr = Forgiving(sys.stderr)  # type: ignore[assignment]

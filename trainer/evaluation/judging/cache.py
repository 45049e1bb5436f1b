"""Every reply of the judge, a line each, appended as it comes: what was paid for is kept."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.evaluation.store import line_of

Outcome = str | float | None


@dataclass(frozen=True)
class Call:
    """One reply.

    Attributes:
        key: Of judge, question and settings.
        dataset, row, model: What it was about.
        shown_first: The model whose answer stood as A; '' where one answer got points.
        repeated: It is the second reply, after one that could not be read.
        outcome: 'A', 'B', 'tie', points, or None when it could not be read.
        said: The reply.
        cut: It ended at the longest length.
        tokens_in, tokens_out: As the server counted; ``counted`` is False where it did not.
    """

    key: str
    dataset: str
    row: int
    model: str
    shown_first: str = ""
    repeated: bool = False
    outcome: Outcome = None
    said: str = ""
    cut: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    counted: bool = True


def key_of(judge: str, question: str, max_new_tokens: int) -> str:
    """Return the name of a call: the same judge, question and settings give the same one.

    The question holds rubric, prompt, answers and their order.
    """
    told = json.dumps([1, judge, question, max_new_tokens])
    return hashlib.sha256(told.encode()).hexdigest()


class Cache:
    """The replies of one file, by key."""

    def __init__(self, path: Path) -> None:
        """Read what is there; half a line at the end, of a process that died, is cut off.

        Raises:
            OSError: The file cannot be read or mended.
        """
        self._path = path
        self._calls: dict[str, Call] = {}
        if path.exists():
            self._read()

    def _read(self) -> None:
        raw = self._path.read_bytes()
        whole = raw.rfind(b"\n") + 1
        if whole < len(raw):
            os.truncate(self._path, whole)
        for line in raw[:whole].split(b"\n"):
            if (call := _call(line)) is not None:
                self._calls[call.key] = call

    def get(self, key: str) -> Call | None:
        """Return the reply that is known, or None."""
        return self._calls.get(key)

    def add(self, call: Call) -> None:
        """Keep a reply.

        Raises:
            OSError: The disk is full or the file cannot be written.
        """
        with self._path.open("ab", buffering=0) as file:
            file.write(line_of(asdict(call)))
        self._calls[call.key] = call


def _call(line: bytes) -> Call | None:
    """Return what a line says; None for one that is damaged, which is asked again."""
    try:
        values: Any = json.loads(line)
        call = Call(**values)
    except (ValueError, TypeError):
        return None
    fits = isinstance(call.key, str) and isinstance(call.tokens_in, int) \
        and isinstance(call.tokens_out, int) \
        and (call.outcome is None or isinstance(call.outcome, str | int | float))
    return call if fits else None

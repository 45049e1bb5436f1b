"""The line to the parent: one JSON document a line, out of the way of what runs here."""

from __future__ import annotations

import fcntl
import json
import os
import random
import traceback
from types import TracebackType
from typing import Any


class Line:
    """Requests and answers on descriptors of its own.

    Standard input is empty from then on, and what is printed goes to standard error, or nowhere.
    The numbers of the descriptors are drawn, so that nothing writes there by accident.
    """

    def __init__(self, *, silent: bool) -> None:
        """Take over standard input and output; ``silent`` throws away all that is printed."""
        self._in = os.fdopen(_moved(0), "rb")
        self._out = _moved(1)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing if silent else 2, 1)
        if silent:
            os.dup2(nothing, 2)
        os.close(nothing)

    def receive(self) -> dict[str, Any] | None:
        """Return the next request; None when the parent is gone."""
        line = self._in.readline()
        if not line:
            return None
        request: dict[str, Any] = json.loads(line)
        return request

    def send(self, document: dict[str, Any]) -> None:
        """Answer."""
        text = json.dumps(document).encode("ascii") + b"\n"
        while text:
            text = text[os.write(self._out, text):]


def _moved(descriptor: int) -> int:
    """Return a copy of a descriptor at some number that nobody knows beforehand."""
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, random.SystemRandom().randint(64, 200))


def told(kind: type[BaseException], error: BaseException, trace: TracebackType | None,
         path: str) -> str:
    """Return an error as one line that names the line of the file ``path``."""
    lines = [line for frame, line in traceback.walk_tb(trace)
             if frame.f_code.co_filename == path]
    if isinstance(error, SyntaxError) and error.filename == path and error.lineno:
        lines.append(error.lineno)
    text = " ".join(f"{kind.__name__}: {_words(error)}".split()).rstrip(": ")[:1000]
    return f"line {lines[-1]}: {text}" if lines else text


def _words(error: BaseException) -> str:
    return error.msg if isinstance(error, SyntaxError) else str(error)

"""``python -P -m trainer.sandbox.inside.function``: calls a user's function for ``functions``.

The first request, ``{"path", "function", "source", "memory_mib"}``, loads it; then each
``{"prompts", "answers", "references"}`` is answered by ``{"scores": [...]}`` or ``{"refused":
why}``. The process ends when its parent does, also in the middle of work, and when the function
raises: it says ``{"ended": why}`` with the line of the file.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import math
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

from trainer.sandbox.inside.line import Line, told
from trainer.sandbox.inside.locks import bound

Function = Callable[[list[str], list[str], list[str]], Any]
NAME = "finestra_function"


class _Source(importlib.abc.SourceLoader):
    """Loads a module from a text that was read before, so that nobody can exchange it."""

    def __init__(self, path: str, source: str) -> None:
        self._path, self._text = path, source.encode("utf-8")

    def get_filename(self, fullname: str) -> str:
        return self._path

    def get_data(self, path: str | bytes) -> bytes:
        if path != self._path:
            raise OSError("nothing is cached")
        return self._text


def main() -> int:
    """Answer until the parent is gone."""
    line = Line(silent=False)
    first = line.receive()
    if first is None:
        return 0
    sys.excepthook = _ender(line, first["path"])
    bound(first["memory_mib"])
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(line, requests), daemon=True).start()
    name = first["function"]
    function = load(first["path"], first["source"], name)
    line.send({} if function else {"refused": f"it has no function {name}(prompts, "
                                              "completions, references)"})
    while function:
        line.send(score(function, requests.get()))
    return 1


def load(path: str, source: str, name: str) -> Function | None:
    """Return the function of a text; None when it has none."""
    loader = _Source(path, source)
    spec = importlib.util.spec_from_loader(NAME, loader, origin=path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    loader.exec_module(module)
    found = getattr(module, name, None)
    return found if callable(found) else None


def score(function: Function, request: dict[str, list[str]]) -> dict[str, Any]:
    """Call the function and look at what it returns."""
    wanted = len(request["answers"])
    found = function(request["prompts"], request["answers"], request["references"])
    if isinstance(found, str | bytes) or not hasattr(found, "__iter__"):
        return {"refused": f"it returned {type(found).__name__}, not a list of numbers"}
    values = []
    for value in found:
        values.append(value)
        if len(values) > wanted:
            return {"refused": f"it returned more than {wanted} numbers for {wanted} answers"}
    if len(values) != wanted:
        return {"refused": f"it returned {len(values)} numbers for {wanted} answers"}
    scores: list[float | None] = []
    for place, value in enumerate(values, 1):
        if value is not None and not hasattr(value, "__float__"):
            return {"refused": f"it returned {type(value).__name__} where a number belongs, for "
                               f"answer {place} of {wanted}"}
        scores.append(None if value is None else float(value))
        if value is not None and not math.isfinite(float(value)):
            return {"refused": f"it returned {float(value)}, which is no finite number, for "
                               f"answer {place} of {wanted}"}
    return {"scores": scores}


def _read(line: Line, requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Queue requests; leave at once when nobody is there any more."""
    while (request := line.receive()) is not None:
        requests.put(request)
    os._exit(0)


def _ender(line: Line, path: str) -> Callable[..., None]:
    """Return what tells of an error, and leaves without waiting for the function's threads."""
    def end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        traceback.print_exception(kind, error, trace)
        sys.stderr.flush()
        line.send({"ended": told(kind, error, trace, path)})
        os._exit(1)

    return end


if __name__ == "__main__":
    sys.exit(main())

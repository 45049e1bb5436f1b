"""``python -P -m trainer.rewards.child``: runs a user's reward function for ``sandbox``.

JSON lines. The first one, ``{"name", "source", "memory_mib"}``, loads the function; then each
``{"prompts", "completions", "references"}`` is answered by ``{"scores": [...]}`` or ``{"refused":
why}``. What the function prints goes to standard error. The process ends when standard input does,
also in the middle of work, and when the function raises: its parent tells.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import json
import math
import os
import queue
import resource
import sys
import threading
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import IO, Any

Function = Callable[[list[str], list[str], list[str]], Any]
NAME = "finestra_reward"


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
    """Answer until the input ends."""
    sys.excepthook = _end
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, lines), daemon=True).start()
    first = json.loads(lines.get())
    ceiling = first["memory_mib"] * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    function = load(first["name"], first["source"])
    _write(out, {} if function else {"refused": "it has no function reward(prompts, completions, "
                                                "references)"})
    while function:
        request = json.loads(lines.get())
        _write(out, score(function, request))
    return 1


def load(path: str, source: str) -> Function | None:
    """Return the function ``reward`` of a text; None when it has none."""
    loader = _Source(path, source)
    spec = importlib.util.spec_from_loader(NAME, loader, origin=path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    loader.exec_module(module)
    found = getattr(module, "reward", None)
    return found if callable(found) else None


def score(function: Function, request: dict[str, list[str]]) -> dict[str, Any]:
    """Call the function and look at what it returns."""
    answers = request["completions"]
    found = function(list(request["prompts"]), list(answers), list(request["references"]))
    if isinstance(found, str | bytes) or not hasattr(found, "__iter__"):
        return {"refused": f"it returned {type(found).__name__}, not a list of numbers"}
    values = list(found)
    if len(values) != len(answers):
        return {"refused": f"it returned {len(values)} numbers for {len(answers)} answers"}
    scores: list[float | None] = []
    for value in values:
        if value is not None and not hasattr(value, "__float__"):
            return {"refused": f"it returned {type(value).__name__} where a number belongs"}
        scores.append(None if value is None else float(value))
        if value is not None and not math.isfinite(float(value)):
            return {"refused": f"it returned {float(value)}, which is no finite number"}
    return {"scores": scores}


def _read(source: IO[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    """Queue requests; leave at once when nobody is there any more."""
    for line in source:
        lines.put(line)
    os._exit(0)


def _write(out: IO[str], document: dict[str, Any]) -> None:
    out.write(json.dumps(document) + "\n")
    out.flush()


def _end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Tell of an error, and leave without waiting for threads that the function started."""
    traceback.print_exception(kind, error, trace)
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())

"""``python -P -m trainer.sandbox.inside.program``: runs one program of a model for ``programs``.

The one request has ``{"parent", "memory_mib", "seconds", "prompt", "answer", "tests"}``. The
process locks itself in, makes a program of prompt and answer, runs it and then its tests. When it
comes to their end it says ``{"ran": true}`` and is asked once more, for a word that it could not
know before: a program that ends early, whatever it prints, does not get there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import CodeType, ModuleType, TracebackType
from typing import Any

from trainer.sandbox.inside.answers import BadTests, Tests, assembled
from trainer.sandbox.inside.line import Line, told
from trainer.sandbox.inside.locks import lock_in

NAME = "answer"


def main() -> int:
    """Run the program."""
    line = Line(silent=True)
    request = line.receive()
    if request is None:
        return 0
    if why := lock_in(request["memory_mib"], request["seconds"], request["parent"]):
        line.send({"refused": f"it cannot be locked in: {why}"})
        return 1
    sys.excepthook = _ender(line, formed=False)
    try:
        tests = Tests(request["tests"])
    except BadTests as error:
        line.send({"bad_tests": str(error)})
        return 1
    source, entry = assembled(request["prompt"], request["answer"], tests)
    # Made before the program can lay hands on anything; what it exchanges later does not matter.
    parts = (_compiled(source, "<answer>"), _compiled(tests.source(entry), "<tests>"))
    sys.excepthook = _ender(line, formed=True)
    _run(parts, exec, sys.settrace)
    line.send({"ran": True})
    asked = line.receive()
    line.send({"word": asked and asked.get("word")})
    return 0


def _compiled(source: str, name: str, make: Callable[..., CodeType] = compile) -> CodeType:
    return make(source, name, "exec", dont_inherit=True)


def _run(parts: tuple[CodeType, CodeType], run: Callable[..., Any],
         trace: Callable[..., Any]) -> None:
    """Run the program and then its tests, in one module."""
    module = ModuleType(NAME)
    sys.modules[NAME] = module
    space = module.__dict__
    program, tests = parts
    run(program, space)
    # A trace function could jump over lines.
    trace(None)
    run(tests, space)


def _ender(line: Line, *, formed: bool) -> Callable[..., None]:
    """Return what tells of an error, and leaves without waiting for anything.

    ``formed`` tells whether the answer could be read as Python.
    """
    def end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        line.send({"failed": told(kind, error, trace, "<answer>"), "formed": formed})
        os._exit(1)

    return end


if __name__ == "__main__":
    sys.exit(main())

"""What the command line prints: one JSON document on standard output, or text for people."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from app.home import HomeError
from app.lock import LockError
from app.migrations import NewerSchema
from app.recordfile import RecordError
from app.runs import RunError
from app.store import CorruptIndex
from trainer.contract import ConfigError, Problem
from trainer.contract.models import ModelError
from trainer.contract.problems import message_and_advice
from trainer.data import DatasetError

EXPECTED = (ConfigError, RunError, DatasetError, ModelError, HomeError, LockError, NewerSchema,
            CorruptIndex, RecordError, OSError)

# In a pipe ids are whole: whoever cuts columns out of a table needs them.
WIDE = 200


def console() -> Console:
    """Return a console for people: tables on standard output."""
    is_terminal = sys.stdout.isatty()
    width = None if is_terminal or "COLUMNS" in os.environ else WIDE
    return Console(highlight=False, soft_wrap=not is_terminal, width=width)


def note(text: str) -> None:
    """Say something to people, on standard error."""
    print(text, file=sys.stderr, flush=True)


def print_json(document: Mapping[str, Any]) -> None:
    """Print the one document of a command."""
    text = json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False, default=str)
    sys.stdout.buffer.write(text.encode("utf-8", "replace") + b"\n")
    sys.stdout.flush()


def error_document(code: str, message: str, *, field: str = "", advice: str = "",
                   problems: Sequence[Problem] = ()) -> dict[str, Any]:
    """Return an error as scripts see it."""
    return {"error": {"code": code, "message": message, "field": field, "advice": advice},
            "problems": [problem.document() for problem in problems]}


def describe(error: BaseException) -> dict[str, Any]:
    """Return the document of an expected error."""
    if isinstance(error, ConfigError):
        first = error.problems[0]
        return error_document(first.code, first.message, field=first.field, advice=first.advice,
                              problems=error.problems)
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return error_document("os", f"{error.strerror or error}{where}.",
                              advice="Check the disk and the rights of the folder.")
    code = getattr(error, "code", type(error).__name__)
    message, advice = message_and_advice(error)
    return error_document(str(code), message, advice=advice)


def print_error(error: BaseException, as_json: bool) -> None:
    """Print an expected error, for scripts or for people."""
    document = describe(error)
    if as_json:
        print_json(document)
    elif isinstance(error, ConfigError):
        for problem in error.problems:
            note(f"error: {problem}")
    else:
        shown = document["error"]
        note(f"error: {shown['message']} {shown['advice']}".rstrip())

"""Programs of other packages as children of an export: their lines are read, they can be ended.

A child gets a fixed command, its wishes as JSON on standard input, and no secrets; it stays in the
export's process group, so that it ends with it. When it fails, its last line is the reason, and its
last lines go to standard error, which is the run's log.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from trainer.contract.redact import SECRET_VARIABLES, known_secrets, redact
from trainer.export.errors import Cancel, ExportError, require_wanted

JOBS = Path(__file__).parent / "jobs"
_KEPT_LINES = 20
_LONGEST_LINE = 4000
_LOOK_EVERY_S = 0.2
_PATIENCE_S = 5.0
# Nothing is fetched by a child, and nothing is told to anyone.
_QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1",
          "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false",
          "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
_PROBE = ("import importlib.metadata as m, json, sys\n"
          "try: print(m.version(json.load(sys.stdin)))\n"
          "except m.PackageNotFoundError: pass")
Lines = Callable[[str], None]


@dataclass(frozen=True)
class Tool:
    """An interpreter that has a package.

    Attributes:
        python: The interpreter.
        version: The package's.
    """

    python: Path
    version: str


@dataclass(frozen=True)
class Needed:
    """A package that an export needs.

    Attributes:
        package: As it is installed.
        variable: The environment variable that names an interpreter which has it.
        code: Of the error when it is missing.
        advice: How to get it.
    """

    package: str
    variable: str
    code: str
    advice: str


def find_tool(needed: Needed) -> Tool:
    """Return the interpreter that the user named, else this one, if it has the package.

    Raises:
        ExportError: It has not (the package's code).
    """
    named = os.environ.get(needed.variable, "").strip()
    python = Path(os.path.expanduser(named)) if named else Path(sys.executable)
    whose = f"the interpreter that {needed.variable} names" if named else "Finestra's environment"
    if named and not os.access(python, os.X_OK):
        raise ExportError(needed.code, f"{needed.variable} names '{named}', which is no program.",
                          "Name the interpreter of an environment, such as ENV/bin/python.")
    answer: list[str] = []
    try:
        run_child([str(python), "-I", "-c", _PROBE], what="Looking for a package",
                  wish=needed.package, on_line=answer.append)
    except ExportError as error:
        raise ExportError(needed.code, f"{whose[0].upper()}{whose[1:]} cannot be asked for "
                          f"{needed.package}: {error.message}", needed.advice) from None
    if not answer:
        raise ExportError(needed.code, f"This needs the package {needed.package}, which {whose} "
                          "does not have.", needed.advice)
    return Tool(python, answer[-1])


def run_job(tool: Tool, name: str, wish: Mapping[str, Any], *, what: str,
            on_line: Lines | None = None, cancelled: Cancel | None = None) -> None:
    """Run a script of ``trainer/export/jobs`` with another interpreter; see ``run_child``."""
    run_child([str(tool.python), "-I", str(JOBS / f"{name}.py")], what=what, wish=wish,
              on_line=on_line, cancelled=cancelled)


def run_child(command: Sequence[str], *, what: str, wish: Any = None,
              on_line: Lines | None = None, cancelled: Cancel | None = None,
              cwd: Path | None = None) -> None:
    """Run a program to its end.

    Args:
        command: Program and arguments; no shell sees them.
        what: Whose failure it would be, for the error.
        wish: JSON for its standard input.
        on_line: Told each line of its output and errors.
        cancelled: Asked five times a second; the child is ended then.
        cwd: Its working folder; an empty one by default.

    Raises:
        ExportError: It cannot be started ('tool_missing'), ended with an error ('tool_failed',
            with the last line), or the export was cancelled ('cancelled').
    """
    kept: deque[str] = deque(maxlen=_KEPT_LINES)

    def heard(line: str) -> None:
        kept.append(line)
        if on_line:
            on_line(line)

    with tempfile.TemporaryDirectory(prefix="finestra-export-") as empty, \
            tempfile.TemporaryFile() as told:
        told.write(json.dumps(wish).encode("ascii"))
        told.seek(0)
        process = _start(command, told, cwd or Path(empty))
        try:
            _listen(process, heard, cancelled)
            status = process.wait()
        finally:
            _end(process)
    if status:
        print("\n".join(redact(line, known_secrets()) for line in kept), file=sys.stderr,
              flush=True)
        raise _failed(what, status, list(kept))


def _start(command: Sequence[str], told: IO[bytes], cwd: Path) -> subprocess.Popen[bytes]:
    hidden = {*SECRET_VARIABLES, "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"}
    environ = {name: value for name, value in os.environ.items() if name not in hidden}
    try:
        return subprocess.Popen(list(command), stdin=told, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, cwd=cwd, env={**environ, **_QUIET})
    except OSError as error:
        raise ExportError("tool_missing", f"'{command[0]}' cannot be started: {error.strerror}.",
                          "Check that the interpreter is there and may be run.") from None


def _listen(process: subprocess.Popen[bytes], heard: Lines, cancelled: Cancel | None) -> None:
    """Hand on lines until the output is closed; progress bars end theirs with a return."""
    assert process.stdout is not None
    text = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            require_wanted(cancelled)
            if not selector.select(_LOOK_EVERY_S):
                if process.poll() is not None:
                    return
                continue
            found = os.read(process.stdout.fileno(), 1 << 16)
            *lines, text = re.split(rb"[\r\n]+", text + found)
            for line in lines if found else [*lines, text]:
                if shown := line[:_LONGEST_LINE].decode("utf-8", "replace").strip():
                    heard(shown)
            if not found:
                return
            text = text[:_LONGEST_LINE]


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE_S)
    if process.poll() is None:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _failed(what: str, status: int, lines: list[str]) -> ExportError:
    """Say how a child ended, by the last line that says something."""
    last = redact(lines[-1] if lines else "", known_secrets())
    if status < 0:
        why = f"it was ended by signal {-status}" + (
            ", most likely because memory ran out" if status == -9 else "")
    else:
        why = last[:500] or f"it ended with status {status}"
    return ExportError("tool_failed", f"{what} failed: {why}",
                       "The log has the lines before.")

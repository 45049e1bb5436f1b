"""What lm-evaluation-harness may not do here, while tasks are loaded and scored.

Templates of tasks are rendered in Jinja's sandbox, no code of a hub is run (rule R3), what Python
compiles of a task is kept nowhere, and data that cannot be had is told of with the way to get it.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import evaluate
import jinja2
import lm_eval.api.task
import lm_eval.utils
from jinja2.sandbox import ImmutableSandboxedEnvironment

from trainer.failures import Failure

OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
_TROUBLE = (ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError,
            RuntimeError, OSError, jinja2.TemplateError)


@contextmanager
def guarded(task: str) -> Iterator[None]:
    """Watch over a task that is loaded or scored.

    Args:
        task: As the config names it.

    Raises:
        Failure: 'benchmark_data', 'benchmark_remote', 'benchmark_package', or 'benchmark_task' with
            what lm-eval or the task's own code has said.
    """
    asked: list[str] = []

    def refuse(name: str, *arguments: Any, **options: Any) -> None:
        asked.append(name)
        raise _remote(task, name)

    try:
        with ExitStack() as stack:
            stack.enter_context(_compiled_elsewhere())
            for owner, name, value in (
                    (evaluate, "load", refuse), (lm_eval.utils, "env", sandbox()),
                    (lm_eval.api.task, "tqdm", _silent),
                    (lm_eval.api.task.ConfigurableTask, "download", _download(task))):
                stack.enter_context(_replaced(owner, name, value))
            yield
    except Failure:
        raise
    except ImportError as error:
        raise Failure("benchmark_package", f"The task '{task}' needs the package "
                      f"'{error.name or error}', which is not installed.",
                      f"Run: pip install '{error.name or 'lm-eval[TASK]'}'") from None
    except _TROUBLE as error:
        if asked:
            raise _remote(task, asked[0]) from None
        raise Failure("benchmark_task", f"The task '{task}' cannot be asked: "
                      f"{type(error).__name__}: {_reason(error)}",
                      "Look at its description in lm-evaluation-harness.") from error


def sandbox() -> ImmutableSandboxedEnvironment:
    """Return lm-eval's environment for templates of tasks, in a sandbox."""
    ours = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined,
                                         keep_trailing_newline=True)
    ours.filters["regex_replace"] = lm_eval.utils.regex_replace
    return ours


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def _compiled_elsewhere() -> Iterator[None]:
    """Neither read nor write compiled code beside a task: only what was looked at runs."""
    with tempfile.TemporaryDirectory(prefix="finestra-tasks-") as scratch, \
            _replaced(sys, "pycache_prefix", scratch):
        yield


def _silent(rows: Any, *arguments: Any, **options: Any) -> Any:
    """Go through rows without a bar in the log."""
    return rows


def _download(task: str) -> Any:
    """Return lm-eval's way to load data, which says what is missing."""
    original = lm_eval.api.task.ConfigurableTask.download

    @functools.wraps(original)
    def download(self: Any, *arguments: Any, **options: Any) -> None:
        try:
            original(self, *arguments, **options)
        except (OSError, ValueError, RuntimeError) as error:
            if isinstance(error, Failure):
                raise
            raise missing(task, str(self.DATASET_PATH or self.config.dataset_path),
                          self.DATASET_NAME, error) from None

    return download


def missing(task: str, dataset: str, part: str | None, error: Exception) -> Failure:
    """Return the error for data that cannot be had, with the way to get it."""
    reason = _reason(error)
    switched = next((name for name in OFFLINE
                     if os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")), "")
    why = f"{reason} ({switched} is set)" if switched else reason
    named = f"'{dataset}' ({part})" if part else f"'{dataset}'"
    return Failure(
        "benchmark_data", f"The data of '{task}', {named}, cannot be loaded: {why}.",
        "On a machine that reaches the hub run: HF_HOME=FOLDER lm_eval run --model dummy --tasks "
        f"{task} --limit 1 -- then copy FOLDER here, set HF_HOME to it and HF_DATASETS_OFFLINE "
        "to 1. Or write a task folder of your own with local files.")


def _reason(error: Exception) -> str:
    """Return the first line of an error that says something."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if any(map(str.isalpha, line))),
                type(error).__name__)[:400]


def _remote(task: str, name: str) -> Failure:
    return Failure("benchmark_remote", f"The task '{task}' wants the metric '{name}' as code from "
                   "a hub, and Finestra runs none.", "Choose another task, or score answers with "
                   "Finestra's own metrics.")

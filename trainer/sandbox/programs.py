"""A program that a model wrote, run once against its tests, in a child that is locked in.

It may compute, and read the files that Python consists of: no network, no other processes, no
signals to them, nothing is written, nobody's files are read, no secrets are in the environment
(``inside.locks``). Whether the tests were run to their end is asked by a random word; a program
that goes looking for the line of this process within its own memory could still answer it.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import Any

from trainer.sandbox.process import Broken, Child

MODULE = "trainer.sandbox.inside.program"
START_S = 30.0
SECONDS, MEMORY_MIB = 5.0, 512


class NoTests(ValueError):
    """The tests are no tests: it says why, as a clause."""


class NoLock(ValueError):
    """Programs cannot be locked in on this machine: it says why, as a clause."""


@dataclass(frozen=True)
class Job:
    """A program and its tests.

    Attributes:
        prompt: What was asked; code in it comes before the answer.
        answer: What the model said; the code is found in it.
        tests: ``assert`` lines, or ``check(candidate)``.
        seconds: Of processor time; three times as long may pass.
        memory_mib: Of the process.
    """

    prompt: str
    answer: str
    tests: str
    seconds: float = SECONDS
    memory_mib: int = MEMORY_MIB


@dataclass(frozen=True)
class Ran:
    """How it went: ``formed`` when the answer is Python, ``why`` it did not pass."""

    passed: bool
    formed: bool = True
    why: str = ""


def run(job: Job) -> Ran:
    """Run a program.

    Raises:
        NoTests: Its tests are no tests.
        NoLock: This machine cannot keep it in.
    """
    child = Child(MODULE)
    try:
        return _ran(child, job)
    except Broken as error:
        if error.kind == "refused" and "cannot be locked in" in error.why:
            raise NoLock(error.why) from None
        return Ran(False, why=error.why)
    finally:
        child.close()


def _ran(child: Child, job: Job) -> Ran:
    found = child.ask(
        {"parent": os.getpid(), "memory_mib": job.memory_mib, "seconds": job.seconds,
         "prompt": job.prompt, "answer": job.answer, "tests": job.tests},
        START_S + 3 * job.seconds)
    if why := found.get("bad_tests"):
        raise NoTests(str(why))
    if found != {"ran": True}:
        return Ran(False, found.get("formed") is not False, str(found.get("failed", "")))
    word: dict[str, Any] = {"word": secrets.token_hex(16)}
    if child.ask(word, START_S) != word:
        return Ran(False, why="the tests were not run to their end")
    return Ran(True)

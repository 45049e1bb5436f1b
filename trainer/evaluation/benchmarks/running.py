"""Benchmarks of one model: see the package's own text for the agreement."""

from __future__ import annotations

import asyncio
import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from trainer.contract.benchmarks import benchmark_problems
from trainer.contract.files import read_json, write_json
from trainer.evaluation.benchmarks import BenchmarkResult, BenchmarkWish, Say, Stopped
from trainer.evaluation.benchmarks.desk import Desk, Journal
from trainer.evaluation.seam import Asker
from trainer.failures import Failure

VERSION = 1
_LONGEST_NAME = 48


async def run_benchmarks(wish: BenchmarkWish, asker: Asker, say: Say,
                         stopped: Stopped) -> BenchmarkResult:
    """Ask one model every task of ``wish.config``; see the package's own text.

    Raises:
        Failure: A task cannot be asked, and why; 'stopped'; what the asker raises.
    """
    if problem := next(iter(benchmark_problems(wish.config)), None):
        raise Failure(problem.code, problem.message, problem.advice)
    wish.folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(wish.folder / f"{wish.number:02d}.jsonl")
    desk = Desk(asker, journal, wish.at_once, say, stopped)
    thread = ThreadPoolExecutor(1, thread_name_prefix="lm-eval")
    try:
        found = await asyncio.get_running_loop().run_in_executor(
            thread, _run, wish, desk, asker)
    finally:
        # When this is cancelled, the thread ends at its next request.
        desk.close()
        thread.shutdown(wait=False)
        journal.close()
    return _result(found, desk)


def _run(wish: BenchmarkWish, desk: Desk, asker: Asker) -> list[Any]:
    """Ask what no earlier attempt has finished; runs in the thread."""
    found: list[Any] = []
    harness: Any = None
    try:
        for name in dict.fromkeys(wish.config.tasks):
            place = task_file(wish, name)
            parts = _kept(place)
            if parts is None:
                harness = harness or _harness(wish, desk, asker)
                parts = harness.run(name)
                write_json(place, {"version": VERSION, "task": name,
                                   "parts": [part.dump() for part in parts]})
            found += parts
    finally:
        if harness is not None and harness.words is not None:
            harness.words.close()
    return found


def _harness(wish: BenchmarkWish, desk: Desk, asker: Asker) -> Any:
    """Import lm-eval and read the tokenizer, where something is left to be asked."""
    from trainer.evaluation.benchmarks.harness import Harness
    from trainer.evaluation.benchmarks.words import Words

    words = Words(wish.tokenizer, wish.template) if wish.tokenizer is not None else None
    return Harness(wish, desk, asker, words)


def task_file(wish: BenchmarkWish, name: str) -> Path:
    """Return where the finished scores of a task lie."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:_LONGEST_NAME]
    if safe != name:
        safe += f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return wish.folder / f"{wish.number:02d}-{safe}.json"


def _kept(place: Path) -> list[Any] | None:
    """Return what an earlier attempt has finished; None when it has not."""
    from trainer.evaluation.benchmarks.parts import Part

    document = read_json(place)
    if not isinstance(document, dict) or document.get("version") != VERSION:
        return None
    try:
        return [Part.load(part) for part in document["parts"]]
    except (KeyError, TypeError, ValueError):
        return None


def _result(parts: list[Any], desk: Desk) -> BenchmarkResult:
    scores = {(part.result.dataset, part.result.metric): part.rows.scores(part.result)
              for part in parts if part.rows is not None and part.asked}
    return BenchmarkResult([part.result for part in parts], scores, desk.requests, desk.kept)

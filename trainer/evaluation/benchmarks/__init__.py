"""Tasks of lm-evaluation-harness, asked of an engine over HTTP.

For one model of an evaluation::

    from trainer.evaluation.benchmarks.running import run_benchmarks

    result = await run_benchmarks(wish, asker, say, stopped)

- ``wish``: a ``BenchmarkWish``. ``asker``: the seam's ``Asker``, asked on the caller's event loop.
- ``say(done, total, task)``: told on that loop as requests of a task are answered.
- ``stopped()``: asked between requests; true ends the work with a Failure 'stopped'. Cancelling
  the awaiting task ends it as well.
- Returns a ``BenchmarkResult``: ``results`` go into the report as they are; ``scores`` are by
  (task, metric), so that ``trainer.scoring.paired.compare`` holds two models against each other.
- Raises Failure: 'benchmark_package' (lm-eval is not installed), 'benchmark_unknown',
  'benchmark_consent', 'benchmark_changed', 'benchmark_folder', 'benchmark_data' (cannot be
  fetched, and how to get it), 'benchmark_likelihood' (the engine tells no log-probabilities),
  'benchmark_template', 'benchmark_task' (the task cannot be asked), 'stopped', and whatever
  ``asker.post`` raises.

What is finished lies in ``wish.folder`` as NN-TASK.json, answers of requests in NN.jsonl: a call
with the same wish goes on where an earlier one has stopped. Importing this module imports nothing
of lm-eval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from trainer.contract.kinds.evaluate import BenchmarkConfig
from trainer.contract.kinds.evaluation import Result
from trainer.scoring.scores import Scores

Say = Callable[[int, int, str], None]
Stopped = Callable[[], bool]


@dataclass(frozen=True)
class BenchmarkWish:
    """What one model is asked.

    Attributes:
        config: The evaluation's ``benchmarks``.
        model: As the config names it, for the results.
        number: The model's place from 1, for file names.
        folder: ``eval/benchmarks`` of the run; made when it is missing.
        tokenizer: A folder with the tokenizer and the chat template that the engine uses: the
            adapter's when it has them, else the base's. None where they are not known (endpoints,
            llama.cpp): then only tasks that generate can be asked.
        template: 'auto', or the name of one of Finestra's templates.
        context: Tokens of prompt and answer that the engine takes; 0 when it is not known.
        seed: Of few-shot examples and of everything that a task draws.
        at_once: Requests that are under way at the same time.
    """

    config: BenchmarkConfig
    model: str
    number: int
    folder: Path
    tokenizer: Path | None = None
    template: str = "auto"
    context: int = 0
    seed: int = 0
    at_once: int = 32


@dataclass(frozen=True)
class BenchmarkResult:
    """What was found.

    Attributes:
        results: Of tasks and groups, for the report.
        scores: (task, metric) to what each row is worth, where the score is made of rows; the same
            rows have the same numbers for every model that was asked with the same config.
        requests: How many there were; ``kept`` of them were answered by an earlier attempt.
    """

    results: list[Result]
    scores: dict[tuple[str, str], Scores] = field(default_factory=dict)
    requests: int = 0
    kept: int = 0

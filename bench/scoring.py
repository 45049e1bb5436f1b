"""What scoring costs: every metric on 100,000 predictions, intervals, and two models compared."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from bench.report import Number
from trainer.scoring import (
    Choice,
    Likelihood,
    Prediction,
    Scores,
    compare,
    make,
    score,
    summarise,
)

T = TypeVar("T")
ROWS = 100_000
WORDS = [f"word{n}" for n in range(3_000)]
LABELS = ("positive", "neutral", "negative")
SCHEMA = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}
SHORT: dict[str, dict[str, Any]] = {
    "exact_match": {"normalise": ["width", "case", "punctuation", "articles", "whitespace"]},
    "contains": {}, "numeric": {}, "regex": {"pattern": r"answer is (\d+)"},
    "json": {"schema": SCHEMA}, "classification": {}, "likelihood": {}, "multiple_choice": {},
    "tool_calls": {}}
_CHANCE = random.Random(0)


def text(words: int) -> str:
    """Return a sentence of so many words."""
    return " ".join(_CHANCE.choices(WORDS, k=words - 1)) + " end."


def changed(reference: str) -> str:
    """Return a text with four words of ten replaced."""
    return " ".join(_CHANCE.choice(WORDS) if _CHANCE.random() < 0.4 else word
                    for word in reference.split())


def translated(row: int) -> Prediction:
    """Return an answer of 5 to 30 words beside its reference."""
    reference = text(_CHANCE.randint(5, 30))
    return Prediction(row, "?", changed(reference), (reference,))


def reasoned(row: int) -> Prediction:
    """Return an answer of 30 words with numbers in it, and everything else a metric asks for."""
    number = _CHANCE.randint(1, 5_000)
    said = number if _CHANCE.random() < 0.6 else number + 1
    choices = tuple(Choice(text(5), -10 * _CHANCE.random()) for _ in range(4))
    logprobs = [-_CHANCE.random() for _ in range(30)]
    call = {"name": "weather", "arguments": {"city": "Rome", "days": row % 5}}
    output = f"{text(12)} {row} + 17 = {row + 17}. {text(8)} The answer is {said}."
    return Prediction(row, "?", output, (str(number),), choices, row % 4,
                      expected_calls=(call,), calls=(call,),
                      likelihood=Likelihood.of("x" * 120, logprobs, [True] * 30))


def for_metric(name: str, rows: list[Prediction]) -> list[Prediction]:
    """Return the rows with answers of the form that a metric reads."""
    if name == "json":
        return [replace(p, output=json.dumps({"city": "Rome", "days": p.row})) for p in rows]
    if name == "classification":
        return [replace(p, output=f"{text(10)} It is {LABELS[p.row * 7 % 3]}.",
                        label=LABELS[p.row % 3]) for p in rows]
    return rows


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return what a function returns, and the seconds of processor time that it took."""
    begin = time.process_time()
    result = work()
    return result, time.process_time() - begin


def short_ones() -> list[Number]:
    """Score with every metric but BLEU, chrF and ROUGE."""
    rows = [reasoned(row) for row in range(1, ROWS + 1)]
    numbers, scores, total = [], [], 0.0
    for name, options in SHORT.items():
        given = for_metric(name, rows)
        found, seconds = timed(lambda name=name, options=options, given=given: score(
            [make(name, **options)], given))
        numbers.append(Number(f"{name}: {', '.join(one.name for one in found)}",
                              f"{seconds:.2f} s"))
        scores += found
        total += seconds
    _check(scores)
    _, seconds = timed(lambda: summarise(scores))
    total += seconds
    return [Number("the nine quick metrics with their intervals", f"{total:.1f} s", "<= 10 s",
                   total <= 10), *numbers, Number("their intervals", f"{seconds:.2f} s")]


def _check(scores: list[Scores]) -> None:
    """Refuse numbers that were taken of something else."""
    values = {one.name: one.value for one in scores}
    if not (0.59 < values["numeric"] < 0.61 and values["tool_call"] == values["json_schema"] == 1
            and math.isclose(values["perplexity"], math.e ** 0.5, rel_tol=0.01)):
        raise RuntimeError(f"the scores are not those that were put there: {values}")


def of_words() -> list[Number]:
    """Score with ROUGE, BLEU and chrF, and compare two models by BLEU."""
    rows = [translated(row) for row in range(1, ROWS + 1)]
    seconds, scores = {}, {}
    for name in ("rouge", "bleu", "chrf"):
        scores[name], seconds[name] = timed(lambda name=name: score([make(name)], rows))
    if not 15 < scores["bleu"][0].value < 40:
        raise RuntimeError(f"BLEU is {scores['bleu'][0].value}")
    every = [one for found in scores.values() for one in found]
    _, bootstrap = timed(lambda: summarise(every))
    others = [replace(p, output=changed(p.references[0])) for p in rows]
    other = make("bleu").score(others)[0]
    found, comparing = timed(lambda: compare(scores["bleu"][0], other))
    both = seconds["rouge"] + seconds["bleu"]
    return [Number("ROUGE-1, -2, -L and BLEU", f"{both:.1f} s", "<= 60 s", both <= 60),
            *(Number(name, f"{taken:.1f} s") for name, taken in seconds.items()),
            Number("their intervals, 1,000 draws", f"{bootstrap:.1f} s"),
            Number("BLEU of two equal models compared",
                   f"{comparing:.1f} s, {found.verdict()} (p = {found.p:.2f})")]


def measure() -> list[Number]:
    """Measure all of it.

    Raises:
        RuntimeError: A score is not what was put there.
    """
    return short_ones() + of_words()

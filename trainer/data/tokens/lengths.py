"""How long a dataset's rows are in a model's tokens, and what a maximum length would cut."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.contract.config.facts import OBJECTIVES
from trainer.data.reading.readers import read
from trainer.data.reading.rowindex import Watch
from trainer.data.reading.rows import Row, RowError
from trainer.data.shapes.messages import Example
from trainer.data.shapes.uses import Use
from trainer.data.tokens.loaded import encoder_of, load
from trainer.data.tokens.request import Say, Source, every, pick_objective
from trainer.data.tokens.tokenize import Preparer

# So many rows are measured at most; of more, every second, fourth, ... one.
MOST_ROWS = 50_000
BINS = 24


def lengths(params: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Measure the rows of a dataset; those that cannot be used are left out.

    Args:
        params: SOURCE, MODEL, [objective, max_length, most_rows, and what ``encoder_of`` reads].
        say: Told of ``rows`` read, ``bytes_done`` and ``bytes_total``.

    Returns:
        See ``operations``; percentiles are null when no row could be measured.

    Raises:
        DatasetError: The dataset or the tokenizer is not there, or no objective fits.
        TemplateError: The chat template cannot be used.
    """
    source = Source.of(params)
    spec = source.spec()
    shape = source.shape(spec)
    objective = pick_objective(shape, spec.name, params.get("objective"))
    model = load(Path(params["model_folder"]), params.get("template") or "auto")
    max_length = int(params.get("max_length") or 512)
    facts = OBJECTIVES[objective]
    use = Use(shape, facts.rows, tuple(params.get("labels") or ()))
    encoder = encoder_of(model, facts.rows, {**params, "max_length": sys.maxsize})
    preparer = Preparer(encoder, "skip")
    watch, sample = Watch(), Sample(int(params.get("most_rows") or MOST_ROWS))
    tick = every(say)
    warnings: list[dict[str, str]] = []

    def examples() -> Iterator[Example]:
        for item in read(spec, watch=watch):
            wanted = sample.wants_next()
            tick(rows=sample.seen, bytes_done=watch.bytes_done, bytes_total=watch.bytes_total)
            if not wanted or not isinstance(item, Row):
                continue
            try:
                example = use.whole(item)
            except RowError:
                continue
            if facts.templated and not warnings:
                warnings.extend(model.warnings(example))
            yield from use.parts(example)

    for fitted in preparer.prepare(examples()):
        sample.add(fitted.length)
    return {**summary(sample, max_length), "objective": objective, "max_length": max_length,
            "refused": round(preparer.counts.refused * sample.scale), "warnings": warnings}


@dataclass
class Sample:
    """Keeps at most so many values of a stream: all, or every second, fourth, ... one."""

    most: int
    seen: int = 0
    stride: int = 1
    values: list[int] = field(default_factory=list)

    @property
    def scale(self) -> float:
        """How many values of the stream one that was kept stands for."""
        return self.seen / len(self.values) if self.stride > 1 else 1.0

    def wants_next(self) -> bool:
        """Count one more of the stream; tell whether its value is wanted."""
        self.seen += 1
        return (self.seen - 1) % self.stride == 0

    def add(self, value: int) -> None:
        """Take a value; when there are too many, every second one goes."""
        self.values.append(value)
        if len(self.values) > self.most:
            self.values = self.values[::2]
            self.stride *= 2


def summary(sample: Sample, max_length: int) -> dict[str, Any]:
    """Return percentiles (nearest rank), what is too long, and a histogram."""
    values = sorted(sample.values)
    over = len(values) - bisect_right(values, max_length)
    beyond = sum(value - max_length for value in values[len(values) - over:])

    def rank(percent: int) -> int | None:
        return values[-(-percent * len(values) // 100) - 1] if values else None

    return {"rows": sample.seen, "measured": len(values), "sampled": sample.stride > 1,
            "p50": rank(50), "p95": rank(95), "p99": rank(99),
            "max": values[-1] if values else None,
            "tokens": round(sum(values) * sample.scale),
            "over_max_length": round(over * sample.scale),
            "tokens_over": round(beyond * sample.scale),
            "histogram": [[low, high, round(count * sample.scale)]
                          for low, high, count in histogram(values)]}


def histogram(values: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return (from, below, count) in bins of one round width up to the 99th percentile.

    What is longer is in one last bin.
    """
    if not values:
        return []
    top = values[-(-99 * len(values) // 100) - 1]
    width = _round_up(-(-(top + 1) // BINS))
    edges = list(range(0, top + width, width))
    if edges[-1] <= values[-1]:
        edges.append(values[-1] + 1)
    places = [bisect_right(values, edge - 1) for edge in edges]
    return [(edges[i], edges[i + 1], places[i + 1] - places[i]) for i in range(len(edges) - 1)]


def _round_up(value: int) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, 50, ... that is not less."""
    scale = 1
    while True:
        for step in (1, 2, 5):
            if step * scale >= value:
                return step * scale
        scale *= 10

"""Continued pretraining: learn plain text, every token of it."""

from __future__ import annotations

from trainer import measures, work
from trainer.callbacks import Reporter
from trainer.checkpoint import Selected
from trainer.context import Context
from trainer.recipes.sft import build
from trainer.splits import load_splits


def run(context: Context, start: Selected) -> work.Metrics:
    """Train from a checkpoint or the beginning; returns the final metrics.

    The loop is that of supervised fine-tuning: only the labels differ.

    Raises:
        Stopped: A stop was asked for.
        ValueError: What is wrong with the model, the data or the settings, in words.
    """
    bench = work.set_up(context)
    splits = load_splits(context, bench)
    work.record(context, bench, splits, start)
    loop = build(context, bench, splits)
    work.adopt(context, loop, splits, start)
    answerer = measures.make_answerer(context, bench, loop, splits)
    reporter = Reporter(context, loop, measures.make_sampler(context, answerer, splits))
    with work.tracked(context, loop):
        work.train(context, loop, reporter, start)
    work.save(context, bench, loop.model, splits.template)
    return work.summary(loop, reporter)

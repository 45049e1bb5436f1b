"""The course that every run takes, whatever its objective; only the loop differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from trainer import finder, measures, work
from trainer.callbacks import Reporter
from trainer.checkpoint import Selected
from trainer.context import Context
from trainer.loops.packing import pack_training
from trainer.splits import load_splits

if TYPE_CHECKING:
    from trainer.loops.loop import CommittedLoop
    from trainer.splits import Splits
    from trainer.workbench import Workbench

Build = Callable[[Context, "Workbench", "Splits"], "CommittedLoop"]


def run(context: Context, start: Selected, build: Build) -> work.Metrics:
    """Train from a checkpoint or the beginning; returns the final metrics.

    Args:
        context: The attempt.
        start: The checkpoint to start from, or none.
        build: The recipe: puts the objective's loop around model and tokens.

    Raises:
        Stopped: A stop was asked for.
        ValueError: What is wrong with the model, the data or the settings, in words.
    """
    if context.config.lr_finder.enabled:
        return finder.run(context, start, build)
    metrics = measures.make_metrics(context)
    bench = work.set_up(context)
    splits = pack_training(context, load_splits(context, bench))
    work.record(context, bench, splits, start)
    loop = build(context, bench, splits)
    work.adopt(context, loop, splits, start)
    examiner = measures.Examiner(
        context, measures.make_answerer(context, bench, loop, splits),
        splits.questions[:context.config.evaluation.limit], metrics)
    before = examiner.measure_before(start)
    loop.examine = midway = measures.Midway(examiner, loop)
    reporter = Reporter(context, loop, measures.make_sampler(context, examiner, splits))
    with work.tracked(context, loop):
        work.train(context, loop, reporter, start)
    if not splits.eval:
        reporter.ask(loop.state.global_step)
    after = examiner.measure_after(loop.state.global_step)
    work.save(context, bench, loop.model, splits.template)
    return work.summary(loop, reporter, exact_match_before=before, exact_match=after,
                        **midway.cost())

"""Supervised fine-tuning: learn what the assistant says."""

from __future__ import annotations

from trainer import measures, work
from trainer.arguments import sft_arguments
from trainer.callbacks import Reporter
from trainer.checkpoint import Selected
from trainer.context import Context
from trainer.loop import CommittedSFTTrainer
from trainer.splits import Splits, load_splits
from trainer.workbench import Workbench


def run(context: Context, start: Selected) -> work.Metrics:
    """Train from a checkpoint or the beginning; returns the final metrics.

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
    before = measures.measure_before(context, answerer, splits, start)
    reporter = Reporter(context, loop, measures.make_sampler(context, answerer, splits))
    with work.tracked(context, loop):
        work.train(context, loop, reporter, start)
    after = measures.measure_after(context, answerer, splits, loop)
    work.save(context, bench, loop.model, splits.template)
    return work.summary(loop, reporter, exact_match_before=before, exact_match=after)


def build(context: Context, bench: Workbench, splits: Splits) -> CommittedSFTTrainer:
    """Put TRL's SFTTrainer around the model and the token rows."""
    model = work.load_trainable(context, bench)
    try:
        return CommittedSFTTrainer(
            model=model,
            args=sft_arguments(context, bench.precision, evaluates=bool(splits.eval)),
            train_dataset=splits.train.dataset,
            eval_dataset=splits.eval.dataset,
            processing_class=bench.tokenizer, peft_config=work.choose_adapter(context))
    except ValueError as error:
        raise work.check_targets(error) from error

"""Kahneman-Tversky optimisation (arXiv:2402.01306): more of what is desired, less of the rest."""

from __future__ import annotations

import copy

from trainer import measures, work
from trainer.arguments import kto_arguments
from trainer.callbacks import Reporter
from trainer.checkpoint import Selected
from trainer.context import Context
from trainer.kto import CommittedKTOTrainer, NeighbourCollator
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
    reporter = Reporter(context, loop, measures.make_sampler(context, answerer, splits))
    with work.tracked(context, loop):
        work.train(context, loop, reporter, start)
    work.save(context, bench, loop.model, splits.template)
    return work.summary(loop, reporter)


def build(context: Context, bench: Workbench, splits: Splits) -> CommittedKTOTrainer:
    """Put TRL's KTOTrainer around the model and the judged answers.

    The reference is the model without its adapter, or a frozen copy when every weight is trained.
    """
    model = work.load_trainable(context, bench)
    adapter = work.choose_adapter(context)
    try:
        return CommittedKTOTrainer(
            model=model, ref_model=copy.deepcopy(model) if adapter is None else None,
            args=kto_arguments(context, bench.precision, evaluates=bool(splits.eval)),
            data_collator=NeighbourCollator(bench.tokenizer.pad_token_id,
                                            max_length=context.config.data.max_length),
            train_dataset=splits.train.dataset,
            eval_dataset=splits.eval.dataset,
            processing_class=bench.tokenizer, peft_config=adapter)
    except ValueError as error:
        raise work.check_targets(error) from error

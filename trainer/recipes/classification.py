"""Classification: tell classes of text apart by a score for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer import work
from trainer.arguments import shared_arguments
from trainer.context import Context
from trainer.loops.classification import ClassLoss, CommittedClassifier, LabelledCollator
from trainer.loops.heads import headed, load_with_head
from trainer.precision import Precision
from trainer.splits import Splits
from trainer.workbench import Workbench

if TYPE_CHECKING:
    from transformers import TrainingArguments


def build(context: Context, bench: Workbench, splits: Splits) -> CommittedClassifier:
    """Put the trainer around a model with a score for each class."""
    from peft import get_peft_model

    model = load_with_head(context, bench, splits.classes)
    try:
        if (adapter := headed(work.choose_adapter(context))) is not None:
            model = get_peft_model(model, adapter)
    except ValueError as error:
        raise work.check_targets(error) from error
    loop = CommittedClassifier(
        model=model, args=arguments(context, bench.precision, evaluates=bool(splits.eval)),
        data_collator=LabelledCollator(bench.tokenizer.pad_token_id),
        train_dataset=splits.train.dataset, eval_dataset=splits.eval.dataset,
        processing_class=bench.tokenizer)
    loop.classes = tuple(splits.classes)
    loop.class_loss = ClassLoss.of(context.config, splits.train.dataset["label"],
                                   len(splits.classes))
    return loop


def arguments(context: Context, precision: Precision, *, evaluates: bool) -> TrainingArguments:
    """Return the arguments of Transformers' Trainer; no row is longer than ``data.max_length``."""
    from transformers import TrainingArguments

    values = shared_arguments(context, precision, evaluates=evaluates)
    values.pop("max_length")
    return TrainingArguments(**values)

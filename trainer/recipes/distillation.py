"""On-policy distillation: the student's own answers, compared with the teacher token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer import work
from trainer.context import Context
from trainer.loops.distilling import CommittedDistillationTrainer
from trainer.loops.rewarding import listening, require_room, sampling, shared
from trainer.loops.teacher import load_teacher
from trainer.splits import Splits
from trainer.workbench import Workbench

if TYPE_CHECKING:
    from trl import DistillationConfig


def build(context: Context, bench: Workbench, splits: Splits) -> CommittedDistillationTrainer:
    """Put TRL's DistillationTrainer around the student, the teacher and the prompts."""
    require_room(bench, splits, context.config.rollout.max_completion_length)
    teacher, model = load_teacher(context, bench), work.load_trainable(context, bench)
    try:
        loop = CommittedDistillationTrainer(
            model=model, teacher_model=teacher, args=arguments(context, bench, splits),
            train_dataset=splits.train.dataset, eval_dataset=splits.eval.dataset,
            processing_class=bench.tokenizer, peft_config=work.choose_adapter(context))
    except ValueError as error:
        raise work.check_targets(error) from error
    loop.listen(listening(context, splits))
    return loop


def arguments(context: Context, bench: Workbench, splits: Splits) -> DistillationConfig:
    """Return TRL's arguments; answers are sampled by Transformers."""
    from trl import DistillationConfig

    return DistillationConfig(**shared(context, bench, splits), **sampling(context),
                              beta=context.config.teacher.beta)

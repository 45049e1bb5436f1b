"""On-policy distillation: the student's own answers, compared with the teacher token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.context import Context
from trainer.loops.distilling import CommittedDistillationTrainer
from trainer.loops.rewarding import listening, require_room, sampling, shared
from trainer.loops.teacher import build_taught
from trainer.splits import Splits
from trainer.workbench import Workbench

if TYPE_CHECKING:
    from trl import DistillationConfig


def build(context: Context, bench: Workbench, splits: Splits) -> CommittedDistillationTrainer:
    """Put TRL's DistillationTrainer around the student, the teacher and the prompts."""
    require_room(bench, splits, context.config.rollout.max_completion_length)
    loop = build_taught(CommittedDistillationTrainer, context, bench, splits,
                        args=arguments(context, bench, splits))
    loop.listen(listening(context, splits))
    return loop


def arguments(context: Context, bench: Workbench, splits: Splits) -> DistillationConfig:
    """Return TRL's arguments; answers are sampled by Transformers."""
    from trl import DistillationConfig

    return DistillationConfig(**shared(context, bench, splits), **sampling(context),
                              beta=context.config.teacher.beta)

"""The model that is learned from: found, compared with the student, frozen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from trainer import work
from trainer.context import Context
from trainer.contract.config import RunConfig
from trainer.contract.teacher import difference, read_vocabulary
from trainer.failures import Failure
from trainer.loops.sft import head_shown_plain
from trainer.model import Base, load_model, locate
from trainer.splits import Splits
from trainer.workbench import Workbench

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Loop = TypeVar("Loop")


def load_teacher(context: Context, bench: Workbench) -> PreTrainedModel:
    """Load the teacher in the student's number format, frozen; a run's adapters are merged.

    Raises:
        ModelError: It does not exist or cannot be loaded.
        Failure: It has another tokenizer, or more or fewer rows for tokens than the student.
    """
    emit, config = context.emit, as_base(context.config)
    emit.stage("loading", f"Loading the teacher {config.model.name_or_path}")
    base = locate_teacher(context)
    require_same_tokens(config.model.name_or_path, bench.base.folder, base.folder)
    if base.source == bench.base.source:
        emit.warn("teacher_is_student", "The teacher is the model that the student starts from: "
                  "they agree already, so nothing can be learned. Name another teacher.")
    teacher = load_model(base, config, bench.precision)
    rows = [model.get("text_config", model).get("vocab_size")
            for model in (bench.base.facts.config, base.facts.config)]
    if rows[0] != rows[1]:
        raise Failure("teacher_rows", f"The student has rows for {rows[0]:,} tokens, the teacher "
                      f"for {rows[1]:,}; their words are the same, their padding is not.",
                      "Choose a teacher whose config has the same vocab_size.")
    return teacher.to(bench.precision.device.value).eval().requires_grad_(False)


def build_taught(trainer: Callable[..., Loop], context: Context, bench: Workbench,
                 splits: Splits, *, has_logits: bool = False, **more: Any) -> Loop:
    """Put a trainer around the student, the teacher and the rows; ``load_teacher`` may refuse.

    ``has_logits``: its loss is of the model's logits, so that an adapter may lie on the head.
    """
    teacher, model = load_teacher(context, bench), work.load_trainable(context, bench)
    try:
        with head_shown_plain(model) if has_logits else nullcontext():
            return trainer(model=model, teacher_model=teacher, train_dataset=splits.train.dataset,
                           eval_dataset=splits.eval.dataset, processing_class=bench.tokenizer,
                           peft_config=work.choose_adapter(context), **more)
    except ValueError as error:
        raise work.check_targets(error) from error


def locate_teacher(context: Context) -> Base:
    """Find (or fetch) the teacher's files; ``model.locate`` says what may be wrong."""
    return locate(as_base(context.config).model, context.runs,
                  lambda text: context.emit.stage("loading", text))


def as_base(config: RunConfig) -> RunConfig:
    """Return the config with the teacher in place of the base model, unquantized."""
    teacher = config.teacher
    return config.model_copy(update={"model": config.model.model_copy(update={
        "name_or_path": teacher.name_or_path, "revision": teacher.revision,
        "quantization": "none", "adapters": []})})


def require_same_tokens(name: str, student: Path, teacher: Path) -> None:
    """Refuse a teacher whose tokens have other numbers.

    Raises:
        Failure: Says how many and which is the first.
    """
    told = difference(read_vocabulary(student / "tokenizer.json"),
                      read_vocabulary(teacher / "tokenizer.json"))
    if told:
        raise Failure("teacher_tokenizer", f"'{name}' has another tokenizer than the student: "
                      f"{told}.", "Choose a teacher of the same family: its tokens must have the "
                      "same numbers.")

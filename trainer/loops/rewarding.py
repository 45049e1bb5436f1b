"""The verbs that the recipes of rewarded answers are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from trainer import work
from trainer.arguments import shared_arguments
from trainer.context import Context
from trainer.failures import Failure
from trainer.loops.preference import frozen_copy
from trainer.loops.rollout import Listening
from trainer.rewards import Help, Reward, make_all
from trainer.splits import Splits
from trainer.workbench import Workbench

if TYPE_CHECKING:
    from trainer.loops.rewarded import Rewarded

    Loop = TypeVar("Loop", bound=Rewarded)


def sampling(context: Context) -> dict[str, Any]:
    """Return the arguments of sampling that GRPO, RLOO and distillation share."""
    rollout = context.config.rollout
    return {"max_completion_length": rollout.max_completion_length,
            "temperature": rollout.temperature, "top_p": rollout.top_p, "top_k": rollout.top_k,
            "min_p": rollout.min_p, "repetition_penalty": rollout.repetition_penalty,
            "disable_dropout": context.config.tuner.lora_dropout == 0}


def shared(context: Context, bench: Workbench, splits: Splits) -> dict[str, Any]:
    """Return the arguments that every trainer of sampled answers takes."""
    values = shared_arguments(context, bench.precision, evaluates=bool(splits.eval))
    del values["max_length"]
    return values


def settings(context: Context, bench: Workbench, splits: Splits, *,
             beta: float) -> dict[str, Any]:
    """Return the arguments that GRPO and RLOO share.

    With an adapter TRL asks the reference by switching it off; else ``build_with`` holds a copy,
    and TRL is told of no reference.
    """
    rollout = context.config.rollout
    return {**shared(context, bench, splits), **sampling(context),
            "beta": beta if context.config.tuner.is_adapter else 0.0,
            "num_generations": rollout.num_generations, "num_generations_eval": 1,
            "mask_truncated_completions": rollout.mask_truncated_completions,
            "reward_weights": [use.weight for use in rollout.rewards]}


def build_with(kind: type[Loop], arguments: Any, context: Context, bench: Workbench,
               splits: Splits) -> Loop:
    """Put a trainer of rewarded answers around model, prompts and rewards.

    Raises:
        Failure: Rewards have nothing to compare with, or prompt and answer do not fit the model.
    """
    from trainer.loops.rewarded import as_trl

    config = context.config
    beta = getattr(config, config.objective).beta
    require_room(bench, splits, config.rollout.max_completion_length)
    rewards = rewards_of(context, bench, splits)
    model = work.load_trainable(context, bench)
    reference = frozen_copy(config, model) if beta else None
    try:
        loop = kind(model=model, args=arguments,
                    reward_funcs=[as_trl(one, splits.template.stop_strings) for one in rewards],
                    train_dataset=splits.train.dataset, eval_dataset=splits.eval.dataset,
                    processing_class=bench.tokenizer, peft_config=work.choose_adapter(context))
    except ValueError as error:
        raise work.check_targets(error) from error
    if reference is not None:
        loop.hold_reference(reference.requires_grad_(False), beta)
    loop.listen(listening(context, splits))
    say_batch(context)
    return loop


def listening(context: Context, splits: Splits) -> Listening:
    """Return what ends answers, and how many of them are shown when."""
    config = context.config
    return Listening(context.emit, splits.template.eos_ids, splits.template.stop_strings,
                     config.evaluation.samples, config.training.eval_steps or 50)


def rewards_of(context: Context, bench: Workbench, splits: Splits) -> list[Reward]:
    """Make the run's rewards, and look whether they have what they need.

    Raises:
        Failure: A reward cannot be made, or compares with references that no row has.
    """
    uses = context.config.rollout.rewards
    if any(use.name == "exact_answer" for use in uses) \
            and not any(splits.train.dataset["reference"]):
        raise Failure("reward_references", "The reward 'exact_answer' compares with a reference, "
                      "and no row has one.", "Name the column of the right answers, or use "
                      "another reward.")
    return make_all(uses, Help(context.runs, bench.base.folder / "tokenizer.json",
                               bench.precision))


def require_room(bench: Workbench, splits: Splits, answer: int) -> None:
    """Refuse prompts and answers that together are longer than the model reads.

    Raises:
        Failure: Says by how much.
    """
    text: dict[str, Any] = bench.base.facts.config
    limit = text.get("text_config", text).get("max_position_embeddings")
    longest = max((*splits.train.lengths, *splits.eval.lengths))
    if limit and longest + answer > limit:
        raise Failure("rollout_room", f"The longest prompt has {longest:,} tokens and an answer "
                      f"may have {answer:,}; the model reads {limit:,}.", "Lower "
                      "rollout.max_completion_length or data.max_length.")


def say_batch(context: Context) -> None:
    """Say what the batch size means here."""
    config = context.config
    answers = (config.training.per_device_train_batch_size
               * config.training.gradient_accumulation_steps)
    group = config.rollout.num_generations
    context.emit.choose("rollout.num_generations", group, f"a step learns from {answers} answers, "
                        f"those to {answers // group} prompts: the batch size counts answers")

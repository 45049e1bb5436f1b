"""Sampled answers, rewards and teachers: what cannot be combined."""

from __future__ import annotations

from trainer.contract.config.rewards import NEEDS, TAKES, RewardUse
from trainer.contract.config.run import RunConfig
from trainer.contract.problems import Problem

REWARDED = ("grpo", "rloo")


def _whole_groups(config: RunConfig) -> list[Problem]:
    """TRL compares the answers to a prompt within one step: a step must hold whole groups."""
    if config.objective not in REWARDED:
        return []
    training, group = config.training, config.rollout.num_generations
    accumulation = training.gradient_accumulation_steps
    answers = training.per_device_train_batch_size * accumulation
    if answers % group == 0:
        return []
    batch = size = training.per_device_train_batch_size
    while size * accumulation % group:
        size += 1
    return [Problem(
        field="training.per_device_train_batch_size", code="answers_per_step",
        message=f"A step learns from {answers} answers (batch size {batch} x "
                f"accumulation {accumulation}), which is no multiple of the {group} answers a "
                "prompt.",
        advice=f"The batch size counts answers, not prompts: use a batch size of {size}, or "
               "change the answers a prompt (rollout.num_generations).",
        params={"answers": str(answers), "group": str(group), "size": str(size)})]


def _losses(config: RunConfig) -> list[Problem]:
    """Losses that are defined for one kind of ratio only, and cispo's own bound."""
    if config.objective != "grpo":
        return []
    grpo, found = config.grpo, []
    wanted = {"luspo": "sequence", "vespo": "token"}.get(grpo.loss_type)
    if wanted and grpo.importance_sampling_level != wanted:
        found.append(Problem(
            field="grpo.importance_sampling_level", code="importance_sampling_of_loss",
            message=f"The loss '{grpo.loss_type}' is defined for ratios by {wanted}.",
            advice=f"Choose '{wanted}', or another loss.",
            params={"loss": grpo.loss_type, "wanted": wanted}))
    if grpo.loss_type == "cispo" and (grpo.epsilon_high is None or grpo.epsilon_high < 1):
        found.append(Problem(
            field="grpo.epsilon_high", code="cispo_bound",
            message="Of 'cispo' the upper clip is the largest weight itself: below 1 it would "
                    "weaken every answer.", advice="Set it to 5 (arXiv:2510.13786)."))
    return found


def _rewards(config: RunConfig) -> list[Problem]:
    if config.objective not in REWARDED:
        return []
    uses = config.rollout.rewards
    if not uses:
        return [Problem(field="rollout.rewards", code="rewards_none",
                        message=f"{config.objective.upper()} learns from rewards, and none is "
                                "named.",
                        advice="Name at least one, such as exact_answer.",
                        params={"objective": config.objective.upper()})]
    if all(use.weight == 0 for use in uses):
        return [Problem(field="rollout.rewards", code="rewards_weigh_nothing",
                        message="Every reward has the weight 0: nothing would be learned.",
                        advice="Give at least one of them a weight.")]
    return [problem for index, use in enumerate(uses) for problem in _settings(use, index)]


def _settings(use: RewardUse, index: int) -> list[Problem]:
    """Name what a reward lacks, and what it has no use for."""
    found, where = [], f"rollout.rewards.{index}"
    for name in NEEDS[use.name]:
        if getattr(use, name) in (None, ""):
            found.append(Problem(
                field=f"{where}.{name}", code="reward_needs",
                message=f"The reward '{use.name}' needs '{name}'.",
                advice="Add it.", params={"reward": use.name, "name": name}))
    known = {"name", "weight", *NEEDS[use.name], *TAKES.get(use.name, ())}
    for name in sorted(set(RewardUse.model_fields) - known):
        if getattr(use, name) is not None:
            found.append(Problem(
                field=f"{where}.{name}", code="reward_has_no_use",
                message=f"The reward '{use.name}' has no use for '{name}'.",
                advice="Remove it.", params={"reward": use.name, "name": name}))
    return found


def _teacher(config: RunConfig) -> list[Problem]:
    if not config.facts.teacher:
        return []
    if not config.teacher.name_or_path:
        return [Problem(field="teacher.name_or_path", code="teacher_none",
                        message="Distillation learns from a teacher, and none is named.",
                        advice="Name a larger or a trained model with the same tokenizer.")]
    found = []
    if config.objective == "gkd" and config.teacher.seq_kd and config.teacher.lmbda == 1:
        found.append(Problem(field="teacher.seq_kd", code="seq_kd_never",
                             message="With a share of own answers of 1 the teacher never answers.",
                             advice="Lower 'lmbda', or switch the teacher's answers off."))
    return found


def _gkd_asks(config: RunConfig) -> list[Problem]:
    """Answers can only be sampled where a row has something to answer."""
    asked = config.teacher.lmbda > 0 or config.teacher.seq_kd
    if config.objective != "gkd" or not config.data.train_on_prompt or not asked:
        return []
    return [Problem(field="data.train_on_prompt", code="gkd_prompt",
                    message="Where prompts are trained on, nothing is left to be answered.",
                    advice="Switch it off, or learn from the data's answers only: lmbda 0, "
                           "seq_kd off.")]


RULES = (_whole_groups, _losses, _rewards, _teacher, _gkd_asks)

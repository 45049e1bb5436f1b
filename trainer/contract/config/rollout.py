"""Objectives in which the model writes answers that are then scored or compared."""

from __future__ import annotations

from typing import Literal

from trainer.contract.config.base import Section, field
from trainer.contract.config.rewards import RewardUse
from trainer.contract.config.texts import Place

_SAMPLED = {"objective": ("grpo", "rloo", "distillation")}
_REWARDED = {"objective": ("grpo", "rloo")}
GRPO_LOSSES = Literal["grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"]


class RolloutConfig(Section):
    """How answers are sampled while training, and what rewards them."""

    max_completion_length: int = field(
        256, "Answer length", "Longest answer that is sampled.", basic=True, unit="tokens",
        ge=1, le=65_536)
    temperature: float = field(
        1.0, "Temperature", "Of sampling; above 0, or all answers to a prompt are the same.",
        gt=0, le=10)
    top_p: float = field(1.0, "Top p", "Sample from the likeliest tokens of this share.",
                         gt=0, le=1, only=_SAMPLED)
    top_k: int = field(0, "Top k", "Sample from so many likeliest tokens; 0 means all.", ge=0,
                       only=_SAMPLED)
    min_p: float | None = field(
        None, "Min p", "Leave out tokens less likely than this share of the likeliest one.",
        ge=0, le=1, only=_SAMPLED)
    repetition_penalty: float = field(
        1.0, "Repetition penalty", "Above 1 makes repeated tokens less likely.", gt=0, le=10,
        only=_SAMPLED)
    num_generations: int = field(
        8, "Answers a prompt", "How many answers to each prompt are compared. The batch size "
        "counts answers: batch size x accumulation must be a multiple of this.", basic=True,
        ge=2, le=1024, only=_REWARDED)
    mask_truncated_completions: bool = field(
        False, "Leave out cut answers", "Answers that hit the longest length teach nothing.",
        only=_REWARDED)
    rewards: list[RewardUse] = field(
        list, "Rewards", "What scores an answer; several are added by their weights, such as "
        "exact_answer, length (weight=0.2, target=100).", basic=True,
        only=_REWARDED)


class GRPOConfig(Section):
    """Group relative policy optimisation (arXiv:2402.03300); names are those of TRL."""

    loss_type: GRPO_LOSSES = field(
        "dapo", "Loss", "How token losses are put together: dapo over all tokens of the batch, "
        "grpo by answer, dr_grpo by the longest length, bnpo by micro-batch; cispo, sapo, luspo, "
        "vespo weigh otherwise.")
    importance_sampling_level: Literal["token", "sequence"] = field(
        "token", "Importance sampling", "Ratios by token, or by whole answer "
        "(GSPO, arXiv:2507.18071).")
    beta: float = field(
        0.0, "KL weight", "Above 0 holds the model to the reference; weighed by the ratio "
        "(arXiv:2512.02556).", basic=True, ge=0, le=100)
    epsilon: float = field(0.2, "Clip", "Lower bound of the ratio's clipping.", gt=0, le=100)
    epsilon_high: float | None = field(
        None, "Upper clip", "Upper bound of the clipping; empty means the same (DAPO: 0.28). "
        "Of cispo the largest weight itself (5 is usual).",
        gt=0, le=100)
    scale_rewards: Literal["group", "batch", "none"] = field(
        "group", "Scaling", "Divide advantages by the spread of the group, of the batch, or not "
        "(Dr. GRPO).")
    num_iterations: int = field(
        1, "Updates an answer", "How often each batch of answers is learned from.", ge=1, le=64)


class RLOOConfig(Section):
    """REINFORCE with a leave-one-out baseline (arXiv:2402.14740); names are those of TRL."""

    beta: float = field(
        0.05, "KL weight", "Above 0 holds the model to the reference.", basic=True, ge=0, le=100)
    epsilon: float = field(0.2, "Clip", "Bound of the ratio's clipping.", gt=0, le=100)
    normalize_advantages: bool = field(
        False, "Normalise advantages", "To mean 0 and spread 1 over the batch.")
    num_iterations: int = field(
        1, "Updates an answer", "How often each batch of answers is learned from.", ge=1, le=64)


class TeacherConfig(Section):
    """The model that is learned from."""

    name_or_path: Place = field(
        "", "Teacher", "'starter', a hub id, a local folder, or the id of a run; it must share the "
        "student's tokenizer.", basic=True, max_length=4096)
    revision: str | None = field(
        None, "Teacher's revision", "Branch, tag or commit of a hub model.")
    beta: float = field(
        0.5, "Divergence", "0 is forward KL, 1 reverse KL, between them generalised "
        "Jensen-Shannon (arXiv:2306.13649).", ge=0, le=1)
    lmbda: float = field(
        0.5, "Own answers", "Share of batches in which the student's own answers are compared "
        "instead of the data's.", ge=0, le=1, only={"objective": ("gkd",)})
    seq_kd: bool = field(
        False, "Teacher's answers", "Learn from answers of the teacher instead of the data's.",
        only={"objective": ("gkd",)})

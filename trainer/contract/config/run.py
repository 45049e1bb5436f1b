"""RunConfig: one YAML file is one run."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from trainer.contract.config.base import Section, field
from trainer.contract.config.data import DataConfig
from trainer.contract.config.evaluation import EvaluationConfig, TrackingConfig
from trainer.contract.config.facts import OBJECTIVES, Objective, ObjectiveFacts, objectives_with
from trainer.contract.config.model import ModelConfig
from trainer.contract.config.preference import (
    CPOConfig,
    DPOConfig,
    KTOConfig,
    ORPOConfig,
    RewardModelConfig,
    SimPOConfig,
)
from trainer.contract.config.rollout import GRPOConfig, RLOOConfig, RolloutConfig, TeacherConfig
from trainer.contract.config.schedule import LearningRateFinderConfig
from trainer.contract.config.sft import ClassificationConfig, SFTConfig
from trainer.contract.config.texts import name_of_run
from trainer.contract.config.training import TrainingConfig
from trainer.contract.config.tuner import TunerConfig


class RunConfig(Section):
    """Everything that defines a run; it alone reproduces the run."""

    name: str = field("run", "Name", "Shown to people; the id is made by the studio.",
                      basic=True, min_length=1, max_length=100)
    objective: Objective = field(
        "sft", "Objective",
        "Supervised fine-tuning on answers, pretraining on plain text; preferences by DPO, ORPO, "
        "SimPO, CPO, KTO or a reward model; reinforcement learning by GRPO or RLOO; distillation "
        "from a teacher; or classes of text.", basic=True)
    model: ModelConfig = field(ModelConfig, "Model", "The base model.")
    data: DataConfig = field(DataConfig, "Data", "What to learn from.")
    tuner: TunerConfig = field(TunerConfig, "Tuner", "What is trained.")
    training: TrainingConfig = field(TrainingConfig, "Training", "The training loop.")
    sft: SFTConfig = field(SFTConfig, "Supervised", "The loss of answers and text.",
                           only={"objective": ("sft", "pretrain")})
    dpo: DPOConfig = field(DPOConfig, "DPO", "Only for the objective 'dpo'.",
                           only={"objective": ("dpo",)})
    orpo: ORPOConfig = field(ORPOConfig, "ORPO", "Only for the objective 'orpo'.",
                             only={"objective": ("orpo",)})
    simpo: SimPOConfig = field(SimPOConfig, "SimPO", "Only for the objective 'simpo'.",
                               only={"objective": ("simpo",)})
    cpo: CPOConfig = field(CPOConfig, "CPO", "Only for the objective 'cpo'.",
                           only={"objective": ("cpo",)})
    kto: KTOConfig = field(KTOConfig, "KTO", "Only for the objective 'kto'.",
                           only={"objective": ("kto",)})
    reward: RewardModelConfig = field(
        RewardModelConfig, "Reward model", "Only for the objective 'reward'.",
        only={"objective": ("reward",)})
    classification: ClassificationConfig = field(
        ClassificationConfig, "Classification", "Only for the objective 'classification'.",
        only={"objective": ("classification",)})
    rollout: RolloutConfig = field(
        RolloutConfig, "Sampling", "How answers are sampled while training.",
        only={"objective": objectives_with(generates=True)})
    grpo: GRPOConfig = field(GRPOConfig, "GRPO", "Only for the objective 'grpo'.",
                             only={"objective": ("grpo",)})
    rloo: RLOOConfig = field(RLOOConfig, "RLOO", "Only for the objective 'rloo'.",
                             only={"objective": ("rloo",)})
    teacher: TeacherConfig = field(
        TeacherConfig, "Teacher", "The model that is learned from.",
        only={"objective": objectives_with(teacher=True)})
    lr_finder: LearningRateFinderConfig = field(
        LearningRateFinderConfig, "Learning rate finder", "A sweep in place of training.")
    evaluation: EvaluationConfig = field(EvaluationConfig, "Evaluation", "What is measured.")
    tracking: TrackingConfig = field(TrackingConfig, "Tracking", "Where metrics also go.")

    _name = field_validator("name")(name_of_run)

    @property
    def facts(self) -> ObjectiveFacts:
        """What there is to know of the run's objective."""
        return OBJECTIVES[self.objective]

    def dump(self) -> dict[str, Any]:
        """Return the complete config as plain data, every default written out."""
        return self.model_dump(mode="json")

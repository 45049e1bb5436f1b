"""RunConfig: one YAML file is one run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from trainer.contract.config.base import Section, field
from trainer.contract.config.data import DataConfig
from trainer.contract.config.model import ModelConfig
from trainer.contract.config.objectives import (
    DPOConfig,
    EvaluationConfig,
    KTOConfig,
    TrackingConfig,
)
from trainer.contract.config.training import TrainingConfig
from trainer.contract.config.tuner import TunerConfig


class RunConfig(Section):
    """Everything that defines a run; it alone reproduces the run."""

    name: str = field("run", "Name", "Shown to people; the id is made by the studio.",
                      basic=True, min_length=1, max_length=100)
    objective: Literal["sft", "pretrain", "dpo", "kto"] = field(
        "sft", "Objective",
        "Supervised fine-tuning on answers, pretraining on plain text, DPO on preference pairs, "
        "KTO on single answers that are desired or not.", basic=True)
    model: ModelConfig = field(ModelConfig, "Model", "The base model.")
    data: DataConfig = field(DataConfig, "Data", "What to learn from.")
    tuner: TunerConfig = field(TunerConfig, "Tuner", "What is trained.")
    training: TrainingConfig = field(TrainingConfig, "Training", "The training loop.")
    dpo: DPOConfig = field(DPOConfig, "DPO", "Only for the objective 'dpo'.")
    kto: KTOConfig = field(KTOConfig, "KTO", "Only for the objective 'kto'.")
    evaluation: EvaluationConfig = field(EvaluationConfig, "Evaluation", "What is measured.")
    tracking: TrackingConfig = field(TrackingConfig, "Tracking", "Where metrics also go.")

    @field_validator("name")
    @classmethod
    def _printable(cls, value: str) -> str:
        if any(ord(c) < 32 or ord(c) == 127 for c in value):
            raise PydanticCustomError(
                "control_characters", "Line breaks and control characters are not allowed here.")
        if "/" in value or "\\" in value or value in {".", ".."}:
            raise PydanticCustomError(
                "name_is_path", "A name is not a path: it has no '/' and no '\\'.")
        return value

    def dump(self) -> dict[str, Any]:
        """Return the complete config as plain data, every default written out."""
        return self.model_dump(mode="json")

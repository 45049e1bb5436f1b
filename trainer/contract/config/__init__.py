"""The run config: typed, described, complete."""

from trainer.contract.config.data import DataConfig, DatasetUse, FilterConfig
from trainer.contract.config.evaluation import EvaluationConfig, TrackingConfig
from trainer.contract.config.facts import OBJECTIVES, ObjectiveFacts, RowKind, objectives_with
from trainer.contract.config.fields import FieldInfo, all_fields, default_of, flat, is_relevant
from trainer.contract.config.model import ModelConfig
from trainer.contract.config.parse import (
    apply_overrides,
    brief_yaml,
    load_yaml,
    parse,
    to_yaml,
    without_wrong_fields,
)
from trainer.contract.config.rewards import RewardUse
from trainer.contract.config.run import RunConfig
from trainer.contract.config.training import TrainingConfig
from trainer.contract.config.tuner import TunerConfig

__all__ = ["OBJECTIVES", "DataConfig", "DatasetUse", "EvaluationConfig", "FieldInfo",
           "FilterConfig", "ModelConfig", "ObjectiveFacts", "RewardUse", "RowKind", "RunConfig",
           "TrackingConfig", "TrainingConfig", "TunerConfig", "all_fields", "apply_overrides",
           "brief_yaml", "default_of", "flat", "is_relevant", "load_yaml", "objectives_with",
           "parse", "to_yaml", "without_wrong_fields"]

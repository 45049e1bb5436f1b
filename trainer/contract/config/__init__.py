"""The run config: typed, described, complete."""

from trainer.contract.config.data import DataConfig, DatasetUse, FilterConfig
from trainer.contract.config.fields import FieldInfo, all_fields, default_of, flat
from trainer.contract.config.model import ModelConfig
from trainer.contract.config.objectives import (
    DPOConfig,
    EvaluationConfig,
    KTOConfig,
    TrackingConfig,
)
from trainer.contract.config.parse import (
    apply_overrides,
    load_yaml,
    parse,
    to_yaml,
    without_wrong_fields,
)
from trainer.contract.config.run import RunConfig
from trainer.contract.config.training import TrainingConfig
from trainer.contract.config.tuner import TunerConfig

__all__ = ["DPOConfig", "DataConfig", "DatasetUse", "EvaluationConfig", "FieldInfo",
           "FilterConfig", "KTOConfig", "ModelConfig", "RunConfig", "TrackingConfig",
           "TrainingConfig", "TunerConfig", "all_fields", "apply_overrides", "default_of", "flat",
           "load_yaml", "parse", "to_yaml", "without_wrong_fields"]

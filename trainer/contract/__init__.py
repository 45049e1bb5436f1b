"""The language that studio and trainer share: standard library, pydantic and PyYAML only."""

from trainer.contract.config import RunConfig
from trainer.contract.problems import ConfigError, Problem

__all__ = ["ConfigError", "Problem", "RunConfig"]

"""What is to be served; known before any large library is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainer.contract.config import RunConfig
from trainer.lean import NEVER, QUANTIZERS, hide, quantizes


@dataclass(frozen=True)
class ModelChoice:
    """What to serve, in the words of a run's config.

    ``max_model_len`` 0 means as many tokens as the model was made for.
    """

    model: str
    device: str = "cpu"
    dtype: str = "auto"
    quantization: str = "none"
    max_model_len: int = 0
    double_quantization: bool = True

    def config(self) -> RunConfig:
        """Return a run's config with this model; ConfigError when there is no such choice."""
        return RunConfig.model_validate({"model": {
            "name_or_path": self.model, "dtype": self.dtype, "quantization": self.quantization,
            "double_quantization": self.double_quantization}})

    def spare(self, runs: Path) -> None:
        """Hide for the life of this process what serving this model cannot need."""
        hide(NEVER if quantizes(self.config(), runs) else (*NEVER, *QUANTIZERS))

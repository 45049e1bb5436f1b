"""What is trained: what cannot be combined."""

from __future__ import annotations

from trainer.contract.config.run import RunConfig
from trainer.contract.problems import Problem


def _full_on_quantized(config: RunConfig) -> list[Problem]:
    if config.tuner.type != "full" or config.model.quantization == "none":
        return []
    return [Problem(field="model.quantization", code="full_on_quantized",
                    message="4-bit weights cannot be trained: full fine-tuning needs them whole.",
                    advice="Choose LoRA (that is QLoRA), or quantization 'none'.")]


RULES = (_full_on_quantized,)

"""Losses of answers, text and preferences: what cannot be combined."""

from __future__ import annotations

from trainer.contract.config.run import RunConfig
from trainer.contract.problems import Problem


def _label_smoothing(config: RunConfig) -> list[Problem]:
    if config.objective != "dpo" or config.dpo.label_smoothing == 0:
        return []
    if config.dpo.loss_type in ("sigmoid", "robust"):
        return []
    return [Problem(field="dpo.label_smoothing", code="label_smoothing_loss",
                    message=f"The loss '{config.dpo.loss_type}' has no label smoothing.",
                    advice="Set it to 0, or choose 'sigmoid' or 'robust'.",
                    params={"loss": config.dpo.loss_type})]


def _kto_compares_rows(config: RunConfig) -> list[Problem]:
    if config.objective != "kto" or config.training.per_device_train_batch_size > 1:
        return []
    return [Problem(field="training.per_device_train_batch_size", code="kto_single_row",
                    message="KTO compares each row with the others of its batch.",
                    advice="Use a batch size of at least 2; several rows work better.")]


RULES = (_label_smoothing, _kto_compares_rows)

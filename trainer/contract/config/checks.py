"""What cannot be combined, each with its reason. Pure functions of the config."""

from __future__ import annotations

from trainer.contract.config.run import RunConfig
from trainer.contract.problems import Problem


def check(config: RunConfig) -> list[Problem]:
    """Return every combination of fields that cannot work."""
    rules = (_full_on_quantized, _leak, _exact_match_needs_eval, _exact_match_of_dpo,
             _label_smoothing, _named_template)
    return [problem for rule in rules for problem in rule(config)]


def _full_on_quantized(config: RunConfig) -> list[Problem]:
    if config.tuner.type != "full" or config.model.quantization == "none":
        return []
    return [Problem(field="model.quantization", code="full_on_quantized",
                    message="4-bit weights cannot be trained: full fine-tuning needs them whole.",
                    advice="Choose LoRA (that is QLoRA), or quantization 'none'.")]


def _leak(config: RunConfig) -> list[Problem]:
    shared = sorted(set(config.data.train) & set(config.data.eval))
    return [Problem(field="data.eval", code="eval_in_train", params={"name": name},
                    message=f"'{name}' is both training and evaluation data.",
                    advice="Name another evaluation set, or use a validation split.")
            for name in shared]


def _exact_match_needs_eval(config: RunConfig) -> list[Problem]:
    measured = bool(config.data.eval) or config.data.val_size > 0
    if not config.evaluation.exact_match or measured:
        return []
    return [Problem(field="evaluation.exact_match", code="exact_match_needs_eval",
                    message="Exact match needs evaluation data.",
                    advice="Name an evaluation set or a validation split.")]


def _exact_match_of_dpo(config: RunConfig) -> list[Problem]:
    if config.objective != "dpo" or not config.evaluation.exact_match:
        return []
    return [Problem(field="evaluation.exact_match", code="exact_match_of_dpo",
                    message="Preference pairs have no single right answer to match.",
                    advice="Switch exact match off; margins and accuracy are always measured.")]


def _label_smoothing(config: RunConfig) -> list[Problem]:
    if config.objective != "dpo" or config.dpo.label_smoothing == 0:
        return []
    if config.dpo.loss_type in ("sigmoid", "robust"):
        return []
    return [Problem(field="dpo.label_smoothing", code="label_smoothing_loss",
                    message=f"The loss '{config.dpo.loss_type}' has no label smoothing.",
                    advice="Set it to 0, or choose 'sigmoid' or 'robust'.",
                    params={"loss": config.dpo.loss_type})]


def _named_template(config: RunConfig) -> list[Problem]:
    if config.data.template == "auto":
        return []
    return [Problem(field="data.template", code="unknown_template",
                    message=f"There is no chat template '{config.data.template}'.",
                    advice="Use 'auto', the tokenizer's own chat template.",
                    params={"name": config.data.template})]

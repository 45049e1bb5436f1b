"""Losses of preferences: what cannot be combined.

What TRL 1.16 refuses, and what it would pass over in silence, is said before a run exists.
"""

from __future__ import annotations

from collections.abc import Sequence

from trainer.contract.config.run import RunConfig
from trainer.contract.problems import Problem

_SMOOTHED = ("sigmoid", "robust", "exo_pair", "aot", "aot_unpaired")
# The other losses look at each answer alone: the divergence's constant would not cancel, and
# without a reference every answer would be infinitely unlikely.
_OF_DIFFERENCES = ("sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop",
                   "sft")
_FREE = ("sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "aot", "sft")
_UNWEIGHTED = ("aot", "aot_unpaired", "hinge", "sft")
_SORTING = ("aot", "aot_unpaired")


def _named(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _problem(path: str, code: str, message: str, advice: str, **params: str) -> list[Problem]:
    return [Problem(field=path, code=code, message=message, advice=advice, params=params)]


def _label_smoothing(config: RunConfig) -> list[Problem]:
    dpo = config.dpo
    if config.objective != "dpo" or dpo.label_smoothing == 0:
        return []
    using = [name for name in dpo.losses if name in _SMOOTHED]
    if not using:
        loss = ", ".join(dpo.losses)
        return _problem("dpo.label_smoothing", "label_smoothing_loss",
                        f"The loss '{loss}' has no label smoothing.",
                        f"Set it to 0, or choose one of {_named(_SMOOTHED)}.", loss=loss)
    if len(using) > 1 and "sigmoid" in using:
        other = next(name for name in using if name != "sigmoid")
        return _problem("dpo.label_smoothing", "label_smoothing_shared",
                        f"'sigmoid' and '{other}' mean different things by label smoothing.",
                        "Take one of them out of the mixture, or set it to 0.", other=other)
    return []


def _exo(config: RunConfig) -> list[Problem]:
    dpo = config.dpo
    if config.objective != "dpo" or "exo_pair" not in dpo.losses or dpo.label_smoothing > 0:
        return []
    return _problem("dpo.label_smoothing", "exo_smoothing",
                    "The loss 'exo_pair' takes the logarithm of the label smoothing, which is 0.",
                    "Set it above 0; its paper uses 0.001.")


def _divergence(config: RunConfig) -> list[Problem]:
    dpo = config.dpo
    if config.objective != "dpo" or dpo.f_divergence_type == "reverse_kl":
        return []
    return [problem for name in dpo.losses if name not in _OF_DIFFERENCES
            for problem in _problem(
                "dpo.f_divergence_type", "divergence_loss",
                f"The loss '{name}' looks at each answer alone: only with 'reverse_kl' is that "
                "defined.", f"Choose 'reverse_kl', or one of {_named(_OF_DIFFERENCES)}.",
                loss=name)]


def _weighting(config: RunConfig) -> list[Problem]:
    dpo = config.dpo
    if config.objective != "dpo" or not dpo.use_weighting:
        return []
    return [problem for name in dpo.losses if name in _UNWEIGHTED
            for problem in _problem(
                "dpo.use_weighting", "weighting_loss",
                f"The loss '{name}' cannot weigh its pairs.",
                "Switch weighted pairs off, or choose another loss, such as 'sigmoid'.",
                loss=name)]


def _reference_free(config: RunConfig) -> list[Problem]:
    dpo = config.dpo
    if config.objective != "dpo" or not dpo.reference_free:
        return []
    found = [problem for name in dpo.losses if name not in _FREE for problem in _problem(
        "dpo.reference_free", "free_loss",
        f"The loss '{name}' needs a reference: it asks how far each answer has moved.",
        f"Switch 'without reference' off, or choose one of {_named(_FREE)}.", loss=name)]
    if dpo.f_divergence_type != "reverse_kl":
        found += _problem("dpo.f_divergence_type", "free_divergence",
                          "There is no reference to measure a divergence from.",
                          "Choose 'reverse_kl', or switch 'without reference' off.")
    for name in ("precompute_ref_log_probs", "sync_ref_model"):
        if getattr(dpo, name):
            found += _problem(f"dpo.{name}", "free_reference",
                              "The run has no reference: there is nothing to ask or to move.",
                              "Switch it off, or 'without reference'.")
    return found


def _moving_reference(config: RunConfig) -> list[Problem]:
    dpo = config.dpo
    if config.objective != "dpo" or not dpo.sync_ref_model:
        return []
    if config.tuner.is_adapter:
        return _problem("dpo.sync_ref_model", "moving_adapter",
                        "With an adapter the reference is the base itself, which cannot move.",
                        "Switch it off, or train the whole model.")
    if dpo.precompute_ref_log_probs:
        return _problem("dpo.sync_ref_model", "moving_in_advance",
                        "A reference that moves cannot be asked in advance.",
                        "Switch one of the two off.")
    return []


def _single_rows(config: RunConfig) -> list[Problem]:
    sizes = {"per_device_train_batch_size": config.training.per_device_train_batch_size}
    if config.data.eval or config.data.val_size > 0:
        sizes["per_device_eval_batch_size"] = config.training.per_device_eval_batch_size
    if config.objective == "kto":
        code, message = "kto_single_row", "KTO compares each row with the others of its batch."
    elif config.objective == "dpo" and set(_SORTING) & set(config.dpo.losses):
        code, message = "aot_single_row", "AOT compares the rows of a batch by rank."
    else:
        return []
    return [problem for name, size in sizes.items() if size == 1 for problem in _problem(
        f"training.{name}", code, message,
        "Use a batch size of at least 2; several rows work better.")]


def _cpo_smoothing(config: RunConfig) -> list[Problem]:
    cpo = config.cpo
    if config.objective != "cpo" or cpo.label_smoothing == 0 or cpo.loss_type == "sigmoid":
        return []
    return _problem("cpo.label_smoothing", "label_smoothing_cpo",
                    f"The loss '{cpo.loss_type}' has no label smoothing.",
                    "Set it to 0, or choose 'sigmoid'.", loss=cpo.loss_type)


RULES = (_label_smoothing, _exo, _divergence, _weighting, _reference_free, _moving_reference,
         _single_rows, _cpo_smoothing)

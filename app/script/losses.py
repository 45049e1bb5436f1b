"""Losses of pairs without a reference model, written as Python."""

from __future__ import annotations

from trainer.contract import RunConfig

_IMPORT = "from torch.nn import functional\n\n"
_HEAD = '''def preference_loss(chosen, rejected, chosen_tokens, rejected_tokens):
    """Return the losses of a batch from log-probabilities and numbers of tokens; (B,) each."""
    chosen_mean = chosen / chosen_tokens
'''
_MEAN = "    rejected_mean = rejected / rejected_tokens\n"
_ORPO = '''    a, b = chosen_mean.clamp(max=-1e-6), rejected_mean.clamp(max=-1e-6)
    odds = a - torch.log(-torch.expm1(a)) - b + torch.log(-torch.expm1(b))
    return -chosen_mean - BETA * functional.logsigmoid(odds)'''
_SMOOTHED = '''    preference = -(functional.logsigmoid(margin) * (1 - SMOOTHING)
                   + functional.logsigmoid(-margin) * SMOOTHING)
    return preference - ANSWER_WEIGHT * chosen_mean'''


def preference_loss(config: RunConfig) -> str:
    """Return the loss of ORPO (arXiv:2403.07691), SimPO (2405.14734) or CPO (2401.08417)."""
    if config.objective == "orpo":
        return f"{_IMPORT}BETA = {config.orpo.beta!r}\n\n\n{_HEAD}{_MEAN}{_ORPO}"
    own = config.simpo if config.objective == "simpo" else config.cpo
    values = (f"BETA = {own.beta!r}\nANSWER_WEIGHT = {own.cpo_alpha!r}\n"
              f"SMOOTHING = {own.label_smoothing!r}\n\n\n")
    if config.objective == "simpo":
        margin = (f"    margin = BETA * (chosen_mean - rejected_mean) - "
                  f"{config.simpo.simpo_gamma!r}\n")
        return _IMPORT + values + _HEAD + _MEAN + margin + _SMOOTHED
    if config.cpo.loss_type == "ipo":
        ipo = ("    preference = (chosen_mean - rejected_mean - 1 / (2 * BETA)) ** 2\n"
               "    return preference - ANSWER_WEIGHT * chosen_mean")
        return values + _HEAD + _MEAN + ipo
    margin = "    margin = BETA * (chosen - rejected)\n"
    if config.cpo.loss_type == "hinge":
        return (values + _HEAD + margin
                + "    return torch.relu(1 - margin) - ANSWER_WEIGHT * chosen_mean")
    return _IMPORT + values + _HEAD + margin + _SMOOTHED

"""Data: what cannot be combined."""

from __future__ import annotations

from difflib import get_close_matches

from trainer.contract.config.data import DatasetUse
from trainer.contract.config.run import RunConfig
from trainer.contract.places import template_names
from trainer.contract.problems import Problem


def _leak(config: RunConfig) -> list[Problem]:
    shared = sorted({_key(use) for use in config.data.uses("train")}
                    & {_key(use) for use in config.data.uses("eval")})
    return [Problem(field="data.eval", code="eval_in_train", params={"name": name},
                    message=f"'{name}' is both training and evaluation data.",
                    advice="Name another evaluation set, or use a validation split.")
            for name, _, _ in shared]


def _key(use: DatasetUse) -> tuple[str, str, str]:
    return use.name, use.subset or "", use.split or ""


def _named_template(config: RunConfig) -> list[Problem]:
    name = config.data.template
    known = template_names()
    if name == "auto" or name in known:
        return []
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"Did you mean '{close[0]}'? " if close else ""
    return [Problem(field="data.template", code="unknown_template",
                    message=f"There is no chat template '{name}'.",
                    advice=f"{hint}Use 'auto', the tokenizer's own chat template, or one of: "
                           f"{', '.join(known)}.",
                    params={"name": name})]


def _pretrain_has_no_turns(config: RunConfig) -> list[Problem]:
    chosen = [name for name in ("train_on_prompt", "mask_history") if getattr(config.data, name)]
    if config.objective != "pretrain":
        return []
    return [Problem(field=f"data.{name}", code="no_turns",
                    message="Plain text has no turns to choose from.",
                    advice="Switch it off: pretraining learns every token.")
            for name in chosen]


RULES = (_leak, _named_template, _pretrain_has_no_turns)

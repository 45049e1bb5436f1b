"""Stage, preference loss and loss of answers as an objective."""

from __future__ import annotations

from app.migrate.draft import Draft

STAGES = {"pt": "pretrain", "sft": "sft", "rm": "reward", "kto": "kto"}
GRPO_FOR_PPO = ("PPO has no counterpart (TRL removed it): GRPO with the same reward model is the "
                "nearest. Look at rollout and grpo.")
PAIRS = "'kto_pair' has no counterpart: DPO's apo_zero is the same loss with the KL terms at 0."
MIXED = "Preference and answer losses are one mixture here: dpo.mixture."
NOT_HERE = "It means nothing for this objective."


def objective(draft: Draft) -> str:
    """Set the objective and everything that belongs to its loss; return its name."""
    stage = draft.text("stage", "sft").lower()
    if stage == "dpo":
        chosen = _preference(draft)
    elif stage == "ppo":
        chosen = "grpo"
        _ppo(draft)
    elif stage in STAGES:
        chosen = STAGES[stage]
        draft.put("stage", "objective", chosen)
    else:
        chosen = "sft"
        draft.drop("stage", f"LLaMA-Factory has no stage '{stage[:40]}'; taken as sft.")
    draft.values["objective"] = chosen
    if chosen == "kto":
        _kto(draft)
    _loss(draft, chosen)
    _reference(draft)
    return chosen


def _preference(draft: Draft) -> str:
    loss = draft.text("pref_loss", "sigmoid").lower()
    chosen = loss if loss in ("orpo", "simpo") else "dpo"
    draft.put("stage", "objective", chosen,
              "" if chosen == "dpo" else f"The preference loss '{loss}' is an objective of its "
              "own here.")
    if chosen == "dpo":
        _dpo(draft, loss)
    else:
        draft.put("pref_loss", "objective", chosen)
    beta = draft.number("pref_beta")
    if beta is not None:
        draft.put("pref_beta", f"{chosen}.beta", beta)
    elif chosen == "simpo":
        draft.default("pref_beta", "simpo.beta", 0.1)
    if chosen == "simpo":
        _simpo(draft)
    return chosen


def _dpo(draft: Draft, loss: str) -> None:
    if loss in ("sigmoid", "hinge", "ipo"):
        draft.put("pref_loss", "dpo.loss_type", loss)
    elif loss == "kto_pair":
        draft.put("pref_loss", "dpo.loss_type", "apo_zero", PAIRS)
    else:
        draft.drop("pref_loss", f"LLaMA-Factory has no loss '{loss[:40]}'; DPO's own is used.")
    for key, field in (("dpo_label_smoothing", "dpo.label_smoothing"),
                       ("ld_alpha", "dpo.ld_alpha")):
        if (value := draft.number(key)) is not None:
            draft.put(key, field, value)
    added = {name: draft.number(key) or 0.0
             for key, name in (("pref_ftx", "sft"), ("pref_bco_weight", "bco_pair"))}
    if any(weight > 0 for weight in added.values()):
        first = draft.values.pop("dpo.loss_type", "sigmoid")
        mixture = {first: 1.0, **{name: w for name, w in added.items() if w > 0}}
        draft.put("pref_ftx", "dpo.mixture", mixture, MIXED)
        draft.put("pref_bco_weight", "dpo.mixture", mixture, MIXED)
        if "pref_loss" in draft.source:
            draft.rows.pop("pref_loss", None)
            draft.put("pref_loss", "dpo.mixture", mixture, MIXED)
    for key in ("pref_ftx", "pref_bco_weight"):
        draft.say(key, "kept", "It adds nothing at 0.")


def _simpo(draft: Draft) -> None:
    if (gamma := draft.number("simpo_gamma")) is not None:
        draft.put("simpo_gamma", "simpo.simpo_gamma", gamma)
    if (weight := draft.number("pref_ftx")) is not None:
        draft.put("pref_ftx", "simpo.cpo_alpha", weight)


def _kto(draft: Draft) -> None:
    for key, field in (("pref_beta", "kto.beta"), ("kto_chosen_weight", "kto.desirable_weight"),
                       ("kto_rejected_weight", "kto.undesirable_weight")):
        if (value := draft.number(key)) is not None:
            draft.put(key, field, value)
    if draft.number("pref_ftx"):
        draft.drop("pref_ftx", "KTO adds no loss of the answers here.")


def _ppo(draft: Draft) -> None:
    draft.put("stage", "objective", "grpo", GRPO_FOR_PPO)
    model = draft.text("reward_model")
    draft.put("reward_model", "rollout.rewards",
              [{"name": "reward_model", "model": model}] if model else
              [{"name": "length", "target": 100}])
    if not model:
        draft.refuse("import_ppo", "PPO's file names no reward model.",
                     "Say in rollout.rewards what a good answer is.")
    for key in ("temperature", "top_p", "repetition_penalty"):
        value = draft.number(key)
        if value is not None:
            draft.put(key, f"rollout.{key}", value)
    draft.default("temperature", "rollout.temperature", 0.95)
    draft.default("top_p", "rollout.top_p", 0.7)
    if (top_k := draft.whole("top_k")) is not None:
        draft.put("top_k", "rollout.top_k", top_k)
    draft.default("top_k", "rollout.top_k", 50)
    if (length := draft.whole("max_new_tokens")) is not None:
        draft.put("max_new_tokens", "rollout.max_completion_length", length)
    draft.default("max_new_tokens", "rollout.max_completion_length", 1024)
    if draft.has("do_sample"):
        draft.say("do_sample", "kept", "Answers are always sampled while training.")


def _loss(draft: Draft, chosen: str) -> None:
    """Set the loss of answers: at most one of LLaMA-Factory's three switches."""
    for key, name in (("use_dft_loss", "dft"), ("use_asft_loss", "asft"),
                      ("use_eaft_loss", "eaft")):
        if not draft.flag(key):
            draft.say(key, "kept", "It is off, as here.")
        elif chosen != "sft":
            draft.drop(key, NOT_HERE)
        elif "sft.loss_type" in draft.values:
            draft.drop(key, "Another loss is chosen already.")
        else:
            draft.put(key, "sft.loss_type", name)
    for key in ("asft_alpha", "eaft_alpha"):
        if (value := draft.number(key)) is not None:
            draft.put(key, f"sft.{key}", value)


def _reference(draft: Draft) -> None:
    model = draft.text("ref_model")
    if model and model == draft.text("model_name_or_path"):
        draft.say("ref_model", "kept", "The reference is the model as it was when the run began.")
    elif model:
        draft.drop("ref_model", "The reference is the model as it was when the run began.")
